"""What a user names as films, found: files, numbered pictures, folders of them, and globs."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nst_core.errors import InputError
from nst_core.wording import counted
from pipeline.numbered.names import grouped
from pipeline.storage.files import StoredFile
from pipeline.storage.local import LocalStorage

VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts"),
        *(".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ogv", ".mxf", ".vob"),
    }
)
"""What is taken for a video in a folder; a file named by itself may end as it likes."""
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""How a URI begins once it went through a Path: pathlib makes one slash of two."""


@dataclass(frozen=True)
class FoundVideo:
    """A film, and what it is called in a folder of outputs."""

    path: Path
    name: str
    """Its path below the folder that was named, or below a glob's folder without wildcards."""
    problem: str | None = None
    """Why it is none: a folder that links to one above it, or cannot be listed."""


def is_one_video(source: Path) -> bool:
    """Whether a source is meant as a single file: neither folder nor glob."""
    return not source.is_dir() and (os.path.lexists(source) or not glob.has_magic(str(source)))


def find_videos(sources: Sequence[Path], *, output: Path) -> list[FoundVideo]:
    """Find the films, in the order in which they are named, below folders by name.

    Numbered pictures are one film; in a folder they are looked for where it has no film.

    What lies below ``output`` was made by an earlier run, and is left out of folders and globs.
    A file that does not exist is found too, its own report will say so, and a folder below that
    cannot be looked through. Raises InputError for a folder or glob without a film, and a URI.
    """
    storage = LocalStorage()
    without = storage.real(str(output)) if output.is_dir() else None
    found = [each for source in sources for each in _found(storage, source, without)]
    return list(dict.fromkeys(found))


def _found(storage: LocalStorage, source: Path, without: str | None) -> Iterator[FoundVideo]:
    if _URI.match(str(source)) and not os.path.lexists(source):
        scheme, _, rest = str(source).partition(":/")
        if scheme == "file":
            yield from _found(storage, Path("/", rest), without)
            return
        raise InputError(
            f"{scheme}://{rest}: a URI, and films must be files of this machine; "
            "download it, or name where it is mounted"
        )
    if source.is_dir():
        inside = without if without != storage.real(str(source)) else None
        below = sorted(storage.walk(str(source), without=inside), key=lambda each: each.name)
        films = [each for each in below if each.problem or is_video(each)]
        if all(each.problem for each in films):
            films += _numbered(below)
        nothing = f"{source}: no videos in this folder ({', '.join(sorted(VIDEO_SUFFIXES))})"
    elif is_one_video(source):
        yield FoundVideo(source, source.name)
        return
    else:
        matches = storage.glob(str(source.absolute()), without=without)
        films = _with_numbered(source, sorted(matches, key=lambda each: each.name))
        nothing = f"{source}: no match for this glob"
    if all(each.problem for each in films):
        problems = [each.problem for each in films if each.problem]
        is_all = bool(films) and not films[0].name  # the very folder cannot be listed
        raise InputError("; ".join(problems if is_all else [nothing, *problems[:1]]))
    for film in films:
        path = Path(film.path)
        is_below = not source.is_absolute() and path.is_relative_to(Path.cwd())
        path = path.relative_to(Path.cwd()) if is_below else path
        yield FoundVideo(path, film.name, film.problem)


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


def _with_numbered(glob_of: Path, matches: list[StoredFile]) -> list[StoredFile]:
    """Put the numbered pictures among a glob's matches together. Raises InputError for a part."""
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
