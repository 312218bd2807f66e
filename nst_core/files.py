"""Files that appear whole, and locks that a process loses with its life."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any


def write_whole(path: Path, content: bytes | str, *, private: bool = False) -> None:
    """Write ``content`` (text as UTF-8) beside ``path``, then rename: readers see all or nothing.

    The folder must exist; ``private`` keeps the file from other users. Raises OSError, and leaves
    nothing behind.
    """
    # A random name: the process's number may be the same on two machines that share the folder.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with os.fdopen(os.open(temporary, flags, 0o600 if private else 0o666), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check_can_write(folder: Path) -> None:
    """Raise the OSError that making ``folder`` and writing into it would raise; nothing is written.

    What only a try would tell, such as a full disk, is not seen.
    """
    missing, there = folder, folder
    while not os.path.lexists(there):
        missing, there = there, there.parent
    problem = None
    if not there.is_dir():
        problem = errno.EEXIST if there == folder else errno.ENOTDIR
    elif not os.access(there, os.W_OK | os.X_OK):
        problem = errno.EROFS if os.statvfs(there).f_flag & os.ST_RDONLY else errno.EACCES
    if problem is not None:
        raise OSError(problem, os.strerror(problem), str(missing))


def is_cut_short(path: Path) -> bool:
    """Whether the last line of a file lacks its end: a kill came while it was written."""
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def digest_of_files(paths: Iterable[Path]) -> str:
    """SHA-256 of the content of files, one after the other, in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)  # goes on with the one that is there
    return digest.hexdigest()


def lock(file: IO[Any] | int, *, wait: bool = False) -> bool:
    """Lock an open file, or its descriptor, for this process alone; returns whether it has it.

    Only a lock that another process holds says no: a file system without locks says yes.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
