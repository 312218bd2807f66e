"""A file behind a URI as a path: what reads and writes films by paths takes it as one of theirs.

Its bytes come in blocks, when they are read. A film is read several times over (its packets are
indexed, decoded, copied and verified), so blocks can be kept on this machine until it is done: then
each comes once.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PosixPath, PurePosixPath
from threading import Lock
from typing import TYPE_CHECKING, Any

from nst_core.errors import MediaError
from nst_core.files import write_whole

if TYPE_CHECKING:
    from pipeline.storage.remote import RemoteStorage

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""Beginning of a URI, also once it went through a Path: pathlib makes one slash of two."""
_BLOCK_BYTES = 4 << 20
_BUFFER_BYTES = 256 << 10


def path_of(text: Path | str) -> Path:
    """Return the path of a file or folder: a RemoteFile for what is a URI, and no file here."""
    path = text if isinstance(text, Path) else Path(text)
    if isinstance(path, RemoteFile) or not _URI.match(str(path)) or os.path.lexists(path):
        return path
    scheme, _, rest = str(path).partition(":/")
    return Path("/", rest) if scheme == "file" else RemoteFile(path)


class RemoteFile(PosixPath):
    """A file or folder behind a URI. It has the methods of a path that films need, and no others.

    ``stat`` gives a size and, as the time of change, a number that stands for the version.
    """

    _kept: _KeptBlocks | None = None

    def __str__(self) -> str:
        scheme, _, rest = super().__str__().partition(":/")
        return f"{scheme}://{rest}"

    @property
    def storage(self) -> RemoteStorage:
        """What it lies on. Raises InputError and EnvironmentProblem."""
        from pipeline.storage.remote import RemoteStorage

        return RemoteStorage(str(self))

    def block(self, number: int, size: int) -> bytes:
        """Return a block of a file of ``size`` bytes; empty beyond its end. Raises MediaError."""
        start = number * _BLOCK_BYTES
        end = min(start + _BLOCK_BYTES, size)
        if start >= end:
            return b""
        if self._kept is None:
            return self.storage.read_part(str(self), start, end - start)
        return self._kept.block(number, end - start, self.storage, str(self))

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Look at the file, or give what was seen when its blocks began to be kept.

        Raises FileNotFoundError and EnvironmentProblem.
        """
        if self._kept is not None:
            return self._kept.status
        found = self.storage.state(str(self))
        mark = hashlib.blake2b(found.version.encode(), digest_size=7).digest()
        fields = (stat.S_IFREG | 0o444, 0, 0, 1, 0, 0, found.size, 0, 0, 0)
        return os.stat_result(fields, {"st_mtime_ns": int.from_bytes(mark)})

    def exists(self, **_: Any) -> bool:
        """Whether there is a file of that name. Raises EnvironmentProblem."""
        return self.is_file()

    def is_file(self, **_: Any) -> bool:
        """Whether there is a file of that name. Raises EnvironmentProblem."""
        return self._kept is not None or self.storage.is_file(str(self))

    def is_dir(self, **_: Any) -> bool:
        """Whether anything lies below that name. Raises EnvironmentProblem."""
        return self._kept is None and self.storage.is_folder(str(self))

    def rglob(self, pattern: str) -> Iterator[RemoteFile]:  # type: ignore[override]
        """Yield the files below whose path ends as the pattern says. Raises EnvironmentProblem."""
        for found in self.storage.walk(str(self), hidden=True):
            if PurePosixPath(found.name).match(pattern):
                yield RemoteFile(found.path)

    def is_symlink(self) -> bool:
        """Always False."""
        return False

    def samefile(self, other_path: Any) -> bool:
        """Whether both have the same URI."""
        return str(self) == str(other_path)

    def absolute(self) -> RemoteFile:
        """Return the path itself."""
        return self

    def open(self, *_: Any, **__: Any) -> Any:
        """Open the file to read bytes, at any place."""
        return io.BufferedReader(_Reader(self), _BUFFER_BYTES)

    def read_bytes(self) -> bytes:
        """Return the content."""
        with self.open() as file:
            return bytes(file.read())


def kept_in(folder: Path, path: Path) -> Path:
    """Return a path to be read several times over: a remote file's blocks are kept in ``folder``.

    The file is then as it is now. Blocks that are there already, of the same version, are used,
    others are removed. Raises MediaError and EnvironmentProblem.
    """
    if not isinstance(path, RemoteFile):
        return path
    file = RemoteFile(path)
    try:
        file._kept = _KeptBlocks(folder, path.stat())
    except FileNotFoundError as error:
        raise MediaError(f"{path}: no such file") from error
    return file


class _KeptBlocks:
    """Blocks of one version of a file, each a file in a folder of their own."""

    def __init__(self, folder: Path, status: os.stat_result) -> None:
        self.status = status
        self._folder = folder
        self._version = f"{status.st_size:x}-{status.st_mtime_ns:x}-"
        self._lock = Lock()
        for block in folder.glob("*.block"):
            if not block.name.startswith(self._version):
                block.unlink(missing_ok=True)

    def block(self, number: int, size: int, storage: RemoteStorage, uri: str) -> bytes:
        """Return a block of so many bytes, kept from now on."""
        path = self._folder / f"{self._version}{number:06d}.block"
        with self._lock:
            with suppress(FileNotFoundError):
                if len(data := path.read_bytes()) == size:  # a power cut may have left less
                    return data
            data = storage.read_part(uri, number * _BLOCK_BYTES, size)
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
            return data


class _Reader(io.RawIOBase):
    """Reads a remote file forward from any place; one block is in memory."""

    def __init__(self, file: RemoteFile) -> None:
        self.name = file.name
        """FFmpeg looks at its ending, and takes what is before a colon for a protocol."""
        self._file = file
        self._size = file.stat().st_size
        self._place = 0
        self._block = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        number, offset = divmod(self._place, _BLOCK_BYTES)
        if self._block[0] != number:
            self._block = number, self._file.block(number, self._size)
        part = self._block[1][offset : offset + len(buffer)]
        buffer[: len(part)] = part
        self._place += len(part)
        return len(part)
