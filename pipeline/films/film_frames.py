"""A few frames of a film that show it: spread over its shots, or at chosen times.

A long film is not decoded for that: single keyframes are, all over it, and from their colours
follows which of them belong together. Of a short one the shots themselves are found.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import groupby, pairwise
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from nst_core.color.pixels import to_bytes
from nst_core.color.yuv import yuv_to_rgb
from nst_core.errors import InputError, MediaError
from pipeline.encoding.output_frame import source_encoding, tone_mapping_of
from pipeline.films.shots import FLAT, shots_of
from pipeline.numbered.names import NumberedPictures, find_pictures, numbering_of
from pipeline.numbered.probing import DEFAULT_FPS, probe_film
from pipeline.segments.frames import source_planes
from pipeline.source.encryption import encryption
from pipeline.source.first_frame import first_frame
from pipeline.source.media_file import main_video_stream, open_source, reason
from pipeline.source.source_video import VideoStreamInfo, describe, with_first_frame

_LOOKED_AT = 48
"""Keyframes at most, whatever the film's length."""
_SECONDS_TO_LOOK = 6.0
"""For all of them: of films that seek slowly fewer are looked at."""
_SECONDS_FOR_SHOTS = 4.0
"""For the shots of a short film; where they take longer, colours have to do."""
_PIXELS_A_SECOND = 100e6
"""What is decoded at least, to tell a short film by: half of what one core does."""
_SAME_SHOT = 0.35
"""Largest difference between the colours of neighbours in one shot: the share of pixels."""
_THUMBNAIL = (64, 36)
_LEVELS = 6
"""Steps of each colour in a histogram."""
_FARTHEST_SECONDS = 10.0
"""How far behind a keyframe frames are looked for, in a film with few of them."""
_SECONDS_BACK = (0.0, 1.0, 5.0, 20.0)
"""How much earlier is jumped to, where a container leads behind the place, as MPEG-TS does."""
_TICK = 1e-6
"""Seconds by which times that are the same may differ."""
_MOST_PACKETS = 200
"""Up to the first keyframe behind a place that was jumped to."""


@dataclass(frozen=True, repr=False)
class FilmFrame:
    """A frame of a film, as the network sees it, and how it is shown."""

    seconds: float
    """From where the film begins."""
    rgb: NDArray[np.uint8]
    """H x W x 3, as stored: neither turned nor stretched; at most ``max_side`` long."""
    full_size: tuple[int, int]
    """Width and height in the film."""
    turn: int
    """Degrees counterclockwise by which players turn it: 0, 90, 180 or 270."""
    pixel_aspect: float
    """Width of a pixel by its height."""
    is_hdr: bool
    """Whether its high dynamic range was brought down, as --tonemap does."""

    def shown(self, picture: Image.Image) -> Image.Image:
        """Turn and stretch this frame, or what a network made of it, as players do."""
        width, height = picture.size
        if abs(self.pixel_aspect - 1) > 0.001:
            size = (max(1, round(width * self.pixel_aspect)), height)
            picture = picture.resize(size, Image.Resampling.BICUBIC)
        return picture.transpose(_TURNS[self.turn]) if self.turn else picture

    def __repr__(self) -> str:
        height, width, _ = self.rgb.shape
        return f"FilmFrame({self.seconds:.3f} s, {width}x{height})"


_TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}


def spread_frames(path: Path, count: int, *, max_side: int) -> list[FilmFrame]:
    """Return up to ``count`` frames in the order of their times, of shots that differ.

    Raises MediaError for a film of which no frame can be decoded.
    """
    if numbering := numbering_of(path):
        pictures = find_pictures(numbering)
        total = len(pictures.numbers)
        some = min(count, total)
        places = [(2 * number + 1) * total // (2 * some) for number in range(some)]
        return [_numbered(pictures, place, max_side) for place in places]
    with _open(path) as film:
        seen = {moment.seconds: moment for moment in film.keyframes_spread()}
        while len(seen) < count and (between := _between(sorted(seen), film.seconds)) is not None:
            frame = film.at(between)
            if frame is None or film.time_of(frame) in seen:
                break
            seen[film.time_of(frame)] = _moment(film, frame)
        starts = _starts_of_shots(film)
        for start, end in pairwise([*starts, film.seconds or 0]) if starts else ():
            if not any(start <= seconds < end for seconds in seen):
                frame = film.at((start + end) / 2)
                if frame is not None:
                    seen[film.time_of(frame)] = _moment(film, frame)
        moments = [seen[seconds] for seconds in sorted(seen)]
        # Decoded once more: all that were looked at would take a gigabyte.
        chosen = chosen_moments(moments, count, starts)
        frames = [film.at(moment.seconds) for moment in chosen]
        by_time = {film.time_of(frame): frame for frame in frames if frame is not None}
        return [film.picture(frame, max_side) for frame in by_time.values() or [film.first]]


def frames_at(path: Path, times: Sequence[Fraction], *, max_side: int) -> list[FilmFrame]:
    """Return the frames that are shown at these times, in seconds from where the film begins.

    Raises InputError for a time behind the film's end, MediaError where nothing can be decoded.
    """
    if numbering := numbering_of(path):
        pictures = find_pictures(numbering)
        return [_numbered(pictures, _place_at(pictures, path, at), max_side) for at in times]
    with _open(path) as film:
        found = []
        for wanted in times:
            if film.seconds is not None and wanted >= film.seconds:
                raise InputError(
                    f"--at {float(wanted):g}: {path} ends at {film.seconds:.3f} s; name an earlier "
                    "time"
                )
            frame = film.at(float(wanted))
            if frame is None:
                raise MediaError(f"{path}: no frame of it can be decoded at {float(wanted):g} s")
            found.append(film.picture(frame, max_side))
        return found


def _numbered(pictures: NumberedPictures, place: int, max_side: int) -> FilmFrame:
    """Return one of numbered pictures. Raises MediaError."""
    with _open(pictures.path(place)) as picture:
        shown = picture.picture(picture.first, max_side)
    ticks = pictures.numbers[place] - pictures.numbers[0]
    return replace(shown, seconds=float(ticks / DEFAULT_FPS))


def _place_at(pictures: NumberedPictures, path: Path, seconds: Fraction) -> int:
    """Return the place of the picture shown at a time. Raises InputError behind the last."""
    number = pictures.numbers[0] + int(seconds * DEFAULT_FPS)
    if number > pictures.numbers[-1]:
        end = float((pictures.numbers[-1] - pictures.numbers[0] + 1) / DEFAULT_FPS)
        raise InputError(
            f"--at {float(seconds):g}: {path} ends at {end:.3f} s; name an earlier time"
        )
    return bisect_right(pictures.numbers, number) - 1


@dataclass(frozen=True, repr=False)
class Moment:
    """A frame that was looked at."""

    seconds: float
    colors: NDArray[np.float64]
    """Histogram of its colours, sum 1."""
    is_flat: bool
    """Whether it shows nothing: black, white, the middle of a fade."""

    def differs_from(self, other: Moment) -> float:
        """Share of pixels whose colours the other has not: 0 to 1."""
        return float(np.abs(self.colors - other.colors).sum() / 2)


def chosen_moments(
    moments: Sequence[Moment], count: int, starts: Sequence[float] = ()
) -> list[Moment]:
    """Choose up to ``count`` of these, which are in the order of their times.

    ``starts`` are when the film's shots begin; where that is not known, colours tell them apart.
    The longest shot first, then always the one that differs most from all chosen ones, long shots
    before short ones; when all shots are shown once, what lies farthest from the chosen ones.
    """
    rest = [each for each in moments if not each.is_flat] or list(moments)
    shots = _shots(rest, starts)
    longest = max((len(shot) for shot in shots), default=1)
    chosen: list[Moment] = []
    while shots and len(chosen) < count:
        middles = [shot[len(shot) // 2] for shot in shots]
        scores = [
            min((middle.differs_from(each) for each in chosen), default=1.0)
            * (0.5 + len(shot) / longest)
            for middle, shot in zip(middles, shots, strict=True)
        ]
        best = scores.index(max(scores))
        chosen.append(middles[best])
        del shots[best]
    left = [each for each in rest if not any(each is one for one in chosen)]
    while left and len(chosen) < count:
        gaps = [min(abs(each.seconds - one.seconds) for one in chosen) for each in left]
        chosen.append(left.pop(gaps.index(max(gaps))))
    return sorted(chosen, key=lambda each: each.seconds)


def _shots(moments: Sequence[Moment], starts: Sequence[float]) -> list[list[Moment]]:
    """Group neighbours of one shot, or whose colours are alike."""
    if starts:
        by_shot = groupby(moments, lambda each: bisect_right(starts, each.seconds + _TICK))
        return [list(shot) for _, shot in by_shot]
    shots = [[moment] for moment in moments[:1]]
    for before, moment in pairwise(moments):
        if moment.differs_from(before) <= _SAME_SHOT:
            shots[-1].append(moment)
        else:
            shots.append([moment])
    return shots


def _starts_of_shots(film: _Film) -> list[float]:
    """Return when the shots of a short film begin; nothing where it takes too long to find out."""
    info = film.info
    pixels = (film.seconds or math.inf) * float(info.rate) * info.width * info.height
    if pixels > _SECONDS_FOR_SHOTS * _PIXELS_A_SECOND:
        return []
    until = time.monotonic() + _SECONDS_FOR_SHOTS

    def watch(_: int) -> None:
        if time.monotonic() > until:
            raise TimeoutError

    with suppress(MediaError, TimeoutError):
        shots = shots_of(probe_film(film.path), watch)
        return [float(shot.start - shots[0].start) for shot in shots]
    return []


def _between(times: list[float], end: float | None) -> float | None:
    """Return a time in the longest gap behind a known frame; None where all gaps are short.

    In a film of few keyframes there are too few of them.
    """
    if end is not None:
        times = [*times, end]
    gaps = [(after - before, before) for before, after in pairwise(times)]
    gap, before = max(gaps, default=(0.0, 0.0))
    return before + min(gap / 2, _FARTHEST_SECONDS) if gap > 0.1 else None


@dataclass
class _Film:
    """An open film, whose frames are asked for by their times."""

    path: Path
    container: InputContainer
    stream: VideoStream
    info: VideoStreamInfo
    first: av.VideoFrame
    start: Fraction = field(init=False)
    """When its first frame is shown, by the clock of the file."""
    seconds: float | None = field(init=False)
    """Its length; None where the file does not say."""

    def __post_init__(self) -> None:
        self.start = Fraction(self.first.pts or 0) * self.info.time_base
        length = None
        if self.stream.duration:
            length = float(self.stream.duration * self.info.time_base)
        elif self.container.duration:
            length = self.container.duration / av.time_base
        self.seconds = length

    def time_of(self, frame: av.VideoFrame) -> float:
        """Return when it is shown, from where the film begins."""
        return float(Fraction(frame.pts or 0) * self.info.time_base - self.start)

    def keyframes_spread(self) -> Iterator[Moment]:
        """Yield keyframes from all over the film, coarsely first, then between them."""
        yield _moment(self, self.first)
        if not self.seconds:
            return
        until = time.monotonic() + _SECONDS_TO_LOOK
        for number in range(1, _LOOKED_AT):
            if time.monotonic() > until:
                return
            frame = self._keyframe(_spread(number) * self.seconds)
            if frame is not None:
                yield _moment(self, frame)

    def at(self, seconds: float) -> av.VideoFrame | None:
        """Decode the frame that is shown then; None where there is none."""
        found = None
        for back in _SECONDS_BACK:
            found = self._decoded(seconds - back, seconds) or found
            if found is not None and self.time_of(found) <= seconds + _TICK:
                return found
        return found

    def _decoded(self, start: float, end: float) -> av.VideoFrame | None:
        """Decode from the keyframe before ``start``; the last frame up to ``end``, or the first."""
        found = None
        try:
            self._jump(start)
            for frame in self.container.decode(self.stream):
                if found is not None and self.time_of(frame) > end + _TICK:
                    break
                found = frame
        except (av.FFmpegError, IndexError):
            pass  # what came before it is whole
        return found

    def picture(self, frame: av.VideoFrame, max_side: int) -> FilmFrame:
        """Bring a frame to RGB, at most ``max_side`` pixels long. Raises MediaError."""
        info = self.info
        factor = min(1.0, max_side / max(info.width, info.height))
        size = (max(2, round(info.width * factor)), max(2, round(info.height * factor)))
        rgb = yuv_to_rgb(source_planes(frame, info, size), source_encoding(info))
        if info.transfer:
            rgb = tone_mapping_of(info).to_sdr(rgb)
        return FilmFrame(
            seconds=self.time_of(frame),
            rgb=to_bytes(rgb)[0],
            full_size=(info.width, info.height),
            turn=round(frame.rotation / 90) * 90 % 360,
            pixel_aspect=float(info.sample_aspect_ratio or 1),
            is_hdr=info.transfer is not None,
        )

    def _jump(self, seconds: float) -> None:
        ticks = (Fraction(seconds) + self.start) / self.info.time_base
        self.container.seek(round(ticks), stream=self.stream)

    def _keyframe(self, seconds: float) -> av.VideoFrame | None:
        """Decode the keyframe at or before a time, and nothing else."""
        try:
            self._jump(seconds)
            for number, packet in enumerate(self.container.demux(self.stream)):
                if packet.is_keyframe and packet.size:
                    # Flushed at once: the decoder would wait for the frames that come before it.
                    frames = [*self.stream.decode(packet), *self.stream.decode(None)]
                    self.stream.codec_context.flush_buffers()
                    if frames:
                        return frames[0]
                if number > _MOST_PACKETS:
                    break
        except (av.FFmpegError, IndexError):
            pass
        return None


@contextmanager
def _open(path: Path) -> Iterator[_Film]:
    """Open a film. Raises MediaError where nothing of it can be decoded."""
    if how := encryption(path):
        raise MediaError(f"{path}: the film is encrypted ({how}); decrypt it first")
    with open_source(path) as container:
        stream = main_video_stream(container, path)
        info = describe(stream, path)
        frame = first_frame(container, stream)
        if frame is None:
            raise MediaError(f"{path}: no frame of it can be decoded")
        try:
            yield _Film(path, container, stream, with_first_frame(info, frame), frame)
        except av.FFmpegError as error:
            raise MediaError(f"{path}: cannot be decoded ({reason(error)})") from error


def _moment(film: _Film, frame: av.VideoFrame) -> Moment:
    width, height = _THUMBNAIL
    small = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
    levels = (small.astype(np.int64) * _LEVELS) // 256
    codes = (levels[..., 0] * _LEVELS + levels[..., 1]) * _LEVELS + levels[..., 2]
    counts = np.bincount(codes.ravel(), minlength=_LEVELS**3)
    is_flat = float(small.mean(axis=2).std()) < FLAT
    return Moment(film.time_of(frame), counts / counts.sum(), is_flat)


def _spread(number: int) -> float:
    """Return the place of a point, 0 to 1, so that the first so many are always spread evenly."""
    place, part = 0.0, 0.5
    while number:
        number, odd = divmod(number, 2)
        place, part = place + odd * part, part / 2
    return place
