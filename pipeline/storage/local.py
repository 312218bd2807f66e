"""Files of this machine, by path or ``file://``."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from nst_core.errors import MediaError
from pipeline.storage.files import StoredFile, below, matching, parts_of_pattern

LOCAL_URI = "file://"


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
        return os.path.abspath(path.removeprefix(LOCAL_URI))  # noqa: PTH100 - no links followed

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

    def read_part(self, path: str, start: int, size: int) -> bytes:
        """Return ``size`` bytes of the content, from ``start`` on. Raises MediaError."""
        with self.open(path) as file:
            file.seek(start)
            return file.read(size)

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """Open a file. Raises MediaError, also for a pipe or device, and while it is read."""
        try:
            _check_end(path)
            with Path(path).open("rb") as file:
                yield file
        except OSError as error:
            raise MediaError(f"{path}: cannot be read ({error.strerror})") from error

    def lines(self, path: str) -> Iterator[bytes]:
        """Yield a text's lines one by one. Raises MediaError, also for a pipe or device."""
        with self.open(path) as file:
            yield from file

    def write(self, path: str, content: bytes) -> None:
        """Write first, name then. Raises MediaError."""
        if not _write_without_name(path, content):
            with self.appearing(path) as temporary:
                _write_bytes(temporary, content)

    @contextmanager
    def appearing(self, path: str) -> Iterator[Path]:
        """Give the file under a hidden name.

        A run that is killed leaves that file behind, and the next one writes and renames the same.
        """
        folder, name = os.path.split(path)
        mark = hashlib.blake2b(os.fsencode(name), digest_size=12).hexdigest()
        temporary = Path(folder, f".{mark}.part")
        try:
            try:
                yield temporary
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
