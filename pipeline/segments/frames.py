"""Frames between PyAV and the network: planes as they are stored, without a needless conversion."""

from __future__ import annotations

from typing import Any, cast

import av
import numpy as np
import torch
import torch.nn.functional as F
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from nst_core.color.linear_light import clips
from nst_core.color.yuv import YuvFrames
from pipeline.encoding.output_frame import OutputFrame
from pipeline.source.line_order import lines_from_above
from pipeline.source.pixel_formats import EXACT, PlaneLayout
from pipeline.source.source_video import VideoStreamInfo

_COLORSPACES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
}


def source_planes(
    frame: av.VideoFrame, stream: VideoStreamInfo, size: tuple[int, int]
) -> YuvFrames:
    """Take a decoded frame's planes, brought to a (width, height) and to the stream's layout.

    They share the frame's memory where nothing is to be brought: join them before it is reused.
    """
    layout = stream.layout
    if layout.is_float:
        return _light(frame, size, alpha=layout.alpha)
    stored = frame.format.name.replace("yuvj", "yuv", 1)
    if (frame.width, frame.height) != size or stored != layout.pixel_format:
        frame = _reformatted(frame, stream, size)
    luma, *others = (_samples(plane, _dtype(layout)) for plane in lines_from_above(frame).planes)
    chroma = torch.from_numpy(np.stack(others[:2]))[None]
    alpha = torch.from_numpy(others[2])[None] if layout.alpha else None
    return YuvFrames(torch.from_numpy(luma)[None], chroma, alpha)


def frame_to_encode(planes: YuvFrames, output: OutputFrame) -> av.VideoFrame:
    """Make one frame to encode, of the encoder's layout, padded by repetition to its size."""
    settings = output.encoder
    frame = av.VideoFrame(output.width, output.height, settings.layout.pixel_format)
    is_half = ("format", "half") in settings.options
    stored = [planes.luma[0], *planes.chroma[0]]
    if planes.alpha is not None and settings.layout.alpha:
        stored.append(planes.alpha[0])
    for number, plane in enumerate(frame.planes):
        samples = _samples(plane, _dtype(settings.layout))
        if number < len(stored):
            picture = stored[number]
            # FFmpeg would cut what half floats do not hold.
            _fill(samples, (picture.half() if is_half else picture).numpy())
        else:
            samples[:] = 1 if settings.layout.is_float else 2**settings.layout.depth - 1  # opaque
    return frame


def loses_alpha(planes: YuvFrames, stream: VideoStreamInfo, output: OutputFrame) -> bool:
    """Whether frames let something through and the output cannot."""
    if planes.alpha is None or output.encoder.layout.alpha:
        return False
    if stream.layout.is_float:
        return bool((planes.alpha < 1).any())
    return bool((planes.alpha.int() < 2**stream.layout.depth - 1).any())


def loses_light(planes: YuvFrames) -> bool:
    """Whether frames of light are brighter than what networks see."""
    return any(clips(light, planes.alpha) for light in (planes.luma[:, None], planes.chroma))


def shows_color(planes: YuvFrames, stream: VideoStreamInfo) -> bool:
    """Whether any chroma sample of YUV frames is not that of grey."""
    return bool((planes.chroma.int() != 1 << (stream.layout.depth - 1)).any())


def _light(frame: av.VideoFrame, size: tuple[int, int], *, alpha: bool) -> YuvFrames:
    """Take the planes of a frame in floating point, halves or floats; grey in all three."""
    dtype = np.dtype(np.float16 if "f16" in frame.format.name else np.float32)
    planes = [_samples(plane, dtype) for plane in lines_from_above(frame).planes]
    planes = planes * 3 if len(planes) == 1 else planes
    if alpha and len(planes) == 3:  # the first frame had some
        planes.append(np.ones_like(planes[0]))
    stack = torch.from_numpy(np.stack(planes[: 3 + alpha]).astype(np.float32))[None]
    if stack.shape[-2:] != size[::-1]:
        stack = F.interpolate(stack, size=size[::-1], mode="bilinear", antialias=True)
    return YuvFrames(stack[:, 0], stack[:, 1:3], stack[:, 3] if alpha else None)


def _reformatted(
    frame: av.VideoFrame, stream: VideoStreamInfo, size: tuple[int, int]
) -> av.VideoFrame:
    """Resize and store otherwise; matrix and range stay as they are."""
    # Every colour argument must be given: swscale's own guesses differ between directions.
    usual = Colorspace.ITU709 if stream.high_definition else Colorspace.ITU601
    colors: dict[str, Any] = {}
    if not stream.layout.rgb:
        colorspace = _COLORSPACES.get(stream.color.matrix, usual)
        # swscale takes every grey for full range; said of both sides, it leaves the numbers.
        full = stream.full_range or stream.pixel_format.startswith(("gray", "ya"))
        color_range = ColorRange.JPEG if full else ColorRange.MPEG
        colors = {"dst_colorspace": colorspace, "dst_color_range": color_range}
        if not frame.format.is_rgb:
            colors |= {"src_colorspace": colorspace, "src_color_range": color_range}
    return VideoReformatter().reformat(
        frame,
        width=size[0],
        height=size[1],
        format=stream.layout.pixel_format,
        interpolation=EXACT,
        threads=1,
        **colors,
    )


def _samples(plane: av.video.plane.VideoPlane, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A plane without the padding at the end of its lines, in the frame's own memory."""
    lines = np.frombuffer(cast("Any", plane), np.uint8).reshape(-1, plane.line_size)
    return lines[: plane.height].view(dtype)[:, : plane.width]


def _dtype(layout: PlaneLayout) -> np.dtype[Any]:
    if layout.is_float:
        return np.dtype(np.float32)
    return np.dtype(np.uint8 if layout.depth == 8 else np.uint16)


def _fill(samples: NDArray[Any], picture: NDArray[Any]) -> None:
    """Copy a picture into a plane at least as large; its last row and column are repeated."""
    height, width = picture.shape
    samples[:height, :width] = picture
    samples[:height, width:] = picture[:, -1:]
    samples[height:] = samples[height - 1]
