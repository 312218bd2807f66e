"""Pictures from files: reading, shrinking, sheets for people to look at."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from nst_core.errors import MediaError
from nst_core.pictures.decoding import decode

_MOST_SLENDER = 8
"""Longer side of a painting by its shorter one."""


def read_file(path: str) -> bytes:
    """Read a file of this machine. Raises MediaError, also for a pipe: it may never end."""
    try:
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise MediaError(f"{path}: a pipe or a device; write it to a file, and name that")
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise MediaError(f"{path}: no such file") from error
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror})") from error


def read_rgb(path: Path) -> Image.Image:
    """Read a picture as sRGB, upright; transparency is dropped. Raises MediaError."""
    return decode(read_file(str(path)), name=str(path)).image.convert("RGB")


def read_painting(path: Path) -> Image.Image:
    """Read a picture whose style is to be learnt, as read_rgb does.

    Raises MediaError, also for one that is so slender that it would fill the memory once its
    shorter side has the size of a painting.
    """
    picture = read_rgb(path)
    if max(picture.size) > _MOST_SLENDER * min(picture.size):
        raise MediaError(
            f"{path}: {picture.width}x{picture.height} pixels, more than {_MOST_SLENDER} times as "
            "long as wide; crop it"
        )
    return picture


def resize_shorter_side(image: Image.Image, size: int) -> Image.Image:
    """Resize so that the shorter side is ``size`` pixels (antialiased)."""
    factor = size / min(image.size)
    width, height = (max(size, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


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
