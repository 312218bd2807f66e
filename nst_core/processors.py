"""The processors: how many this process may use, and what they can."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def ordinary_scheduling() -> Iterator[None]:
    """Leave this process's threads as they are scheduled, whoever makes them real-time ones.

    SVT-AV1, opened by root, gives the highest there is to its threads and to the one that opens it,
    whose later threads inherit it: whatever else the machine has to do then stands still.
    """
    policy = getattr(os, "sched_getscheduler", None)  # Linux
    if policy is None or policy(0) in (os.SCHED_FIFO, os.SCHED_RR):  # or whoever began wants that
        yield
        return
    before = policy(0)
    try:
        yield
    finally:
        for thread in (int(path.name) for path in Path("/proc/self/task").glob("*")):
            with suppress(OSError):  # it has ended meanwhile
                if policy(thread) == os.SCHED_FIFO:
                    os.sched_setscheduler(thread, before, os.sched_param(0))


def _quota(file: Path) -> int:
    unlimited = 1 << 16
    try:
        allowed, period = file.read_text().split()
        return unlimited if allowed == "max" else math.ceil(int(allowed) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return unlimited
