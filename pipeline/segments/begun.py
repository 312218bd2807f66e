"""Frames of a segment in work, kept as they go to the encoder: a run that is stopped begins there.

An encoder cannot go on in the middle, so the frames themselves are kept, of segments that take
long only. With them the segment comes out with the bytes that it would have had anyway.
"""

from __future__ import annotations

import io
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nst_core.color.yuv import YuvFrames, join_frames
from pipeline.segments.task import BegunPart

_MOST_SECONDS = 12.0
"""What a segment may take without its frames being kept."""
_SECONDS_BETWEEN = 5.0
"""Seconds of work between two parts that are handed over."""
_MOST_BYTES = 512 << 20
"""For all frames of a segment that are kept: a run that goes on holds them in memory."""
_FRAMES_TO_JUDGE = 16
_SECONDS_TO_JUDGE = 2.0
"""Whichever comes first: then it is seen how long a segment will take."""

Last = Mapping[int, tuple[NDArray[Any], ...]]
"""What the frame behind follows where frames follow each other, by the look's number: see
Coherence.last."""


@dataclass(frozen=True, repr=False)
class Batch:
    """Frames in the order of showing, as the encoder's planes or the source's."""

    pts: Sequence[int]
    planes: YuvFrames
    last: Last = field(default_factory=dict)

    def behind(self, pts: int) -> Batch:
        """Return the frames of it that are shown after a time."""
        part = slice(bisect_right(self.pts, pts), None)
        alpha = None if self.planes.alpha is None else self.planes.alpha[part]
        planes = YuvFrames(self.planes.luma[part], self.planes.chroma[part], alpha)
        return Batch(self.pts[part], planes, self.last)


class FrameKeeper:
    """Collects the stylized frames of a segment, and gives them away in parts.

    ``frames`` are to be stylized in all; ``parts`` of the segment are there already.
    """

    def __init__(self, frames: int, parts: int) -> None:
        self._frames = frames
        self._parts = parts
        self._held: list[Batch] = []
        self._given = self._first = time.monotonic()
        """When the last part was given away, and when the first batch came."""
        self._seen = 0
        """Frames behind the first batch."""
        self._takes_long: bool | None = None
        """None until it is judged."""
        self._bytes = 0

    def add(self, batch: Batch) -> BegunPart | None:
        """Take the next frames; returns a part of all so far where it is time for one."""
        now = time.monotonic()
        if not (self._held or self._seen):
            self._first = now  # what came before was mostly preparation
        else:
            self._seen += len(batch.pts)
        if self._takes_long is None:
            self._judge(now - self._first)
        if self._takes_long is False:
            self._held.clear()
            return None
        self._held.append(batch)
        if not self._takes_long or now < self._given + _SECONDS_BETWEEN:
            return None
        part = BegunPart(self._parts, _packed(self._held))
        self._held.clear()
        self._bytes += len(part.data)
        if self._bytes > _MOST_BYTES:
            self._takes_long = False  # enough: what is behind would be done again
        self._given, self._parts = now, self._parts + 1
        return part

    def _judge(self, seconds: float) -> None:
        if self._seen and (self._seen >= _FRAMES_TO_JUDGE or seconds >= _SECONDS_TO_JUDGE):
            self._takes_long = seconds / self._seen * self._frames > _MOST_SECONDS


def unpacked(parts: Iterable[BegunPart], pts: Sequence[int]) -> Iterator[Batch]:
    """Yield the frames in parts, as far as they are whole and follow each other from the first on.

    ``pts`` are the times of all frames of the segment, those before it that are stylized too.
    """
    count = 0
    for part in parts:
        try:
            batch = _unpacked(part.data)
        except Exception:  # of damaged archives zipfile raises whatever comes
            return
        if tuple(batch.pts) != tuple(pts[count : count + len(batch.pts)]):
            return
        yield batch
        count += len(batch.pts)


def _packed(batches: Sequence[Batch]) -> bytes:
    planes = join_frames([batch.planes for batch in batches])
    arrays: dict[str, Any] = {"luma": planes.luma.numpy(), "chroma": planes.chroma.numpy()}
    if planes.alpha is not None:
        arrays["alpha"] = planes.alpha.numpy()
    for look, last in batches[-1].last.items():
        arrays |= {f"last-{look}-{place}": each for place, each in enumerate(last)}
    buffer = io.BytesIO()
    np.savez(buffer, pts=[pts for batch in batches for pts in batch.pts], **arrays)
    return buffer.getvalue()


def _unpacked(data: bytes) -> Batch:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        planes = YuvFrames(
            torch.from_numpy(arrays["luma"]),
            torch.from_numpy(arrays["chroma"]),
            torch.from_numpy(arrays["alpha"]) if "alpha" in arrays else None,
        )
        last: dict[int, tuple[NDArray[Any], ...]] = {}
        for name in arrays:  # in the order in which they were written
            if name.startswith("last-"):
                look = int(name.split("-")[1])
                last[look] = (*last.get(look, ()), arrays[name])
        return Batch(arrays["pts"].tolist(), planes, last)
