"""The independent reader of films that are cut: PyAV decodes source and output from end to end."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from tests.kit.media import decoded_frames


@dataclass(frozen=True)
class Heard:
    """A stream of sound as it is heard: what a decoder gives, without what it is told to skip."""

    codec: str
    rate: int
    first: int
    """Number of the first sample, by its time from the file's zero on."""
    samples: NDArray[np.float64]
    """(samples, channels)."""

    def between(self, first: int, last: int) -> NDArray[np.float64]:
        """Samples by number, the last exclusive."""
        return self.samples[first - self.first : last - self.first]


def heard(path: Path) -> list[Heard]:
    """Every stream of sound of a file."""
    with av.open(str(path)) as container:
        return [_heard(path, stream.index) for stream in container.streams.audio]


def _heard(path: Path, index: int) -> Heard:
    with av.open(str(path)) as container:
        stream: Any = container.streams[index]
        first: int | None = None
        pieces = []
        for frame in container.decode(stream):
            if first is None:
                first = round(frame.pts * frame.time_base * frame.sample_rate)
            samples = frame.to_ndarray()
            pieces.append(
                samples.T if frame.format.is_planar else samples.reshape(frame.samples, -1)
            )
        rate = stream.codec_context.sample_rate
        joined = np.concatenate(pieces).astype(np.float64) if pieces else np.zeros((0, 1))
        return Heard(stream.codec_context.name, rate, first or 0, joined)


def frames_between(
    path: Path, start: Fraction, end: Fraction, *, begins: Fraction
) -> list[tuple[Fraction, NDArray[np.uint8]]]:
    """The frames of a part, each with its time in it; the film begins at ``begins``."""
    return [
        (time - begins - start, luma)
        for time, luma in decoded_frames(path)
        if start <= time - begins < end
    ]
