"""Processes as they are seen while others begin and end."""

from __future__ import annotations

from contextlib import suppress

import psutil


def command_of(process: psutil.Process) -> str:
    """Return its command line; nothing where it has ended, waited for or not."""
    with suppress(psutil.NoSuchProcess):  # a zombie is one of them
        return " ".join(process.cmdline())
    return ""
