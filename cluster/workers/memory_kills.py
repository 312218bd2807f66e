"""Workers that Ray has ended for want of memory: how its errors say so, and how we do."""

from __future__ import annotations

import re

LACKED_MEMORY = "its worker was ended, as the memory was full"
_FULL = "running low on memory"
_AMOUNTS = re.compile(r"was ([\d.]+) ?GB used / ([\d.]+) ?GB limit")


def lacked_memory(error: BaseException) -> bool:
    """Whether Ray has ended a worker because its machine's memory was full."""
    return _FULL in str(error)


def memory_used(error: BaseException) -> str:
    """Return `` (22.4 of 23.6 GB used)`` of such an error; nothing where it does not say."""
    amounts = _AMOUNTS.search(str(error))
    return f" ({float(amounts[1]):.1f} of {float(amounts[2]):.1f} GB used)" if amounts else ""
