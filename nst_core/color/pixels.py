"""Pixels and pictures of 8 and 16 bits to what networks compute, and back."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from nst_core.color.codes import Code, Pixels


def to_unit_range(pixels: Pixels, device: torch.device) -> Tensor:
    """N x H x W x 3 to N x 3 x H x W float32 in [0, 1], with the channels last in memory."""
    moved = torch.from_numpy(np.array(pixels)).to(device)  # a copy: they may be read-only
    return moved.permute(0, 3, 1, 2).float() / np.iinfo(pixels.dtype).max


def to_bytes(images: Tensor) -> NDArray[np.uint8]:
    """N x 3 x H x W in [0, 1] to N x H x W x 3, rounded to nearest."""
    return to_pixels(images, np.dtype(np.uint8))


def to_pixels(images: Tensor, dtype: np.dtype[Code]) -> NDArray[Code]:
    """N x 3 x H x W in [0, 1] to N x H x W x 3 of uint8 or uint16, rounded to nearest.

    One channel at a time: an enlarged photograph has gigabytes.
    """
    count, channels, height, width = images.shape
    largest = int(np.iinfo(dtype).max)
    stored = torch.uint8 if dtype == np.uint8 else torch.uint16
    result = np.empty((count, height, width, channels), dtype=dtype)
    for channel in range(channels):
        codes = (images[:, channel].float().clamp(0, 1) * largest).round()
        result[..., channel] = codes.to(stored).cpu().numpy()
    return result


def to_tensor(image: Image.Image) -> Tensor:
    """RGB picture to 1 x 3 x H x W in [0, 1]."""
    pixels = torch.from_numpy(np.array(image, dtype=np.uint8))
    return pixels.permute(2, 0, 1)[None].float() / 255


def to_picture(image: Tensor) -> Image.Image:
    """1 x 3 x H x W or 3 x H x W in [0, 1] to a picture, rounded to nearest."""
    pixels = image.detach().float().cpu().reshape(3, *image.shape[-2:])
    array = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
    return Image.fromarray(array.contiguous().numpy())
