"""Masks of pictures: found by their names, read, and what they part blended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from nst_core.color.codes import Pixels
from nst_core.errors import InputError
from nst_core.file_kinds import kind_of
from nst_core.pictures.decoding import decode
from nst_core.pictures.formats import PICTURE_SUFFIXES
from pipeline.storage.files import Storage, StoredFile, below
from pipeline.storage.open import storage_for

_ROWS = 256
"""Rows that are blended at a time: numbers between take four times the memory of pixels."""

Mask = NDArray[np.uint8]
"""H x W, 255 where the style is seen."""


def with_masks(found: Iterator[StoredFile], mask: str | None) -> Iterator[StoredFile]:
    """Yield pictures with their masks: ``mask`` itself, or of their names in the folder it is.

    None: they have none. A picture's version is that of both; where there is no mask that is its
    problem. Raises InputError where ``mask`` is neither a file nor a folder.
    """
    if mask is None:
        yield from found
        return
    storage = storage_for(mask)
    path = storage.resolved(mask)
    if storage.is_folder(path):
        for each in found:
            yield _with_mask(each, _of_name(storage, path, each.name), mask)
        return
    if not storage.is_file(path):
        raise InputError(f"--mask {mask}: no such file or folder")
    if not storage.is_remote and kind_of(Path(path)) == "video":
        raise InputError(f"--mask {mask}: a video; pictures take a picture, or a folder of them")
    one = storage.find(path)
    for each in found:
        yield _with_mask(each, one, mask)


def read_mask(content: bytes, *, name: str, size: tuple[int, int], max_pixels: int) -> Mask:
    """Read a mask for a picture of a width and height; what is transparent counts as black.

    Of another shape it is stretched. Raises MediaError.
    """
    image = decode(content, name=name, max_pixels=max_pixels).image
    grey = image.convert("L")
    if image.mode == "RGBA":
        grey = ImageChops.multiply(grey, image.getchannel("A"))
    if grey.size != size:
        grey = grey.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(grey)


def blended(inside: Pixels, outside: Pixels, mask: Mask) -> Pixels:
    """Blend two pictures, H x W x 3 of whole numbers, rounded to nearest."""
    result = np.empty_like(inside)
    for start in range(0, len(result), _ROWS):
        rows = slice(start, start + _ROWS)
        weights = mask[rows, :, None].astype(np.uint32)
        result[rows] = (inside[rows] * weights + outside[rows] * (255 - weights) + 127) // 255
    return result


def _of_name(storage: Storage, folder: str, name: str) -> StoredFile | None:
    """Find the picture of a name in a folder, of the same ending or else another."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122
    for ending in dict.fromkeys((suffix, ".png", *sorted(PICTURE_SUFFIXES))):
        path = below(folder, stem + ending)
        if storage.is_file(path):
            return storage.find(path)
    return None


def _with_mask(found: StoredFile, mask: StoredFile | None, folder: str) -> StoredFile:
    if found.problem or found.is_carried:
        return found
    if mask is None:
        stem = os.path.splitext(found.name)[0]  # noqa: PTH122
        return replace(found, problem=f"{found.path}: no mask of it in {folder}; have {stem}.png")
    return replace(found, version=f"{found.version}+{mask.version}", mask=mask.path)
