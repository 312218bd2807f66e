"""Room that a run needs: memory of its workers, space on the disks that it writes to."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Memory:
    """Memory that a run needs at its highest, in bytes."""

    per_worker: int
    total: int
    """Bytes of all workers and of the command itself."""
    free: int

    @property
    def fits(self) -> bool:
        """Whether there is as much."""
        return self.total <= self.free


@dataclass(frozen=True)
class Disk:
    """Space that a run needs on one disk at its highest, in bytes."""

    folder: str
    """A folder there that it writes to."""
    needed: int
    free: int

    @property
    def fits(self) -> bool:
        """Whether there is as much."""
        return self.needed <= self.free


def memory_now() -> int:
    """Resident memory of this process, in bytes."""
    return int(psutil.Process().memory_info().rss)


def memory_for(per_worker: int, workers: int, *, driver: int) -> Memory:
    """Return what so many workers need, and the command itself: 0 workers are its own process."""
    total = per_worker if not workers else workers * per_worker + driver
    return Memory(per_worker, total, _free_memory())


def disks_for(needs: Iterable[tuple[Path, int]]) -> list[Disk]:
    """Sum up, by disk, how many bytes come into folders, which need not be there yet."""
    folders: dict[int, Path] = {}
    sums: dict[int, int] = defaultdict(int)
    for folder, size in needs:
        device = _existing(folder).stat().st_dev
        folders.setdefault(device, folder)
        sums[device] += size
    return [
        Disk(str(folder), sums[device], shutil.disk_usage(_existing(folder)).free)
        for device, folder in folders.items()
    ]


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


def _free_memory() -> int:
    """Memory that is free for others, within the limit of this process's container."""
    free = int(psutil.virtual_memory().available)
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):  # ``max``: no limit
        return free
    return max(0, min(free, limit - used))
