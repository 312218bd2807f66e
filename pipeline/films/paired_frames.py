"""Two videos decoded side by side: a source, and what was made of it, frame for frame as RGB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from nst_core.color.pixels import to_bytes
from nst_core.color.yuv import yuv_to_rgb
from nst_core.errors import MediaError
from nst_core.wording import counted
from pipeline.encoding.output_frame import source_encoding
from pipeline.numbered.probing import probe_film
from pipeline.segments.frames import source_planes
from pipeline.source.media_file import main_video_stream, open_source, video_packets
from pipeline.source.source_video import SourceVideo, VideoStreamInfo


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

    @property
    def source_frames(self) -> int:
        """Frames to show, as counted in the file."""
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

    def frames(self) -> Iterator[FramePair]:
        """Decode as many frames as both have. Raises MediaError for a file that breaks off."""
        width, height = self.size
        whole = (self.output.info.width, self.output.info.height)
        sources = _rgb_frames(self.source, width, height)
        for output, source in zip(_rgb_frames(self.output, *whole), sources, strict=False):
            yield FramePair(source, output[:height, :width])


def open_pair(source: Path, output: Path) -> VideoPair:
    """Probe both. Raises MediaError for a file that is no video, or has no usable timestamps."""
    return VideoPair(probe_film(source), probe_film(output))


def _rgb_frames(video: SourceVideo, width: int, height: int) -> Iterator[NDArray[np.uint8]]:
    """Frames to show, in that order."""
    if video.pictures:
        for frame in video.pictures.frames():
            yield _to_rgb(frame, video.info, (width, height))
        return
    decoded = 0
    with open_source(video.path) as container:
        stream = main_video_stream(container, video.path)
        stream.thread_type = "SLICE"  # no frames decoded ahead for whoever takes only the first
        try:
            for packet in video_packets(container, video.stream_index):
                for frame in stream.decode(packet):
                    yield _to_rgb(frame, video.info, (width, height))
                    decoded += 1
            for frame in stream.decode(None):
                yield _to_rgb(frame, video.info, (width, height))
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
