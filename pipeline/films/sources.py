"""What a user names as films, found: files, numbered pictures, folders of them, and globs.

Films, folders and globs may be URIs too; numbered pictures are of this machine.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nst_core.errors import InputError
from nst_core.wording import counted
from pipeline.numbered.names import grouped
from pipeline.storage.files import Storage, StoredFile
from pipeline.storage.open import storage_for
from pipeline.storage.remote_file import path_of

VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts"),
        *(".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ogv", ".mxf", ".vob"),
    }
)
"""What is taken for a video in a folder; a file named by itself may end as it likes."""


@dataclass(frozen=True)
class FoundVideo:
    """A film, and what it is called in a folder of outputs."""

    path: Path
    name: str
    """Its path below the folder that was named, or below a glob's folder without wildcards."""
    problem: str | None = None
    """Why it is none: a folder that links to one above it, or cannot be listed; a key of a bucket
    that is no path."""


def is_one_video(source: Path) -> bool:
    """Whether a source is meant as a single file: neither folder nor glob."""
    if source.is_dir():
        return False
    return source.is_symlink() or source.exists() or not glob.has_magic(str(source))


def find_videos(
    sources: Sequence[Path], *, output: Path, others: list[str] | None = None
) -> list[FoundVideo]:
    """Find the films, in the order in which they are named, below folders by name.

    Numbered pictures are one film; in a folder they are looked for where it has no film. Files in
    folders that are no films are added to ``others``.

    What lies below ``output`` was made by an earlier run, and is left out of folders and globs.
    A file that does not exist is found too, its own report will say so, and a folder below that
    cannot be looked through. Raises InputError for a folder or glob without a film, and
    EnvironmentProblem for storage that does not answer.
    """
    without = storage_for(str(output)).real(str(output)) if output.is_dir() else None
    skipped: list[str] = []
    found = [each for source in sources for each in _found(path_of(source), without, skipped)]
    if others is not None:
        others += dict.fromkeys(skipped)
    return list(dict.fromkeys(found))


def _found(source: Path, without: str | None, others: list[str]) -> Iterator[FoundVideo]:
    storage = storage_for(str(source))
    if source.is_dir():
        inside = without if without != storage.real(str(source)) else None
        below = sorted(storage.walk(str(source), without=inside), key=lambda each: each.name)
        films = [each for each in below if each.problem or is_video(each)]
        rest = [each.path for each in below if not (each.problem or is_video(each))]
        if all(each.problem for each in films) and not storage.is_remote:
            films += _numbered(below)
            numbered = {str(path) for paths in grouped(map(Path, rest)).values() for path in paths}
            rest = [path for path in rest if path not in numbered]
        others += rest
        nothing = f"{source}: no videos in this folder ({', '.join(sorted(VIDEO_SUFFIXES))})"
    elif is_one_video(source):
        yield FoundVideo(source, source.name)
        return
    else:
        matches = storage.glob(str(source.absolute()), without=without)
        films = _with_numbered(source, sorted(matches, key=lambda each: each.name), storage)
        nothing = f"{source}: no match for this glob"
    if all(each.problem for each in films):
        problems = [each.problem for each in films if each.problem]
        is_all = bool(films) and not films[0].name  # the very folder cannot be listed
        raise InputError("; ".join(problems if is_all else [nothing, *problems[:1]]))
    for film in films:
        path = path_of(film.path)
        is_below = not source.is_absolute() and path.is_relative_to(Path.cwd())
        path = path.relative_to(Path.cwd()) if is_below else path
        yield FoundVideo(path, film.name, film.problem or _no_path(film))


def _no_path(film: StoredFile) -> str | None:
    """Say that a name in a bucket could not be one of an output: ``../film.mp4``, ``a//b.mp4``."""
    path = PurePosixPath(film.name)
    is_path = str(path) == film.name and not path.is_absolute() and ".." not in path.parts
    return None if is_path else f"{film.path}: a name that leads out of the output folder"


def _numbered(files: Sequence[StoredFile]) -> list[StoredFile]:
    """Return numbered pictures among files, each film of them by its pattern."""
    names = {Path(each.path): Path(each.name) for each in files if not each.problem}
    return [
        StoredFile(
            str(numbering.pattern),
            str(names[pictures[0]].with_name(numbering.pattern.name)),
            size=0,
            version="",
            real=str(numbering.pattern),
        )
        for numbering, pictures in grouped(names).items()
    ]


def _with_numbered(glob_of: Path, matches: list[StoredFile], storage: Storage) -> list[StoredFile]:
    """Put the numbered pictures among a glob's matches together. Raises InputError for a part."""
    if storage.is_remote:
        return matches
    by_path = {Path(each.path): each for each in matches if not each.problem}
    for numbering, pictures in grouped(by_path).items():
        if len(pictures) < len(numbering.listed()):
            raise InputError(
                f"{glob_of}: matches {counted(len(pictures), 'pictures')} of "
                f"{numbering.pattern}, and not all; name them so, and the part by --start and --end"
            )
        paths = {str(path) for path in pictures}
        matches = [each for each in matches if each.path not in paths]
        matches += _numbered([by_path[path] for path in pictures])
    return sorted(matches, key=lambda each: each.name)


def is_video(file: StoredFile) -> bool:
    """Whether a file in a folder is taken for a video."""
    return os.path.splitext(file.name)[1].lower() in VIDEO_SUFFIXES  # noqa: PTH122
