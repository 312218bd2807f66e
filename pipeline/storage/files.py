"""Where files lie: on this machine's disks, or behind a URI that fsspec knows (s3://, gs://, ...).

Paths are text: absolute ones of this machine, or whole URIs. Names below a folder are joined with
``/``. Names that are no valid text keep their bytes, as Python's ``os.fsdecode`` does.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from nst_core.errors import MediaError

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_LOCAL_URI = "file://"


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

    def lines(self, path: str) -> Iterator[bytes]:
        """Yield a text's lines one by one. Raises MediaError."""
        ...

    def write(self, path: str, content: bytes) -> None:
        """Let a file appear whole or not at all, its folders with it. Raises MediaError."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        ...


def is_uri(text: str) -> bool:
    """Whether the text names a scheme: ``s3://bucket/photos``."""
    return _URI.match(text) is not None


def storage_for(path: str) -> Storage:
    """Find the file system that a path or URI lies on.

    Raises InputError for an unknown scheme, EnvironmentProblem for one whose package is missing.
    """
    if not is_uri(path) or path.startswith(_LOCAL_URI):
        return LocalStorage()
    from pipeline.storage.remote import RemoteStorage

    return RemoteStorage(path)


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


def _check_end(path: str) -> None:
    """Raise MediaError for a pipe or a device: it may have no end. Raises OSError."""
    mode = os.stat(path).st_mode  # noqa: PTH116
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise MediaError(f"{path}: not a regular file")


class LocalStorage:
    """This machine's own file systems, and those mounted on it."""

    is_remote = False

    def resolved(self, path: str) -> str:
        """Return the absolute path; ``file://`` goes."""
        return os.path.abspath(path.removeprefix(_LOCAL_URI))  # noqa: PTH100 - no links followed

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder of that name."""
        return os.path.isdir(path)  # noqa: PTH112

    def is_file(self, path: str) -> bool:
        """Whether there is a file of that name, or a link that leads nowhere."""
        return os.path.lexists(path) and not self.is_folder(path)

    def real(self, path: str) -> str:
        """Return the path with all links followed; it need not exist."""
        return os.path.realpath(path)

    def walk(self, folder: str, *, without: str | None = None) -> Iterator[StoredFile]:
        """Yield the files below, folder by folder, each in the order in which it is listed."""
        yield from _Walk(folder, without).below("", frozenset())

    def glob(self, pattern: str, *, without: str | None = None) -> Iterator[StoredFile]:
        """Yield the files that match."""
        folder, rest = parts_of_pattern(pattern)
        if without == self.real(folder or "/"):  # all of it is meant: see find_images
            without = None
        if "**" in rest.split("/"):  # glob's own follows links back to folders above it
            if self.is_folder(folder or "/"):
                yield from matching(self.walk(folder, without=without), rest)
            return
        for name in glob.iglob(rest, root_dir=folder or "/", recursive=True):  # noqa: PTH207
            path = below(folder, name)
            if not self.is_folder(path):
                found = self.find(path)
                if without is None or not found.real.startswith(below(without, "")):
                    yield replace(found, name=name)

    def find(self, path: str) -> StoredFile:
        """Look at one file, whether it exists or not."""
        size, version = _state(path)
        return StoredFile(path, os.path.basename(path), size, version, self.real(path))  # noqa: PTH119

    def size(self, path: str) -> int | None:
        """Return the size in bytes; None where there is no file."""
        try:
            return os.stat(path).st_size  # noqa: PTH116
        except OSError:
            return None

    def read(self, path: str) -> bytes:
        """Return the content. Raises MediaError, also for a pipe or device: it may have no end."""
        try:
            _check_end(path)
            return Path(path).read_bytes()
        except FileNotFoundError as error:
            raise MediaError(f"{path}: no such file") from error
        except OSError as error:
            raise MediaError(f"{path}: cannot be read ({error.strerror})") from error

    def lines(self, path: str) -> Iterator[bytes]:
        """Yield a text's lines one by one. Raises MediaError, also for a pipe or device."""
        try:
            _check_end(path)
            with Path(path).open("rb") as file:
                yield from file
        except OSError as error:
            raise MediaError(f"{path}: cannot be read ({error.strerror})") from error

    def write(self, path: str, content: bytes) -> None:
        """Write first, name then. Raises MediaError.

        Where that is not to be had, under a hidden name: a run that is killed leaves that file
        behind, and the next one writes and renames the same.
        """
        if _write_without_name(path, content):
            return
        folder, name = os.path.split(path)
        mark = hashlib.blake2b(os.fsencode(name), digest_size=12).hexdigest()
        temporary = Path(folder, f".{mark}.part")
        try:
            try:
                _write_bytes(temporary, content)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise MediaError(f"{path}: cannot be written ({error.strerror})") from error

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError):
            Path(path).unlink()


class _Walk:
    """One walk through a tree of folders, depth first."""

    def __init__(self, folder: str, without: str | None) -> None:
        self._folder = folder
        self._without = without

    def below(self, name: str, above: frozenset[tuple[int, int]]) -> Iterator[StoredFile]:
        """Yield the files of a folder, then those of the folders in it; ``above`` it are those."""
        folder = below(self._folder, name) if name else self._folder
        real = os.path.realpath(folder)
        if real == self._without:
            return
        try:
            status = os.stat(folder)  # noqa: PTH116
            entries = os.scandir(folder)
        except OSError as error:
            yield StoredFile(
                folder, name, 0, "", real, f"{folder}: cannot be listed ({error.strerror})"
            )
            return
        key = (status.st_dev, status.st_ino)
        if key in above:
            yield StoredFile(folder, name, 0, "", real, f"{folder}: links to a folder above it")
            return
        folders: list[str] = []
        with entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                below_root = f"{name}/{entry.name}" if name else entry.name
                if _is_folder(entry):
                    folders.append(below_root)
                else:
                    size, version = _state(entry.path)
                    real_path = (
                        os.path.realpath(entry.path)
                        if entry.is_symlink()
                        else below(real, entry.name)
                    )
                    yield StoredFile(entry.path, below_root, size, version, real_path)
        for each in folders:
            yield from self.below(each, above | {key})


def _write_without_name(path: str, content: bytes) -> bool:
    """Write a file that a kill leaves no trace of, and link it in, where nothing has its name.

    False where the system or the file system cannot, or the name is taken. Renaming among many
    files of one folder would hold up the other workers: it took a fifth of a copy's time.
    """
    if not hasattr(os, "O_TMPFILE") or os.path.lexists(path):
        return False
    try:
        number = os.open(os.path.dirname(path), os.O_TMPFILE | os.O_WRONLY, 0o666)  # noqa: PTH120
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            root = os.open("/", os.O_RDONLY)  # a folder of its own makes Python follow the link
            try:
                os.link(f"proc/self/fd/{number}", path, src_dir_fd=root, follow_symlinks=True)
            finally:
                os.close(root)
    except OSError:
        return False
    return True


def _write_bytes(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except FileNotFoundError:  # its folder; asked for at every file, it would hold up others
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _state(path: str) -> tuple[int, str]:
    """Return size and version; the time of the last change of any kind cannot be set back."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return 0, ""  # reading it will say what is wrong
    return status.st_size, f"{status.st_mtime_ns}-{status.st_ctime_ns}"
