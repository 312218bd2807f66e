"""Low-resolution pictures made from high-resolution ones: what super-resolution learns to undo.

``blurred`` is Johnson et al.'s (section 4.2): a Gaussian of sigma 1, then a bicubic interpolation
without antialiasing. ``antialiased`` is the bicubic interpolation with which the bicubic rows of
the standard test sets are made: its kernel, as wide as the scale asks, is itself the low-pass
filter. A network should be measured on the pictures that it was trained on.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from nst_core.color.pixels import to_picture, to_tensor
from nst_core.objectives.settings import Degradation

_SIGMA = 1.0
"""Width of the paper's Gaussian, in pixels of the high resolution."""


def crop_to_multiple(picture: Image.Image, scale: int) -> Image.Image:
    """Cut what is beyond a multiple of ``scale`` pixels, at the right and at the bottom.

    Raises ValueError where nothing would be left.
    """
    width, height = (_multiple(side, scale) for side in picture.size)
    return picture.crop((0, 0, width, height))


def downscale(
    picture: Image.Image, scale: int, degradation: Degradation = "antialiased"
) -> Image.Image:
    """Shrink by ``scale``, antialiased by Pillow's bicubic; cropped to a multiple first.

    Raises ValueError for a scale below 1 and for a side shorter than the scale.
    """
    if degradation == "blurred":
        return to_picture(downscale_batch(to_tensor(picture), scale, degradation))
    cropped = crop_to_multiple(picture, scale)
    size = (cropped.width // scale, cropped.height // scale)
    return cropped.resize(size, Image.Resampling.BICUBIC)


def upscale_bicubic(picture: Image.Image, scale: int) -> Image.Image:
    """Enlarge by ``scale`` with Pillow's bicubic: the row that a network has to beat.

    Raises ValueError for a scale below 1.
    """
    _check_scale(scale)
    size = (picture.width * scale, picture.height * scale)
    return picture.resize(size, Image.Resampling.BICUBIC)


def downscale_batch(images: Tensor, scale: int, degradation: Degradation = "antialiased") -> Tensor:
    """Shrink N x 3 x H x W in [0, 1] to N x 3 x H // scale x W // scale, on any device.

    The twin of downscale, within one step of 8 bits: cropped alike, clamped to [0, 1] and rounded
    to steps of 1/255, as the picture that a user has would be. No gradient passes the rounding.
    Raises ValueError as downscale does.
    """
    height, width = (_multiple(side, scale) for side in images.shape[-2:])
    if degradation == "blurred":
        blurred = _blur(images[..., :height, :width].float())
        return _resize_to_bytes(blurred, height // scale, width // scale, antialias=False)
    # Pillow shrinks the rows, makes bytes of them, then shrinks the columns: where bicubic
    # overshoots black or white, one pass over both would be up to three steps off.
    narrow = _resize_to_bytes(images[..., :height, :width], height, width // scale)
    return _resize_to_bytes(narrow, height // scale, width // scale)


def _blur(images: Tensor) -> Tensor:
    """Convolve with a Gaussian of _SIGMA, rows then columns; borders are repeated outwards."""
    radius = math.ceil(4 * _SIGMA)
    places = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-places.square() / (2 * _SIGMA**2))
    kernel = (kernel / kernel.sum()).repeat(images.shape[1], 1, 1, 1)
    channels = images.shape[1]
    padded = F.pad(images, [radius] * 4, mode="replicate")
    rows = F.conv2d(padded, kernel, groups=channels)
    return F.conv2d(rows, kernel.transpose(2, 3), groups=channels)


def _resize_to_bytes(images: Tensor, height: int, width: int, *, antialias: bool = True) -> Tensor:
    resized = F.interpolate(
        images, size=(height, width), mode="bicubic", align_corners=False, antialias=antialias
    )
    return torch.round(resized.clamp(0, 1) * 255) / 255


def _multiple(side: int, scale: int) -> int:
    _check_scale(scale)
    if side < scale:
        raise ValueError(f"a side of {side} pixels: at least {scale} are needed at scale {scale}")
    return side // scale * scale


def _check_scale(scale: int) -> None:
    if scale < 1:
        raise ValueError(f"scale {scale}: 1 or more is needed")
