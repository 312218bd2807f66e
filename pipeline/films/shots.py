"""The shots of a film, exact to the frame: from one cut to the next.

Two frames are of one shot if one looks like the other, moved: their correlation after the second
has been carried along the optical flow. So neither a pan nor a light that changes is a cut, and a
flash is none either, for what follows it looks like what was before it. A dissolve is found by its
middle, which is the mean of its ends. Black between two shots belongs to the first of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from typing import Any

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from nst_core.errors import MediaError
from pipeline.source.media_file import main_video_stream, open_source, video_packets
from pipeline.source.source_video import SourceVideo
from pipeline.source.trimming import begin_of

Grey = NDArray[np.uint8]
"""H x W."""

THUMBNAIL = (64, 36)
"""Width and height of the frames as they are compared: noise and grain are gone, shapes are not."""
FLAT = 6.0
"""Standard deviation of brightness, of 255, below which a frame shows nothing: black, a fade."""
_LIT = 2 * FLAT
"""The same, above which two frames can be compared across a black."""
_ALIKE = 0.65
"""Likeness of two frames of one shot, at least. Measured on 126 cuts and 11,000 frames: at 19 of 20
cuts 0.5 at most, within shots 0.8 at least, in pans and changes of light too."""
_PLAINLY_ALIKE = 0.9
"""Correlation of two frames above which nobody asks for their motion."""
_LEAST_NOISE = 4.0
"""Standard deviation that is added to a frame's own: dark noise is not to look like a shape."""
_FLASH_FRAMES = 6
"""Frames after which the film of before must be back, for what came between to be a flash."""
_DISSOLVE_SECONDS = 1.0
_UNLIKE = 0.5
"""Likeness of the ends of a dissolve, at most."""
_FROM_THE_MEAN = 0.3
"""Distance of a dissolve's middle from the mean of its ends, at most, as a part of theirs; in the
middle of a pan it is 0.5 and more."""


@dataclass(frozen=True)
class Shot:
    """Frames from one cut to the next."""

    number: int
    """From 1."""
    first_frame: int
    """From 0."""
    frames: int
    start: Fraction
    """Seconds from where the film begins, as --start counts."""
    end: Fraction
    """Exclusive."""


class _Picture:
    """A small frame, prepared to be compared."""

    def __init__(self, grey: Grey) -> None:
        floats = grey.astype(np.float32)
        self.deviation = float(floats.std())
        self.shape = (floats - floats.mean()) / (self.deviation + _LEAST_NOISE)
        """Zero mean, deviation below 1: brightness and contrast are gone."""
        self.cells = cv2.resize(floats, (16, 9), interpolation=cv2.INTER_AREA)

    @property
    def is_flat(self) -> bool:
        return self.deviation < FLAT


class _Comparison:
    """Compares pictures; keeps what that needs."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        width, height = THUMBNAIL
        self._grid = np.indices((height, width), np.float32)[::-1].transpose(1, 2, 0)

    def likeness(self, first: _Picture, second: _Picture) -> float:
        """Correlation of two pictures, 1 at most, once their motion is undone, less its unrest."""
        plain = _correlation(first.shape, second.shape)
        if plain > _PLAINLY_ALIKE:
            return plain
        before, after = (
            np.clip(128 + 48 * each.shape, 0, 255).astype(np.uint8) for each in (first, second)
        )
        flow = self._flow.calc(after, before, np.zeros((*after.shape, 2), np.float32))
        places, border = self._grid + flow, cv2.BORDER_REPLICATE
        moved = cv2.remap(before, places, None, cv2.INTER_LINEAR, borderMode=border)  # type: ignore[call-overload]
        return _correlation(moved, after) - _unrest(flow)


def _unrest(flow: NDArray[Any]) -> float:
    """Mean difference of neighbours in a flow, pixels: from scene to scene it is not smooth."""
    return float(np.abs(np.diff(flow, axis=0)).mean() + np.abs(np.diff(flow, axis=1)).mean())


def _correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    first, second = (each.astype(np.float32) - each.mean() for each in (first, second))
    energy = float((first * first).sum() * (second * second).sum())
    return (
        float((first * second).sum()) / energy**0.5
        if energy
        else float(first.any() == second.any())
    )


def cuts(pictures: Iterable[Grey], rate: float) -> list[int]:
    """Return the numbers of the frames at which shots begin, beside the first one.

    ``pictures`` are all frames in the order of showing, of ``THUMBNAIL``'s size, ``rate`` a second.
    """
    comparison = _Comparison()
    half = max(2, round(rate * _DISSOLVE_SECONDS / 2))
    around = max(half, _FLASH_FRAMES)
    hard: list[int] = []
    dissolves: list[tuple[int, float]] = []
    lit: _Picture | None = None
    for number, seen in enumerate(_with_neighbours(map(_Picture, pictures), around)):
        now, before = seen[around], seen[around - 1]
        if before.deviation > _LIT:
            lit = before
        if number and _is_cut(seen, around, lit, comparison):
            hard.append(number)
        ends = seen[around - half], seen[around + half]
        apart = _from_the_mean(now, *ends)
        if (
            apart < _FROM_THE_MEAN
            and not any(each.is_flat for each in seen)
            and comparison.likeness(*ends) < _UNLIKE
        ):
            dissolves.append((number, apart))
    return sorted([*hard, *_middles(dissolves, hard, half)])


def _with_neighbours(pictures: Iterator[_Picture], around: int) -> Iterator[Sequence[_Picture]]:
    """Yield each with as many before and behind it; beyond the film's ends these are repeated."""
    first = next(pictures, None)
    if first is None:
        return
    seen = deque([first] * (around + 1), maxlen=2 * around + 1)
    for picture in pictures:
        seen.append(picture)
        if len(seen) == seen.maxlen:
            yield seen
    last = seen[-1]
    for _ in range(around):
        seen.append(last)
        if len(seen) == seen.maxlen:
            yield seen


def _is_cut(
    seen: Sequence[_Picture], place: int, lit: _Picture | None, comparison: _Comparison
) -> bool:
    """Whether a shot begins with the picture at a place."""
    now, before = seen[place], seen[place - 1]
    if now.is_flat:
        return False
    if before.is_flat:
        behind = [seen[each] for each in range(place, len(seen))]
        shown = next((each for each in behind if each.deviation > _LIT), now)
        return lit is not None and comparison.likeness(lit, shown) < _ALIKE
    if comparison.likeness(before, now) >= _ALIKE:
        return False
    reach = range(1, _FLASH_FRAMES)
    earlier = [seen[place - 1 - each] for each in reach]
    later = [seen[place + each] for each in reach]
    pairs = chain(((each, now) for each in earlier), ((before, each) for each in later))
    return all(comparison.likeness(*pair) < _ALIKE for pair in pairs)


def _from_the_mean(middle: _Picture, first: _Picture, last: _Picture) -> float:
    """Distance of a picture from the mean of two others, as a part of their own distance."""
    apart = np.linalg.norm(first.cells - last.cells)
    mean = (first.cells + last.cells) / 2
    return float(np.linalg.norm(middle.cells - mean) / apart) if apart else np.inf


def _middles(dissolves: list[tuple[int, float]], hard: list[int], half: int) -> list[int]:
    """The best place of each dissolve, away from cuts."""
    groups: list[list[tuple[int, float]]] = []
    for each in dissolves:
        if groups and each[0] - groups[-1][-1][0] <= half:
            groups[-1].append(each)
        else:
            groups.append([each])
    best = [min(group, key=lambda each: each[1])[0] for group in groups]
    return [each for each in best if all(abs(each - cut) > half for cut in hard)]


def shots_of(source: SourceVideo, tell: Callable[[int], None] = lambda frames: None) -> list[Shot]:
    """Find the shots of a film, in the order of showing. Raises MediaError.

    All of it is decoded; ``tell`` is told how many frames have been. What it raises ends that.
    """
    shown, tick = source.packets.shown_pts, source.info.time_base
    times: list[int | None] = []
    found = cuts(_thumbnails(source, times, tell), float(source.info.rate))
    if not times:
        raise MediaError(f"{source.path}: no frame of it can be decoded")
    if source.clock_resets or None in times:
        times = shown[: len(times)].tolist()
    numbers = [0, *found, len(times)]
    ends = (int(shown[-1]) + source.last_duration) * tick
    begin = begin_of(source)
    bounds = [*((times[number] or 0) * tick - begin for number in numbers[:-1]), ends - begin]
    return [
        Shot(number, first_frame=first, frames=last - first, start=start, end=end)
        for number, ((first, last), (start, end)) in enumerate(
            zip(pairwise(numbers), pairwise(bounds), strict=True), 1
        )
    ]


def _thumbnails(
    source: SourceVideo, times: list[int | None], tell: Callable[[int], None]
) -> Iterator[Grey]:
    """Decode a film; the time of each frame is added to ``times``."""
    width, height = THUMBNAIL
    with open_source(source.path) as container:
        stream = main_video_stream(container, source.path)
        stream.thread_type = "AUTO"
        scaler = VideoReformatter()  # a frame's own would be built anew for each
        for pts, frame in _timed(source, container, stream):
            times.append(pts)
            tell(len(times))
            grey = scaler.reformat(
                frame, width, height, "gray8", interpolation=Interpolation.AREA, threads=1
            )
            yield np.asarray(grey.to_ndarray(), np.uint8)


def _timed(
    source: SourceVideo, container: InputContainer, stream: VideoStream
) -> Iterator[tuple[int | None, av.VideoFrame]]:
    if source.pictures:
        for place, frame in source.pictures.frames():
            yield int(source.packets.pts[place]), frame
    else:
        yield from ((frame.pts, frame) for frame in _decoded(container, stream))


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """All frames that can be decoded, whatever is damaged between them."""
    with suppress(av.FFmpegError, IndexError):
        for packet in video_packets(container, stream.index):
            with suppress(av.FFmpegError):
                yield from stream.decode(packet)
    with suppress(av.FFmpegError):
        yield from stream.decode(None)
