"""Frames between PyAV and the network: 8-bit 4:2:0 planes, without a needless conversion."""

from __future__ import annotations

from typing import Any, cast

import av
import numpy as np
import torch
import torch.nn.functional as F
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray
from torch import Tensor

from nst_core.color import Yuv420
from pipeline.encoders import OutputFrame
from pipeline.source_video import VideoStreamInfo

_NO_CONVERSION = frozenset({"yuv420p", "yuvj420p"})
_COLORSPACES = {
    1: Colorspace.ITU709,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
}
EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
"""How swscale converts without shortcuts that cost accuracy."""


def to_yuv420(frame: av.VideoFrame, stream: VideoStreamInfo, output: OutputFrame) -> av.VideoFrame:
    """Bring a decoded frame to the network's size in 8-bit 4:2:0, matrix and range unchanged."""
    width, height = output.taken_size
    if (frame.width, frame.height) == (width, height) and frame.format.name in _NO_CONVERSION:
        return frame
    untagged = Colorspace.ITU709 if stream.high_definition else Colorspace.ITU601
    colorspace = _COLORSPACES.get(stream.color.matrix, untagged)
    color_range = ColorRange.JPEG if stream.full_range else ColorRange.MPEG
    # Every colour argument must be given: swscale's own guesses differ between directions.
    source = (
        {}
        if frame.format.is_rgb
        else {"src_colorspace": colorspace, "src_color_range": color_range}
    )
    return VideoReformatter().reformat(
        frame,
        width=width,
        height=height,
        format="yuv420p",
        dst_colorspace=colorspace,
        dst_color_range=color_range,
        interpolation=EXACT,
        threads=1,
        **source,
    )


def yuv_of_frame(frame: av.VideoFrame) -> Yuv420:
    """Copy the planes of a yuv420p frame."""
    luma, cb, cr = (torch.from_numpy(_plane(frame, number)) for number in range(3))
    return Yuv420(luma[None], torch.stack((cb, cr))[None])


def join_yuv(frames: list[Yuv420]) -> Yuv420:
    """Batch frames of one size."""
    return Yuv420(
        torch.cat([frame.luma for frame in frames]), torch.cat([frame.chroma for frame in frames])
    )


def split_yuv(frames: Yuv420) -> list[Yuv420]:
    """Undo join_yuv."""
    return [
        Yuv420(luma[None], chroma[None])
        for luma, chroma in zip(frames.luma, frames.chroma, strict=True)
    ]


def frame_from_yuv(yuv: Yuv420, output: OutputFrame) -> av.VideoFrame:
    """Make the frame to encode, padded by repetition to the encoded size."""
    luma = _pad(yuv.luma, output.height, output.width)[0].numpy()
    chroma = _pad(yuv.chroma, -(-output.height // 2), -(-output.width // 2))[0].numpy()
    frame = av.VideoFrame(output.width, output.height, "yuv420p")
    for plane, pixels in zip(frame.planes, (luma, chroma[0], chroma[1]), strict=True):
        _fill(plane, pixels)
    if output.encoder.pixel_format != "yuv420p":
        frame = frame.reformat(format=output.encoder.pixel_format, interpolation=EXACT)
    return frame


def _plane(frame: av.VideoFrame, number: int) -> NDArray[np.uint8]:
    """Copy a plane without the padding at the end of its lines."""
    plane = frame.planes[number]
    lines = np.frombuffer(cast("Any", plane), np.uint8).reshape(-1, plane.line_size)
    result: NDArray[np.uint8] = lines[: plane.height, : plane.width].copy()
    return result


def _fill(plane: av.video.plane.VideoPlane, pixels: NDArray[np.uint8]) -> None:
    lines = np.zeros((plane.buffer_size // plane.line_size, plane.line_size), np.uint8)
    lines[: pixels.shape[0], : pixels.shape[1]] = pixels
    plane.update(lines.tobytes())


def _pad(planes: Tensor, height: int, width: int) -> Tensor:
    bottom, right = height - planes.shape[-2], width - planes.shape[-1]
    if not bottom and not right:
        return planes
    padded = F.pad(
        planes.float().reshape(1, -1, *planes.shape[-2:]), (0, right, 0, bottom), "replicate"
    )
    return padded.to(torch.uint8).reshape(*planes.shape[:-2], height, width)
