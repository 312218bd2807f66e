"""Where films go: one to a name, several into a folder; and what each style's is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nst_core.errors import InputError
from nst_core.files import check_can_write
from nst_core.wording import quoted
from pipeline.encoding.encoders import CONTAINERS
from pipeline.films.sources import find_videos, is_one_video
from pipeline.numbered.names import WRITTEN_SUFFIXES, numbering_of
from pipeline.storage.remote_file import RemoteFile, path_of


@dataclass(frozen=True)
class PlannedFilm:
    """A film and its output."""

    path: Path
    output: Path
    problem: str | None = None
    """Why it cannot be done, where that is known."""


def planned_films(
    inputs: Sequence[Path],
    output: Path,
    *,
    into_folder: bool = False,
    mark: str = "",
    others: list[str] | None = None,
) -> list[PlannedFilm]:
    """Return every film with its output. Raises InputError and EnvironmentProblem.

    ``inputs`` are files, numbered pictures, folders of films and globs; ``output`` is a file, or
    numbered pictures, for one film, else a folder, and with ``into_folder`` always one. Files in
    folders that are no films are added to ``others``.

    In a folder names are kept, those below folders and globs with their folders. An ending that
    cannot be written (``.avi``, ``.ts``) becomes ``.mkv``, which holds most. With a ``mark`` it
    stands behind the name: ``film-wave.mp4``.
    """
    inputs = [*map(path_of, inputs)]
    found = find_videos(inputs, output=output, others=others)
    is_one = len(found) == 1 and numbering_of(found[0].path) is not None
    if not (into_folder or output.is_dir()) and not _becomes_folder(inputs, output, is_one=is_one):
        films = [PlannedFilm(found[0].path, _marked(output, mark))]
        _check_numbered(films)
        return films
    if output.exists() and not output.is_dir():
        raise InputError(f"-o {output}/: there is a file of that name; name another folder")
    films = [
        PlannedFilm(each.path, _marked(output / _written(each.name), mark), problem=each.problem)
        for each in found
    ]
    _check_names(films)
    _check_numbered(films)
    return films


def make_folders(
    films: Sequence[PlannedFilm], output: Path, *, into_folder: bool, only_look: bool = False
) -> bool:
    """Make the folders that outputs go into; returns whether any are, as the output is a folder.

    With ``only_look`` it is found out, as far as it can be, whether they could be made. Raises
    InputError where they cannot.
    """
    if isinstance(output, RemoteFile):
        return True  # they come into being with what is in them
    is_beside = films[0].output.parent == output.parent and len(films) == 1 and not into_folder
    if is_beside and numbering_of(films[0].output) is None:
        return False  # beside a name nothing is made: it may be mistyped
    for folder in dict.fromkeys(each.output.parent for each in films if not each.problem):
        try:
            if not only_look:
                folder.mkdir(parents=True, exist_ok=True)
            elif not folder.is_dir():
                check_can_write(folder.absolute())
        except OSError as error:
            raise InputError(f"-o {output}: {folder} cannot be made ({error.strerror})") from error
    return True


def _becomes_folder(inputs: Sequence[Path], output: Path, *, is_one: bool) -> bool:
    """Whether a folder is meant that is not there. Raises InputError for a name for several.

    ``is_one`` says that all inputs come to the numbered pictures of one film.
    """
    if is_one or (len(inputs) == 1 and is_one_video(inputs[0])):
        return not output.suffix and not output.exists()
    if output.exists():
        raise InputError(f"-o {output}: a file; several inputs need a folder")
    if output.suffix.lower() in (*CONTAINERS, *WRITTEN_SUFFIXES):
        raise InputError(
            f"-o {output}: a video's name, and there may be several; name a folder "
            f"({quoted(output)}/ where it is to be called so)"
        )
    return True


def _written(name: str) -> str:
    path = Path(name.lstrip("/"))
    if numbering_of(path):
        is_written = path.suffix.lower() in WRITTEN_SUFFIXES
        return str(path if is_written else path.with_suffix(".png"))
    return str(path if path.suffix.lower() in CONTAINERS else path.with_suffix(".mkv"))


def _marked(output: Path, mark: str) -> Path:
    return output.with_name(f"{output.stem}-{mark}{output.suffix}") if mark else output


def _check_numbered(films: Sequence[PlannedFilm]) -> None:
    """Raise InputError for numbered pictures behind a URI, which are read and written here only."""
    for path in (path for film in films for path in (film.path, film.output)):
        if isinstance(path, RemoteFile) and numbering_of(path):
            raise InputError(
                f"{path}: numbered pictures must be in a folder of this machine; copy them, or "
                "name where they are mounted"
            )


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
