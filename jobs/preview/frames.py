"""What a preview shows: frames of films and pictures of folders, a few of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.applying.upscale import sort_sources
from jobs.specs.preview import Preview
from nst_core.errors import InputError, NstError
from nst_core.pictures.encoding import decode_picture
from nst_core.pictures.formats import MAX_PIXELS
from pipeline.films.film_frames import frames_at, spread_frames
from pipeline.pictures.inputs.masks import Mask, read_mask, with_masks
from pipeline.pictures.inputs.sources import find_images
from pipeline.storage.files import StoredFile
from pipeline.storage.open import storage_for

Thing = TypeVar("Thing")


def _as_it_is(picture: Image.Image) -> Image.Image:
    return picture


@dataclass(frozen=True, repr=False)
class Shown:
    """One frame or picture, ready for the network."""

    input: str
    """The film or picture that it is of."""
    rgb: NDArray[np.uint8]
    """H x W x 3, as the network sees it."""
    full_size: tuple[int, int]
    """Width and height in the input."""
    seconds: float | None = None
    """When it is shown in a film; None: a picture."""
    displayed: Callable[[Image.Image], Image.Image] = _as_it_is
    """Turns and stretches a film's frame, and lays a transparent picture on white."""
    is_hdr: bool = False
    """Whether a high dynamic range was brought down."""
    mask: Mask | None = None
    """That of a picture."""

    @property
    def label(self) -> str:
        """Name it in a line."""
        name = Path(self.input).name
        return name if self.seconds is None else f"{name} at {timecode(self.seconds)}"

    def __repr__(self) -> str:
        height, width, _ = self.rgb.shape
        return f"Shown({self.label}, {width}x{height})"


@dataclass(frozen=True)
class Failure:
    """An input of which nothing can be shown."""

    path: str
    error: str


def shown_of(job: Preview, times: Sequence[Fraction]) -> Iterator[Shown | Failure]:
    """Yield what is shown of the inputs, in their order, and what cannot be.

    Of a film, a folder or a glob that are ``job.frames``, spread over it. Raises
    EnvironmentProblem for storage that does not answer.
    """
    for source in job.inputs:
        try:
            sources = sort_sources([source], str(job.output))
            pictures = [
                each
                for name in sources.pictures
                for each in sorted(find_images([name]), key=lambda found: found.path)
            ]
        except InputError as error:
            yield Failure(source, str(error))
            continue
        for unseen in sources.unseen:
            yield Failure(unseen.path, str(unseen.problem))
        films = spread(sources.videos, job.frames)
        for film in films:
            yield from _of_film(job, film, max(1, job.frames // len(films)), times)
        for picture in spread(pictures, job.frames):
            yield _of_picture(picture, job)


def spread(things: Sequence[Thing], count: int) -> list[Thing]:
    """Return ``count`` of them, from all over the list; all where there are no more."""
    count = min(count, len(things))
    return [things[(2 * number + 1) * len(things) // (2 * count)] for number in range(count)]


def timecode(seconds: float) -> str:
    """``0:07.5``, ``1:02:03``."""
    minutes, rest = divmod(round(seconds, 2), 60)
    hours, minutes = divmod(int(minutes), 60)
    digits = f"{rest:05.2f}".rstrip("0").rstrip(".")
    return f"{hours}:{minutes:02}:{digits}" if hours else f"{minutes}:{digits}"


def _of_film(
    job: Preview, path: Path, count: int, times: Sequence[Fraction]
) -> Iterator[Shown | Failure]:
    try:
        frames = (
            frames_at(path, times, max_side=job.max_side)
            if times
            else spread_frames(path, count, max_side=job.max_side)
        )
    except NstError as error:
        yield Failure(str(path), str(error))
        return
    for frame in frames:
        yield Shown(str(path), frame.rgb, frame.full_size, frame.seconds, frame.shown, frame.is_hdr)


def _of_picture(found: StoredFile, job: Preview) -> Shown | Failure:
    try:
        if job.timeline:
            raise InputError(f"{found.path}: a picture, and --timeline is for films; leave one out")
        (found,) = with_masks(iter([found]), str(job.mask) if job.mask else None)
        if found.problem:
            raise InputError(found.problem)
        picture = decode_picture(storage_for(found.path).read(found.path), name=found.path)
        image = Image.fromarray(picture.rgb)
        full_size = image.size
        image.thumbnail((job.max_side, job.max_side), Image.Resampling.LANCZOS)
        mask = None
        if found.mask:
            content = storage_for(found.mask).read(found.mask)
            mask = read_mask(content, name=found.mask, size=image.size, max_pixels=MAX_PIXELS)
    except NstError as error:
        return Failure(found.path, str(error))
    displayed = _as_it_is
    if picture.alpha is not None:
        alpha = Image.fromarray(picture.alpha).resize(image.size, Image.Resampling.LANCZOS)
        displayed = partial(_on_white, alpha)
    return Shown(found.path, np.asarray(image), full_size, displayed=displayed, mask=mask)


def _on_white(alpha: Image.Image, picture: Image.Image) -> Image.Image:
    return Image.composite(picture, Image.new("RGB", picture.size, "white"), alpha)
