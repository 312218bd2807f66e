"""Two videos decoded side by side: a source, and what was made of it, frame for frame as RGB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from nst_core.color.pixels import to_bytes
from nst_core.color.yuv import yuv_to_rgb
from nst_core.errors import MediaError
from nst_core.wording import counted
from pipeline.encoding.output_frame import source_encoding
from pipeline.films.span import Span
from pipeline.numbered.probing import probe_film
from pipeline.segments.frames import source_planes
from pipeline.source.media_file import main_video_stream, open_source, video_packets
from pipeline.source.source_video import SourceVideo, VideoStreamInfo
from pipeline.source.trimming import trimmed

_ROUNDED = 0.25
"""How much earlier than its source's a frame may be shown, as a part of the source's usual
interval: containers round times to their ticks."""
_PIXELS_MORE = 2
"""By how much rounding changes a side, in pixels."""


@dataclass(frozen=True, repr=False)
class FramePair:
    """Frames at the same place in the order of showing, of one size."""

    source: NDArray[np.uint8]
    """RGB, H x W x 3, scaled to the output's size."""
    output: NDArray[np.uint8]
    """RGB, H x W x 3."""

    def __repr__(self) -> str:
        height, width, _ = self.output.shape
        return f"FramePair({width}x{height})"


@dataclass(frozen=True)
class VideoPair:
    """Two videos that can be decoded side by side."""

    source: SourceVideo
    output: SourceVideo
    skipped: int = 0
    """Frames of the source's file before the part that is compared."""

    @property
    def source_frames(self) -> int:
        """Frames to show, as counted in the file, or in its part that is compared."""
        return len(self.source.packets.shown_pts)

    @property
    def output_frames(self) -> int:
        """Frames to show, as counted in the file."""
        return len(self.output.packets.shown_pts)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pairs: the output's, without the column or row that fills up.

        Encoders that take only even sizes get a last column or row that the source has not.
        """
        width, height = self.output.info.width, self.output.info.height
        more = (width - self.source.info.width, height - self.source.info.height)
        if more in ((0, 1), (1, 0), (1, 1)):
            return self.source.info.width, self.source.info.height
        return width, height

    @cached_property
    def matches(self) -> list[tuple[int, int]]:
        """Numbers of the frames compared, in the source and in the output.

        In their order where both have as many; else those shown at the same time since the first,
        each frame of the source once.
        """
        source, output = _seconds(self.source), _seconds(self.output)
        if len(source) == len(output):
            return [(number, number) for number in range(len(source))]
        early = _ROUNDED * np.median(np.diff(source)) if len(source) > 1 else 0.0
        shown = np.searchsorted(source - early, output, side="right") - 1
        numbers, first = np.unique(shown, return_index=True)
        return list(zip(numbers.tolist(), first.tolist(), strict=True))

    @property
    def seconds(self) -> list[float]:
        """When each compared frame is shown, since the output's first."""
        times = _seconds(self.output)
        return [float(times[number]) for _, number in self.matches]

    def frames(self) -> Iterator[FramePair]:
        """Decode the frames compared. Raises MediaError for a file that breaks off."""
        width, height = self.size
        whole = (self.output.info.width, self.output.info.height)
        sources = [self.skipped + number for number, _ in self.matches]
        outputs = [number for _, number in self.matches]
        for output, source in zip(
            _rgb_frames(self.output, outputs, whole),
            _rgb_frames(self.source, sources, (width, height)),
            strict=False,
        ):
            yield FramePair(source, output[:height, :width])


def open_pair(source: Path, output: Path, span: Span | None = None) -> VideoPair:
    """Probe both; of the source a part, where the output was made of one.

    Raises MediaError for a file that is no video, or has no usable timestamps, and for films of
    different proportions.
    """
    film, made = probe_film(source), probe_film(output)
    if not _are_alike(film.info, made.info):
        sizes = [f"{info.width}x{info.height}" for info in (made.info, film.info)]
        raise MediaError(
            f"{output}: {sizes[0]}, and {source} is {sizes[1]}: their proportions differ; compare "
            "a film with what was made of it, neither cropped nor turned"
        )
    if span is None:
        return VideoPair(film, made)
    part = trimmed(film, span)
    assert part.cut is not None
    first = part.packets.shown_pts[0] + round(part.cut.start / film.info.time_base)
    return VideoPair(part, made, int(np.searchsorted(film.packets.shown_pts, first)))


def _are_alike(source: VideoStreamInfo, output: VideoStreamInfo) -> bool:
    """Whether one is the other's size, in pixels as stored or as they are shown."""

    def fits(wider: float) -> bool:
        width, height = source.width * wider, source.height
        scale = min(output.width / width, output.height / height)
        more = (output.width - width * scale, output.height - height * scale)
        return max(more) <= _PIXELS_MORE

    aspect = (source.sample_aspect_ratio or 1) / (output.sample_aspect_ratio or 1)
    return fits(1) or fits(float(aspect))


def _seconds(video: SourceVideo) -> NDArray[np.float64]:
    """When each frame is shown, since the first."""
    shown = video.packets.shown_pts
    seconds: NDArray[np.float64] = (shown - shown[0]) * float(video.info.time_base)
    return seconds


def _rgb_frames(
    video: SourceVideo, numbers: list[int], size: tuple[int, int]
) -> Iterator[NDArray[np.uint8]]:
    """Frames of these numbers in the order of showing, which rise."""
    wanted = iter(numbers)
    following = next(wanted, None)
    for number, frame in _decoded(video):
        if following is not None and number > following:  # only of pictures: one is damaged
            raise MediaError(f"{video.path}: frame {following} cannot be decoded")
        if number == following:
            yield _to_rgb(frame, video.info, size)
            following = next(wanted, None)
        if following is None:
            return


def _decoded(video: SourceVideo) -> Iterator[tuple[int, av.VideoFrame]]:
    """All frames to show, in that order, with their numbers."""
    if video.pictures:
        yield from video.pictures.frames()
        return
    decoded = 0
    with open_source(video.path) as container:
        stream = main_video_stream(container, video.path)
        stream.thread_type = "SLICE"  # no frames decoded ahead for whoever takes only the first
        try:
            for packet in video_packets(container, video.stream_index):
                for frame in stream.decode(packet):
                    yield decoded, frame
                    decoded += 1
            yield from enumerate(stream.decode(None), decoded)
        except av.FFmpegError as error:
            raise MediaError(
                f"{video.path}: cannot be decoded after {counted(decoded, 'frames')} "
                f"({error.strerror}); compare files that are whole"
            ) from error


def _to_rgb(
    frame: av.VideoFrame, stream: VideoStreamInfo, size: tuple[int, int]
) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = to_bytes(
        yuv_to_rgb(source_planes(frame, stream, size), source_encoding(stream))
    )[0]
    return pixels
