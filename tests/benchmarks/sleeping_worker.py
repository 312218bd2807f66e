"""A worker that sleeps where others compute: what is left is the work of the driver and of Ray.

Its process imports next to nothing, so that many of them fit into one machine.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass


@dataclass(frozen=True, repr=False)
class SealedSegment:
    """A segment with all that a worker needs, as it travels: to open it, torch is imported."""

    number: int
    pts: tuple[int, ...]
    """Times of the frames to deliver, ascending."""
    content: bytes
    """The pickled SegmentTask."""


@dataclass(frozen=True, repr=False)
class SleptSegment:
    """What comes back, of a stylized segment's size."""

    number: int
    pts: tuple[int, ...]
    piece: bytes
    worker: int
    """The worker's process."""


class SleepingWorker:
    """Takes ``seconds`` for a segment, and gives a piece of ``piece_bytes``."""

    engine = "sleep"

    def __init__(self, seconds: float, piece_bytes: int) -> None:
        self._seconds = seconds
        self._piece = os.urandom(piece_bytes)

    def process(self, task: SealedSegment) -> SleptSegment:
        """Sleep, and give the same piece as always."""
        time.sleep(self._seconds)
        return SleptSegment(task.number, task.pts, self._piece, os.getpid())
