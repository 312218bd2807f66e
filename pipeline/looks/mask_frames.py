"""The frames of a mask in a worker: decoded beside the film's, and laid on them."""

from __future__ import annotations

import av
import torch
import torch.nn.functional as F
from torch import Tensor

from nst_core.color.luma import luma_of
from nst_core.color.yuv import yuv_to_rgb
from nst_core.errors import MediaError
from pipeline.encoding.output_frame import source_encoding
from pipeline.looks.look import SegmentMask
from pipeline.segments.decoder import SegmentDecoder
from pipeline.segments.frames import source_planes
from pipeline.source.source_video import VideoStreamInfo

_STEPS = 65535.0
"""Weights are multiples of one part of so many, that black and white are exactly 0 and 1."""


class MaskFrames:
    """Gives the weights of a film's pixels, frame by frame in the order of showing."""

    def __init__(self, mask: SegmentMask, size: tuple[int, int]) -> None:
        """``size`` is the width and height of the film's frames, as they are stored."""
        self._mask = mask
        self._size = size
        self._decoder = SegmentDecoder(mask, threads=1)
        self._frames = self._decoder.frames()
        self._next = next(self._frames, None)
        self._weights: Tensor | None = None

    def at(self, pts: int) -> Tensor:
        """Return 1 x H x W weights, 1 where the mask's frame of this time is white.

        One that cannot be decoded leaves the one before it. Raises MediaError where there is none.
        """
        shown = None
        while self._next is not None and (self._next.pts or 0) <= pts:
            shown, self._next = self._next, next(self._frames, None)
        if shown is not None:
            brightness = _brightness(shown, self._mask.stream)
            self._weights = _laid_on(brightness, self._mask.turns, self._size)
        if self._weights is None:
            raise MediaError(f"{self._mask.name}: the mask cannot be decoded there; it is damaged")
        return self._weights

    @property
    def is_damaged(self) -> bool:
        """Whether the decoder complained; known once the last frame has been asked for."""
        return bool(self._decoder.errors or self._decoder.corrupt_pts)


def _brightness(frame: av.VideoFrame, stream: VideoStreamInfo) -> Tensor:
    """Return 1 x H x W from 0 to 1; what is transparent counts as black."""
    encoding = source_encoding(stream)
    planes = source_planes(frame, stream, (stream.width, stream.height))
    if encoding.is_light:  # coverage, which nobody has encoded for displays
        green, (blue, red) = planes.luma, planes.chroma.unbind(1)
        return luma_of(torch.stack((red, green, blue), dim=1))[0].clamp(0, 1)
    luma = luma_of(yuv_to_rgb(planes, encoding))[0]
    if planes.alpha is not None:
        luma = luma * (planes.alpha.float() / (2**encoding.depth - 1))
    return luma


def _laid_on(
    picture: Tensor,
    turns: tuple[tuple[int, ...] | None, tuple[int, ...] | None],
    size: tuple[int, int],
) -> Tensor:
    """Stretch a mask over a film, both as players show them; returns it as the film is stored.

    ``turns`` are both display matrices, ``size`` is the film's.
    """
    of_mask, of_film = map(_turn, turns)
    transposed, mirrored = of_mask
    picture = (picture.transpose(-2, -1) if transposed else picture).flip(mirrored)
    transposed, mirrored = of_film
    picture = picture.flip(mirrored)
    picture = picture.transpose(-2, -1) if transposed else picture
    width, height = size
    if picture.shape[-2:] != (height, width):
        stretched = F.interpolate(
            picture[None], size=(height, width), mode="bilinear", antialias=True
        )
        picture = stretched[0]
    return (picture * _STEPS).round().clamp(0, _STEPS) / _STEPS


def _turn(matrix: tuple[int, ...] | None) -> tuple[bool, list[int]]:
    """Whether a display matrix exchanges rows and columns, and which of the results it mirrors.

    As dimensions to flip. A turn by another angle counts as the right one that is nearest.
    """
    if matrix is None:
        return False, []
    a, b, _, c, d = matrix[:5]  # x is shown at a x + c y, y at b x + d y
    transposed = abs(b) + abs(c) > abs(a) + abs(d)
    to_row, to_column = (b, c) if transposed else (d, a)
    return transposed, [dim for dim, sign in ((-2, to_row), (-1, to_column)) if sign < 0]
