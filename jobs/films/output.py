"""Where films go: one to a name, several into a folder; and what each style's is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.specs.applying import StylizeVideo
from nst_core.errors import InputError
from nst_core.wording import quoted
from pipeline.encoding.encoders import CONTAINERS
from pipeline.films.sources import FoundVideo, find_videos, is_one_video


@dataclass(frozen=True)
class PlannedFilm:
    """A film and its output."""

    path: Path
    output: Path
    problem: str | None = None
    """Why it cannot be done, where that is known."""


def planned_films(job: StylizeVideo) -> list[PlannedFilm]:
    """Return every film with its output. Raises InputError.

    In a folder names are kept, those below folders and globs with their folders. An ending that
    cannot be written (``.avi``, ``.ts``) becomes ``.mkv``, which holds most. With a ``mark`` it
    stands behind the name: ``film-wave.mp4``.
    """
    found = find_videos(job.inputs, output=job.output)
    if not _is_folder(job, found):
        return [PlannedFilm(found[0].path, _marked(job.output, job.mark))]
    films = [
        PlannedFilm(
            each.path, _marked(job.output / _written(each.name), job.mark), problem=each.problem
        )
        for each in found
    ]
    _check_names(films)
    return films


def make_folders(job: StylizeVideo, films: Sequence[PlannedFilm]) -> None:
    """Make the folders that outputs go into, where the output is a folder. Raises InputError."""
    if films[0].output.parent == job.output.parent and len(films) == 1 and not job.into_folder:
        return  # beside a name nothing is made: it may be mistyped
    for folder in dict.fromkeys(each.output.parent for each in films if not each.problem):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"-o {job.output}: {folder} cannot be made ({error.strerror})"
            ) from error


def _is_folder(job: StylizeVideo, found: Sequence[FoundVideo]) -> bool:
    """Whether the output is a folder. Raises InputError for a film's name for several."""
    asked = job.output
    one = len(job.inputs) == 1 and is_one_video(job.inputs[0])
    if job.into_folder or asked.is_dir():
        if asked.exists() and not asked.is_dir():
            raise InputError(f"-o {asked}/: there is a file of that name; name another folder")
        return True
    if one:
        return not asked.suffix and not asked.exists()
    if asked.exists():
        raise InputError(f"-o {asked}: a file; several inputs need a folder")
    if asked.suffix.lower() in CONTAINERS:
        raise InputError(
            f"-o {asked}: a video's name, and there may be several; name a folder "
            f"({quoted(asked)}/ where it is to be called so)"
        )
    return True


def _written(name: str) -> str:
    path = Path(name)
    return name if path.suffix.lower() in CONTAINERS else str(path.with_suffix(".mkv"))


def _marked(output: Path, mark: str) -> Path:
    return output.with_name(f"{output.stem}-{mark}{output.suffix}") if mark else output


def _check_names(films: Sequence[PlannedFilm]) -> None:
    seen: dict[Path, Path] = {}
    for film in films:
        if film.problem:
            continue
        if film.output in seen:
            raise InputError(
                f"{seen[film.output]} and {film.path} would both become {film.output}; "
                "give them different names, or stylize them apart"
            )
        seen[film.output] = film.path
