"""A source video, described: its main stream, and the index of that stream's packets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Discard, Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

from nst_core.errors import MediaError

# FFmpeg writes to stderr by itself; what goes wrong is told by exceptions and reports instead.
av.logging.set_level(av.logging.PANIC)

_DECLARED_TOO_MANY = 1
"""Some writers of AVI count one frame more than there is."""
_TALL_ENOUGH_FOR_709 = 720
"""Untagged video of at least this height is BT.709 by custom, below it BT.601."""


@dataclass(frozen=True)
class ColorTags:
    """The four colour numbers of a stream, in the code points of ITU-T H.273."""

    range: int
    primaries: int
    transfer: int
    matrix: int


@dataclass(frozen=True)
class VideoStreamInfo:
    """What a decoder far from the file needs to know of the stream."""

    codec: str
    extradata: bytes | None
    codec_tag: str
    bits_per_coded_sample: int
    width: int
    height: int
    pixel_format: str
    time_base: Fraction
    """Seconds of one tick; every PTS counts in it."""
    rate: Fraction
    """Frames a second, on average: the encoder's rate control wants one."""
    sample_aspect_ratio: Fraction | None
    color: ColorTags

    @property
    def full_range(self) -> bool:
        """Whether 0..255 rather than 16..235 spans black to white."""
        return self.color.range == 2 or self.pixel_format.startswith("yuvj")

    @property
    def high_definition(self) -> bool:
        """Whether an untagged stream of this size counts as BT.709."""
        return self.height >= _TALL_ENOUGH_FOR_709


@dataclass(frozen=True, repr=False)
class PacketIndex:
    """Numbers of every packet of the main stream, in decoding order; no picture data."""

    pts: NDArray[np.int64]
    duration: NDArray[np.int64]
    is_keyframe: NDArray[np.bool_]
    is_shown: NDArray[np.bool_]
    """False where an edit list or the codec marks the frame as not to be shown."""

    def __len__(self) -> int:
        return len(self.pts)

    def __repr__(self) -> str:
        return f"PacketIndex({len(self)} packets, {int(self.is_keyframe.sum())} keyframes)"

    @property
    def shown_pts(self) -> NDArray[np.int64]:
        """PTS of the frames to show, in the order of showing."""
        return np.sort(self.pts[self.is_shown])


@dataclass(frozen=True)
class SourceVideo:
    """A video file, probed and indexed."""

    path: Path
    stream_index: int
    info: VideoStreamInfo
    packets: PacketIndex
    display_matrix: tuple[int, ...] | None
    """Nine numbers in 16.16 and 2.30 fixed point: rotation and mirroring for the player."""
    warnings: tuple[str, ...]
    is_whole: bool = True
    """False where the file ends before the frames that it declares."""

    @property
    def last_duration(self) -> int:
        """Ticks for which the last frame is shown."""
        return int(self.packets.duration[np.argmax(self.packets.pts)])


@contextmanager
def open_source(path: Path) -> Iterator[InputContainer]:
    """Open a media file for reading. Raises MediaError for one that cannot be opened."""
    try:
        # Absolute, for FFmpeg takes what is before a colon for a protocol. Strict, the default,
        # raises UnicodeDecodeError at the first Latin-1 tag.
        container = av.open(str(path.absolute()), metadata_errors="surrogateescape")
    except FileNotFoundError as error:
        raise MediaError(f"{path}: no such file") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"{path}: not a readable video ({_reason(error)})") from error
    with container:
        yield container


def probe(path: Path) -> SourceVideo:
    """Describe and index a video: two passes over the container, one frame decoded.

    Raises MediaError where there is no video to decode, or its timestamps are unusable.
    """
    if path.is_dir():
        raise MediaError(f"{path}: a folder; name video files")
    if path.exists() and path.stat().st_size == 0:
        raise MediaError(f"{path}: the file is empty")
    with open_source(path) as container:
        stream = main_video_stream(container, path)
        info = _describe(stream, path)
        index, declared = stream.index, stream.frames
        matrix = _display_matrix(container, stream)
    packets, warnings = _index_packets(path, index)
    whole = not warnings
    if declared > len(packets) + _DECLARED_TOO_MANY:
        whole = False
        warnings = (*warnings, f"the file declares {declared} frames and holds {len(packets)}")
    return SourceVideo(path, index, info, packets, matrix, warnings, whole)


def main_video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Find the first video stream that is not cover art. Raises MediaError."""
    for stream in container.streams.video:
        if stream.codec_context is not None and not (stream.disposition & Disposition.attached_pic):
            return stream
    raise MediaError(f"{path}: no video stream in it")


def video_packets(container: InputContainer, stream_index: int) -> Iterator[av.Packet[Any]]:
    """Demux one stream's packets that carry data, the other streams skipped."""
    chosen = container.streams[stream_index]
    for stream in container.streams:
        if stream is not chosen:
            stream.discard = Discard.all
    for packet in container.demux(chosen):
        if packet.size:
            yield packet


def _describe(stream: VideoStream, path: Path) -> VideoStreamInfo:
    context = stream.codec_context
    if not context.width or not context.height or not context.pix_fmt:
        raise MediaError(f"{path}: no picture size in its video stream; the file is damaged")
    if stream.time_base is None:
        raise MediaError(f"{path}: no time base in its video stream; the file is damaged")
    return VideoStreamInfo(
        codec=context.codec.name,
        extradata=context.extradata,
        codec_tag=context.codec_tag,
        bits_per_coded_sample=context.bits_per_coded_sample,
        width=context.width,
        height=context.height,
        pixel_format=context.pix_fmt,
        time_base=stream.time_base,
        rate=stream.guessed_rate or stream.average_rate or Fraction(25),
        sample_aspect_ratio=stream.sample_aspect_ratio,
        color=ColorTags(
            int(context.color_range),
            int(context.color_primaries),
            int(context.color_trc),
            int(context.colorspace),
        ),
    )


def _display_matrix(container: InputContainer, stream: VideoStream) -> tuple[int, ...] | None:
    """Read the display matrix of the first frame: a bare decoder never sees the container's."""
    stream.thread_type = "SLICE"
    try:
        frame = next(iter(container.decode(stream)), None)
    except av.FFmpegError:
        return None  # the segments will tell what can be decoded
    if frame is None:
        return None
    for side_data in frame.side_data:
        if side_data.type == SideDataType.DISPLAYMATRIX:  # type: ignore[attr-defined]  # PyAV types it str
            numbers = np.frombuffer(bytes(cast("Any", side_data)), dtype=np.int32)
            return tuple(int(number) for number in numbers)
    return None


def _index_packets(path: Path, stream_index: int) -> tuple[PacketIndex, tuple[str, ...]]:
    rows: list[tuple[int | None, int, bool, bool]] = []
    warnings: tuple[str, ...] = ()
    with open_source(path) as container:
        try:
            for packet in video_packets(container, stream_index):
                rows.append(
                    (
                        packet.pts,
                        packet.duration or 0,
                        packet.is_keyframe,
                        not packet.is_discard,
                    )
                )
        except av.FFmpegError as error:
            warnings = (f"the file could be read only in part ({_reason(error)})",)
    if not rows:
        raise MediaError(f"{path}: no packets in its video stream; the file is damaged")
    pts = [row[0] for row in rows]
    if None in pts or len(set(pts)) != len(pts):
        raise MediaError(
            f"{path}: its frames have no timestamps, or some twice; "
            "remux it into an .mkv with proper timestamps first"
        )
    index = PacketIndex(
        pts=np.array(cast("list[int]", pts), dtype=np.int64),
        duration=np.array([row[1] for row in rows], dtype=np.int64),
        is_keyframe=np.array([row[2] for row in rows], dtype=np.bool_),
        is_shown=np.array([row[3] for row in rows], dtype=np.bool_),
    )
    return index, warnings


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
