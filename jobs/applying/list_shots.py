"""The shots of films, listed: where one style could end and another begin."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

from nst_core.errors import NstError
from pipeline.films.shots import Shot, shots_of
from pipeline.films.sources import FoundVideo, find_videos
from pipeline.numbered.probing import probe_film
from pipeline.storage.remote_file import kept_in
from pipeline.work.progress import OnProgress, Pace, ignore_progress

_SECONDS_BETWEEN_SIGNS = 0.5


@dataclass(frozen=True)
class FilmShots:
    """One film's."""

    input: str
    error: str | None = None
    """Why there are none."""
    shots: tuple[Shot, ...] = ()


def list_shots(
    inputs: Sequence[Path],
    on_progress: OnProgress = ignore_progress,
    *,
    fps: Fraction | None = None,
) -> list[FilmShots]:
    """Find the shots of every film; one that fails does not stop the others.

    ``fps`` is the rate of numbered pictures. Raises InputError for a folder or glob without a film.
    """
    films = find_videos(inputs, output=Path(os.devnull))
    return [_of_film(film, fps, on_progress) for film in films]


def _of_film(film: FoundVideo, fps: Fraction | None, on_progress: OnProgress) -> FilmShots:
    if film.problem:
        return FilmShots(str(film.path), film.problem)
    try:
        with TemporaryDirectory() as folder:
            source = probe_film(kept_in(Path(folder), film.path), fps=fps)
            tell = _teller(len(source.packets.shown_pts), film.path.name, on_progress)
            return FilmShots(str(film.path), shots=tuple(shots_of(source, tell)))
    except NstError as error:
        return FilmShots(str(film.path), str(error))


def _teller(frames: int, name: str, on_progress: OnProgress) -> Callable[[int], None]:
    """Return what shows how many of a film's frames have been looked at."""
    pace, began = Pace(), time.monotonic()
    shown, counted = began, 0

    def tell(done: int) -> None:
        nonlocal shown, counted
        now = time.monotonic()
        if now < shown + _SECONDS_BETWEEN_SIGNS:
            return
        pace.add(done - counted, began=began, now=now)
        shown, counted = now, done
        on_progress(replace(pace.progress(done, frames, "frames"), note=name))

    return tell
