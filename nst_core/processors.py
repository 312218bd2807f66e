"""How many processors this process may use: the machine's, less what it is kept from."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_processors(quota_file: Path = _CGROUP_QUOTA) -> int:
    """Count the logical processors of this process's affinity, within its container's quota.

    ``quota_file`` is that of a cgroup (version 2): microseconds of every so many, or ``max``.
    """
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1
    return max(1, min(processors, _quota(quota_file)))


def _quota(file: Path) -> int:
    unlimited = 1 << 16
    try:
        allowed, period = file.read_text().split()
        return unlimited if allowed == "max" else math.ceil(int(allowed) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return unlimited
