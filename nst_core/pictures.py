"""Pictures between files and tensors: reading, shrinking, sheets for people to look at."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from nst_core.errors import MediaError

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"})


_MODES_OF_RGB_PROFILES = frozenset({"RGB", "RGBA", "P"})


def read_upright(path: Path, *, shrink_towards: int | None = None) -> Image.Image:
    """Read a picture of any mode as 8-bit RGB, or RGBA where it has transparency.

    It is turned upright as its EXIF says. ``shrink_towards`` lets a JPEG decode at a half,
    quarter or eighth, as long as no side falls below that many pixels: much faster for training.
    Raises MediaError.
    """
    try:
        with Image.open(path) as file:
            if shrink_towards is not None:
                file.draft("RGB", (shrink_towards, shrink_towards))
            image = _eight_bits(_upright(file))
            if image.mode not in _MODES_OF_RGB_PROFILES:
                image.info.pop("icc_profile", None)  # it would be wrong for RGB
            return image.convert("RGBA" if image.has_transparency_data else "RGB")
    except FileNotFoundError as error:
        raise MediaError(f"{path}: no such file") from error
    except UnidentifiedImageError as error:
        raise MediaError(f"{path}: not a picture in a known format") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError(f"{path}: cannot be read ({error})") from error


def read_rgb(path: Path, *, shrink_towards: int | None = None) -> Image.Image:
    """Read a picture as RGB, upright; transparency is dropped. Raises MediaError."""
    return read_upright(path, shrink_towards=shrink_towards).convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (struct.error, AttributeError, TypeError, ValueError):
        image.load()
        return image  # EXIF against the rules tells no orientation


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey: Pillow's own conversion clips it, and nearly all becomes white."""
    if not image.mode.startswith("I"):
        return image
    grey = np.asarray(image, dtype=np.float64)
    scaled = Image.fromarray((grey / 257).round().clip(0, 255).astype(np.uint8))
    scaled.info = image.info
    return scaled


def resize_shorter_side(image: Image.Image, size: int) -> Image.Image:
    """Resize so that the shorter side is ``size`` pixels (antialiased)."""
    factor = size / min(image.size)
    width, height = (max(size, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def to_tensor(image: Image.Image) -> Tensor:
    """RGB picture to 1 x 3 x H x W in [0, 1]."""
    pixels = torch.from_numpy(np.array(image, dtype=np.uint8))
    return pixels.permute(2, 0, 1)[None].float() / 255


def to_picture(image: Tensor) -> Image.Image:
    """1 x 3 x H x W or 3 x H x W in [0, 1] to a picture, rounded to nearest."""
    pixels = image.detach().float().cpu().reshape(3, *image.shape[-2:])
    array = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
    return Image.fromarray(array.contiguous().numpy())


def sheet(rows: Sequence[Sequence[Image.Image]], *, cell_height: int, gap: int = 6) -> Image.Image:
    """Lay pictures out in rows on white, each scaled to ``cell_height``."""
    scaled = [
        [
            picture.resize(
                (max(1, round(picture.width * cell_height / picture.height)), cell_height),
                Image.Resampling.LANCZOS,
            )
            for picture in row
        ]
        for row in rows
    ]
    width = max(sum(picture.width + gap for picture in row) + gap for row in scaled)
    result = Image.new("RGB", (width, len(scaled) * (cell_height + gap) + gap), "white")
    for number, row in enumerate(scaled):
        x = gap
        for picture in row:
            result.paste(picture, (x, gap + number * (cell_height + gap)))
            x += picture.width + gap
    return result
