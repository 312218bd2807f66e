"""Two videos decoded side by side: a source, and what was made of it, frame for frame as RGB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from nst_core.color import Matrix
from nst_core.errors import MediaError
from pipeline.frames import EXACT
from pipeline.segment_worker import yuv_encoding
from pipeline.source_video import (
    SourceVideo,
    VideoStreamInfo,
    main_video_stream,
    open_source,
    probe,
    video_packets,
)

_COLORSPACES: dict[Matrix, Colorspace] = {
    "bt601": Colorspace.ITU601,
    "bt709": Colorspace.ITU709,
    "bt2020": Colorspace.BT2020,
}


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
    return VideoPair(probe(source), probe(output))


def _rgb_frames(video: SourceVideo, width: int, height: int) -> Iterator[NDArray[np.uint8]]:
    """Frames to show, in that order."""
    converter = VideoReformatter()
    decoded = 0
    with open_source(video.path) as container:
        stream = main_video_stream(container, video.path)
        # Not "AUTO": whoever takes only the first frames closes the decoder while its frame threads
        # work, and one that then logs waits for the GIL, which the closing thread holds: for ever.
        stream.thread_type = "SLICE"
        try:
            for packet in video_packets(container, video.stream_index):
                for frame in stream.decode(packet):
                    yield _to_rgb(converter, frame, video.info, width, height)
                    decoded += 1
            for frame in stream.decode(None):
                yield _to_rgb(converter, frame, video.info, width, height)
        except av.FFmpegError as error:
            raise MediaError(
                f"{video.path}: cannot be decoded after {decoded} frames "
                f"({error.strerror}); compare files that are whole"
            ) from error


def _to_rgb(
    converter: VideoReformatter,
    frame: av.VideoFrame,
    stream: VideoStreamInfo,
    width: int,
    height: int,
) -> NDArray[np.uint8]:
    encoding = yuv_encoding(stream)
    # Every colour argument must be given: swscale's own guesses differ between directions.
    source = (
        {}
        if frame.format.is_rgb
        else {
            "src_colorspace": _COLORSPACES[encoding.matrix],
            "src_color_range": ColorRange.JPEG if encoding.full_range else ColorRange.MPEG,
        }
    )
    converted = converter.reformat(
        frame,
        width=width,
        height=height,
        format="rgb24",
        dst_color_range=ColorRange.JPEG,
        interpolation=EXACT,
        threads=1,
        **source,
    )
    return np.asarray(converted.to_ndarray(), dtype=np.uint8)
