"""8-bit pixels and pictures to what networks compute, and back."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor


def to_unit_range(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Uint8 N x H x W x 3 to N x 3 x H x W float32 in [0, 1], with the channels last in memory."""
    moved = torch.from_numpy(np.array(pixels)).to(device)  # a copy: they may be read-only
    return moved.permute(0, 3, 1, 2).float() / 255


def to_bytes(images: Tensor) -> NDArray[np.uint8]:
    """N x 3 x H x W in [0, 1] to N x H x W x 3, rounded to nearest.

    One channel at a time: an enlarged photograph has gigabytes.
    """
    count, channels, height, width = images.shape
    result = np.empty((count, height, width, channels), dtype=np.uint8)
    for channel in range(channels):
        pixels = (images[:, channel].clamp(0, 1) * 255).round().to(torch.uint8)
        result[..., channel] = pixels.cpu().numpy()
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
