"""The processors: how many this process may use, and what they can."""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_CPU_INFO = Path("/proc/cpuinfo")


def usable_processors(quota_file: Path = _CGROUP_QUOTA) -> int:
    """Count the logical processors of this process's affinity, within its container's quota.

    ``quota_file`` is that of a cgroup (version 2): microseconds of every so many, or ``max``.
    """
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1
    return max(1, min(processors, _quota(quota_file)))


@cache
def has_avx512(info_file: Path = _CPU_INFO) -> bool:
    """Whether they are x86 ones with AVX-512; False where the system has no ``info_file``."""
    try:
        return "avx512f" in info_file.read_text().split()
    except OSError:
        return False


def _quota(file: Path) -> int:
    unlimited = 1 << 16
    try:
        allowed, period = file.read_text().split()
        return unlimited if allowed == "max" else math.ceil(int(allowed) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return unlimited
