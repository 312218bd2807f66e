"""What every storage can do, and the names of files in it: paths and URIs.

Paths are text: absolute ones of this machine, or whole URIs. Names below a folder are joined with
``/``. Names that are no valid text keep their bytes, as Python's ``os.fsdecode`` does.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True)
class StoredFile:
    """A file that was found below a folder."""

    path: str
    name: str
    """Its path below the folder, with ``/``."""
    size: int
    """In bytes."""
    version: str
    """Another one when the content may have changed."""
    real: str
    """The path with all links followed: one file has one."""
    problem: str | None = None
    """Why it cannot be read, where that is known: a folder that links to one above it."""
    archive: str = ""
    """The archive that it is a member of; it stands below that, as in a folder."""
    offset: int = 0
    """Where its content begins in the archive, in bytes."""
    is_carried: bool = False
    """Whether it only goes along with a picture of an archive."""
    mask: str = ""
    """Path of the mask that goes with it; empty: none."""


class Storage(Protocol):
    """A file system."""

    is_remote: bool
    """Whether a question takes so long that many are better asked as one."""

    def resolved(self, path: str) -> str:
        """Return the path as it is told to workers: absolute, without a ``/`` at its end."""
        ...

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder of that name."""
        ...

    def is_file(self, path: str) -> bool:
        """Whether there is a file of that name."""
        ...

    def real(self, path: str) -> str:
        """Return the path with all links followed; it need not exist."""
        ...

    def walk(self, folder: str, *, without: str | None = None) -> Iterator[StoredFile]:
        """Yield the files below ``folder``, one by one as they are listed, in no certain order.

        Hidden ones (``.name``) are left out, and all below the folder whose real path is
        ``without``. Links to folders are followed, but not back to one above them.
        """
        ...

    def glob(self, pattern: str, *, without: str | None = None) -> Iterator[StoredFile]:
        """Yield the files that match; their names are below the last folder without a wildcard."""
        ...

    def find(self, path: str) -> StoredFile:
        """Look at one file, whether it exists or not. Its name is its last part."""
        ...

    def size(self, path: str) -> int | None:
        """Return the size in bytes; None where there is no file."""
        ...

    def read(self, path: str) -> bytes:
        """Return the content. Raises MediaError."""
        ...

    def read_part(self, path: str, start: int, size: int) -> bytes:
        """Return ``size`` bytes of the content, from ``start`` on. Raises MediaError."""
        ...

    def open(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """Open a file for reading here and there. Raises MediaError where it cannot be opened."""
        ...

    def lines(self, path: str) -> Iterator[bytes]:
        """Yield a text's lines one by one. Raises MediaError."""
        ...

    def write(self, path: str, content: bytes) -> None:
        """Let a file appear whole or not at all, its folders with it. Raises MediaError."""
        ...

    def appearing(self, path: str) -> AbstractContextManager[Path]:
        """Give a local file to write, which at the block's end appears whole under its name.

        Raises MediaError where it cannot; nothing appears where the block raises.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        ...


def is_uri(text: str) -> bool:
    """Whether the text names a scheme: ``s3://bucket/photos``."""
    return _URI.match(text) is not None


def below(folder: str, name: str) -> str:
    """Join a folder and a name below it."""
    return f"{folder.rstrip('/')}/{name}"


def parts_of_pattern(pattern: str) -> tuple[str, str]:
    """Split a glob into the last folder before its first wildcard, and the rest."""
    parts = pattern.split("/")
    fixed = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    return "/".join(parts[:fixed]), "/".join(parts[fixed:])


def matching(found: Iterable[StoredFile], pattern: str) -> Iterator[StoredFile]:
    """Leave out the files whose name does not match; ``**`` is any number of folders.

    What has a problem stays: nobody knows what it holds.
    """
    from fsspec.utils import glob_translate  # takes its time to import

    # As Python's glob has it, ** means more than * only where it is all between two slashes.
    parts = (part if part == "**" else re.sub(r"\*+", "*", part) for part in pattern.split("/"))
    matches = re.compile(glob_translate("/".join(parts))).match
    return (each for each in found if each.problem or matches(each.name))
