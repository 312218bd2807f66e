"""What a run of the benchmark is given: how long it may take, and on what it measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def _ignore(line: str) -> None:
    pass


@dataclass(frozen=True)
class BenchSettings:
    """Shared by all sections of one run."""

    folder: Path
    """Temporary: films, photographs and checkpoints that sections make and share."""
    quick: bool = False
    """Fewer rounds and sizes: minutes, not hours."""
    video: Path | None = None
    """Measure on this film's frames; default drawn ones."""
    photos: Path | None = None
    """Measure on this folder's pictures; default drawn ones."""
    tell: Callable[[str], None] = _ignore
    """Is given a line at every step of the way."""

    @property
    def rounds(self) -> int:
        """Return the rounds of measurements that take seconds."""
        return 3 if self.quick else 5

    @property
    def long_rounds(self) -> int:
        """Return the rounds of measurements that take minutes."""
        return 1 if self.quick else 3
