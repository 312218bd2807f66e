"""Rows of pictures that show what a training has come to."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from PIL import Image, ImageOps
from torch import Tensor

from nst_core.color.pixels import to_picture, to_tensor
from nst_core.errors import MediaError
from nst_core.networks.generator import Generator
from nst_core.objectives.settings import Degradation
from nst_core.training.degradation import downscale, upscale_bicubic
from pipeline.pictures.inputs.training_photos import read_photo

_log = logging.getLogger(__name__)

_PHOTOS = 4
CELL_HEIGHT = 256
_CELL = (336, CELL_HEIGHT)
"""Size of every photo in a sheet, so that columns line up; both are multiples of 16."""

Pictures = Sequence[Image.Image]
Rows = list[list[Image.Image]]


def preview_photos(paths: Sequence[str]) -> list[Image.Image]:
    """A few photos from all over the list; one that cannot be read gives way to the next."""
    stride = max(1, len(paths) // _PHOTOS)
    photos: list[Image.Image] = []
    for path in (*paths[::stride], *paths):
        if len(photos) == min(_PHOTOS, len(paths)):
            break
        try:
            photo = read_photo(path, CELL_HEIGHT)
            photos.append(ImageOps.fit(photo, _CELL, Image.Resampling.LANCZOS))
        except MediaError as error:
            _log.info("no preview of it: %s", error)  # the training's report names it
    return photos


def paintings(images: Pictures) -> list[Image.Image]:
    """Style images above the columns of their styles, with a blank above the photos."""
    padded = (ImageOps.pad(image, _CELL, color="white") for image in images)
    return [Image.new("RGB", _CELL, "white"), *padded]


def stylized(generator: Generator, photos: Pictures, rows: Sequence[int]) -> Rows:
    """Each photo, and it in the styles of the generator's ``rows``."""
    mixtures: list[tuple[Tensor, ...]] = [()]
    if generator.styles:
        mixtures = [(torch.eye(generator.styles)[row][None],) for row in rows]
    with _evaluating(generator):
        return [
            [photo, *(_run(generator, to_tensor(photo), *mixture) for mixture in mixtures)]
            for photo in photos
        ]


def drawn(generator: Generator, count: int) -> list[Image.Image]:
    """Pictures that the generator makes of its noise."""
    blank = torch.zeros(1, 3, CELL_HEIGHT, CELL_HEIGHT)
    with _evaluating(generator):
        return [_run(generator, blank) for _ in range(count)]


def enlarged(generator: Generator, photos: Pictures, scale: int, degradation: Degradation) -> Rows:
    """Each photo made small and enlarged by bicubic and by the generator; the photo itself."""
    rows = []
    with _evaluating(generator):
        for photo in photos:
            low = downscale(photo, scale, degradation)
            rows.append([upscale_bicubic(low, scale), _run(generator, to_tensor(low)), photo])
    return rows


def _run(generator: Generator, *inputs: Tensor) -> Image.Image:
    device = next(generator.parameters()).device
    with torch.no_grad():
        return to_picture(generator(*(each.to(device) for each in inputs)))


@contextmanager
def _evaluating(generator: Generator) -> Iterator[None]:
    """Evaluation mode for a while, with noise that is always the same."""
    generator.eval()
    generator.unwrapped.seed_noise(0)
    try:
        yield
    finally:
        generator.train()
