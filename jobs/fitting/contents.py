"""Pictures to fit a style on: a few of what is to be stylized, as small files of this run."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TypeVar

from PIL import Image

from jobs.demo.clip import SECONDS, draw_frame
from nst_core.errors import InputError, MediaError
from nst_core.file_kinds import kind_of
from nst_core.pictures.reading import resize_shorter_side
from pipeline.films.film_frames import spread_frames
from pipeline.films.sources import find_videos
from pipeline.pictures.inputs.sources import find_images
from pipeline.pictures.inputs.training_photos import read_photo
from pipeline.storage.files import is_uri

Item = TypeVar("Item")

_log = logging.getLogger(__name__)

MOST = 24
"""Pictures looked at; a fit draws some hundred crops of them."""
_LISTED = 2000
"""Pictures of a large folder among which these are chosen."""
_FILMS, _FRAMES = 6, 8
"""Films looked at, and frames of each."""
_MOMENTS = 6
_LEAST_SIDE, _MOST_SIDE = 224, 384
"""Shorter side, pixels: no less than a crop's."""
_MOST_FILM_SIDE = 2 * _MOST_SIDE


def save_contents(sources: Sequence[str], folder: Path) -> None:
    """Save at most MOST pictures of the sources into ``folder``: photographs, frames of films.

    Of no sources they are moments of the demo's scene. What cannot be read is left out: the run
    itself tells of it. Raises InputError where nothing is found.
    """
    saved = 0
    for picture in islice(_pictures(sources) if sources else _scene(), MOST):
        side = max(_LEAST_SIDE, min(_MOST_SIDE, *picture.size))
        small = resize_shorter_side(picture.convert("RGB"), side)
        small.save(folder / f"{saved:03d}.png", compress_level=1)
        saved += 1
    if not saved:
        raise InputError(f"{', '.join(sources)}: no picture or film that can be read, to fit on")


def _pictures(sources: Sequence[str]) -> Iterator[Image.Image]:
    pictures, films = _found(sources)
    for path in _spread(pictures, MOST):
        try:
            yield read_photo(path, _MOST_SIDE)
        except MediaError as error:
            _log.info("not fitted on: %s", error)
    chosen = _spread(films, _FILMS)
    for film in chosen:
        try:
            count = min(_FRAMES, MOST // len(chosen))
            frames = spread_frames(film, count, max_side=_MOST_FILM_SIDE)
            yield from (Image.fromarray(frame.rgb) for frame in frames)
        except MediaError as error:
            _log.info("not fitted on: %s", error)


def _found(sources: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Find pictures, by path or URI, and films."""
    pictures: list[str] = []
    films: list[Path] = []
    for source in sources:
        if kind_of(Path(source)) == "video":
            films.append(Path(source))
            continue
        with suppress(InputError):  # none in it
            found = islice(find_images([source]), _LISTED)
            pictures += [each.path for each in found if not each.problem]
        if not is_uri(source):
            with suppress(InputError):
                videos = find_videos([Path(source)], output=Path(os.devnull))
                films += [each.path for each in videos if kind_of(each.path) == "video"]
    return pictures, films


def _scene() -> Iterator[Image.Image]:
    return (draw_frame(SECONDS * number / _MOMENTS) for number in range(_MOMENTS))


def _spread(items: Sequence[Item], count: int) -> list[Item]:
    """Return at most ``count`` of them, evenly."""
    number = min(count, len(items))
    return [items[each * len(items) // number] for each in range(number)]
