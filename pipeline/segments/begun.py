"""Frames of a segment in work, kept as they go to the encoder: a run that is stopped begins there.

An encoder cannot go on in the middle, so the frames themselves are kept, where they come slowly.
With them the segment comes out with the bytes that it would have had anyway.
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

_SECONDS_BETWEEN = 5.0
"""Most seconds between two parts that are handed over."""
_BYTES_AT_ONCE = 64 << 20
"""A part is handed over earlier where it has become so large."""
_SOON_SECONDS = 12.0
"""Where so many bytes come in less than those seconds, and the rest will take less than these: no
more is kept."""
_MOST_BYTES = 512 << 20
"""For all frames of a segment that are kept: a run that goes on holds them in memory."""

Last = Mapping[int, tuple[NDArray[Any], ...]]
"""What the frame behind follows where frames follow each other, by the look's number: see
Coherence.last."""


@dataclass(frozen=True, repr=False)
class Batch:
    """Frames in the order of showing, as the encoder's planes or the source's."""

    pts: Sequence[int]
    planes: YuvFrames
    last: Last = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of its frames."""
        planes = (self.planes.luma, self.planes.chroma, self.planes.alpha)
        return sum(plane.nbytes for plane in planes if plane is not None)

    def behind(self, pts: int) -> Batch:
        """Return the frames of it that are shown after a time."""
        part = slice(bisect_right(self.pts, pts), None)
        alpha = None if self.planes.alpha is None else self.planes.alpha[part]
        planes = YuvFrames(self.planes.luma[part], self.planes.chroma[part], alpha)
        return Batch(self.pts[part], planes, self.last)


class FrameKeeper:
    """Collects the stylized frames of a segment, and gives them away in parts.

    ``frames`` are to come; those that ``begun`` has are there already.
    """

    def __init__(self, frames: int, begun: Sequence[BegunPart] = ()) -> None:
        self._frames = frames
        self._parts = len(begun)
        self._room = _MOST_BYTES - sum(len(part.data) for part in begun)
        """Bytes that may still be kept; none: no more is."""
        self._held: list[Batch] = []
        self._size = 0
        """Bytes of them."""
        self._given = time.monotonic()
        """When the last part was given away."""

    def add(self, batch: Batch) -> BegunPart | None:
        """Take the next frames; returns a part of all so far where it is time for one."""
        if self._room <= 0:
            return None
        self._held.append(batch)
        self._size += batch.size
        seconds = time.monotonic() - self._given
        is_quick = seconds < _SECONDS_BETWEEN
        if is_quick and self._size < _BYTES_AT_ONCE:
            return None
        frames = sum(len(each.pts) for each in self._held)
        self._frames -= frames
        if is_quick and seconds / frames * self._frames < _SOON_SECONDS:
            self._room = 0
            self._held.clear()
            return None
        part = BegunPart(self._parts, _packed(self._held))
        self._room -= self._size
        self._size = 0
        self._held.clear()
        self._parts += 1
        self._given = time.monotonic()
        return part


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
