"""The first frame of a stream, decoded through its container: it brings what packets do not.

HDR metadata and rotation that a container holds reach frames by the container's own decoder only.
"""

from __future__ import annotations

import math
from typing import Any, cast

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.stream import VideoStream

from pipeline.source.line_order import lines_from_above

_NO_CHROMA = 128


def first_frame(
    container: InputContainer, stream: VideoStream, *, decoder: str | None = None
) -> av.VideoFrame | None:
    """Decode one frame, by a named decoder or the container's own; None where that fails."""
    try:
        if decoder is None:
            stream.thread_type = "SLICE"
            return next(container.decode(stream), None)
        context = cast("av.VideoCodecContext", av.VideoCodecContext.create(decoder, "r"))
        packets = container.demux(stream)
        return next((frame for packet in packets for frame in context.decode(packet)), None)
    except (av.FFmpegError, IndexError):  # PyAV's, where the file brings streams after its start
        return None


def display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    """Nine numbers in 16.16 and 2.30 fixed point: rotation and mirroring for the player."""
    data = side_data(frame, "DISPLAYMATRIX")
    if data is not None:
        return tuple(np.frombuffer(data, dtype=np.int32).tolist())
    return _rotation(frame.rotation) if frame.rotation else None


def _rotation(degrees: int) -> tuple[int, ...]:
    """Return the matrix of a turn, for frames whose side data PyAV cannot list; no mirroring."""
    turn = math.radians(degrees)
    cosine, sine = (round(65536 * of(turn)) for of in (math.cos, math.sin))
    return (cosine, -sine, 0, sine, cosine, 0, 0, 0, 1 << 30)


def shows_through(frame: av.VideoFrame) -> bool:
    """Whether any of its pixels is not opaque: GIFs and PNGs have alpha, most without a use."""
    rgba = frame.reformat(format="rgba").to_ndarray()
    return bool((rgba[..., 3] < 255).any())


def is_colorless(frame: av.VideoFrame) -> bool:
    """Whether a frame of YUV with 8 bits is grey throughout: encoders store grey so."""
    stored = frame.format
    if not stored.name.startswith("yuv") or max(part.bits for part in stored.components) > 8:
        return False
    if len(frame.planes) < 3:
        return False
    for plane in lines_from_above(frame).planes[1:3]:
        lines = np.frombuffer(cast("Any", plane), np.uint8).reshape(-1, plane.line_size)
        if np.any(lines[: plane.height, : plane.width] != _NO_CHROMA):
            return False
    return True


def side_data(frame: av.VideoFrame, name: str) -> bytes | None:
    """FFmpeg's structure of that name, as it lies in memory."""
    try:
        kinds = list(frame.side_data)
    except ValueError:  # one that PyAV has no name for, such as EXIF, hides the others
        return None
    for one in kinds:
        typed: Any = one  # PyAV types iterating over side data as over names
        if typed.type == SideDataType[name]:
            return bytes(typed)
    return None
