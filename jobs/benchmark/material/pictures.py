"""Frames and photographs that are measured on: a video's, a folder's, or drawn ones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from jobs.benchmark.settings import BenchSettings
from jobs.demo.clip import RATE, draw_frame
from nst_core.errors import InputError

_SECONDS_BETWEEN = 0.7
"""Seconds between the drawn frames that stand for a film."""
_PHOTO_SIZE = (481, 321)
_PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
_DRAWN_SECONDS, _MOST_SECONDS = 5, 10


def moving_pictures(settings: BenchSettings) -> Iterator[Image.Image]:
    """Frames of the video one after the other, of its first 10 s; else 5 s of drawn ones."""
    if settings.video is None:
        yield from (draw_frame(number / RATE) for number in range(_DRAWN_SECONDS * RATE))
        return
    with av.open(str(settings.video)) as container:
        for frame in islice(container.decode(video=0), _MOST_SECONDS * RATE):
            yield frame.to_image()


def still_frames(
    settings: BenchSettings, count: int, *, width: int, height: int
) -> NDArray[np.uint8]:
    """Frames far from each other: uint8, ``count`` x ``height`` x ``width`` x 3."""
    if settings.video is None:
        images = [draw_frame(_SECONDS_BETWEEN * number) for number in range(min(count, 8))]
    else:
        every = list(moving_pictures(settings))
        images = every[:: max(1, len(every) // count)]
    if not images:
        raise InputError(f"{settings.video}: no frame in it")
    scaled = [np.asarray(image.convert("RGB").resize((width, height))) for image in images]
    return np.stack(list(islice(cycle(scaled), count)))


def as_tensor(frames: NDArray[np.uint8]) -> Tensor:
    """Uint8 N x H x W x 3 to float32 N x 3 x H x W in [0, 1]."""
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float().div(255).contiguous()


def photo_folder(settings: BenchSettings, count: int) -> Path:
    """Make a folder of ``count`` photographs, fewer where --photos has fewer; made once a run."""
    folder = settings.folder / f"photos-{count}"
    if folder.exists():
        return folder
    folder.mkdir()
    if settings.photos is None:
        for number in range(count):
            picture = draw_frame(number / 5).resize(_PHOTO_SIZE)
            picture.save(folder / f"{number:04}.jpg", quality=92)
        return folder
    found = sorted(path for path in settings.photos.rglob("*") if _is_photo(path))
    if not found:
        raise InputError(f"--photos {settings.photos}: no JPEG or PNG in it")
    for number, path in enumerate(found[:count]):
        shutil.copy(path, folder / f"{number:04}{path.suffix}")
    return folder


def _is_photo(path: Path) -> bool:
    return path.suffix.lower() in _PHOTO_SUFFIXES and path.is_file()
