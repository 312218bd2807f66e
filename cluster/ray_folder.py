"""Where Ray keeps its sockets, logs and temporary files: in a folder of ours that ends with it."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nst_core.errors import EnvironmentProblem

_PREFIX = "nst-"
_LOCK = "embedded-ray.lock"
_LONGEST_IN_IT = len("/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")
_LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107  # bytes of a path
_RANDOM_CHARACTERS = 8
_TRIES_TO_REMOVE = 20
_SECONDS_BETWEEN_TRIES = 0.1


@contextmanager
def embedded_ray_folder() -> Iterator[Path]:
    """Give an embedded Ray a folder for the block, and remove those that killed commands left.

    Raises EnvironmentProblem where there is no place for it.
    """
    folder = make_ray_folder("")
    _remove_abandoned(folder.parent)
    with (folder / "new").open("w") as lock:
        with suppress(OSError):  # without locks it stays where its command is killed
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / "new").rename(folder / _LOCK)
        try:
            yield folder
        finally:
            _remove(folder)


def make_ray_folder(name: str) -> Path:
    """Make a new folder, for this user alone, in which the paths of Ray's sockets are short enough.

    It is where RAY_TMPDIR or TMPDIR say, unless that is too long, no UTF-8, or cannot be written.
    Raises EnvironmentProblem.
    """
    prefix = f"{_PREFIX}{name}-" if name else _PREFIX
    longest = _LONGEST_SOCKET - _LONGEST_IN_IT - len(prefix) - _RANDOM_CHARACTERS - 1
    named = [os.environ.get("RAY_TMPDIR", ""), _temporary_folder()]
    places = [place for place in named if place and _suits(place, longest)]
    for place in dict.fromkeys([*places, "/tmp", "/var/tmp"]):  # noqa: S108 - made as mkdtemp does
        with suppress(OSError):
            return Path(tempfile.mkdtemp(prefix=prefix, dir=Path(place).absolute()))
    raise EnvironmentProblem(
        f"no place for Ray's sockets: a folder that can be written is needed whose path has at "
        f"most {longest} bytes of UTF-8, such as /tmp; name one in RAY_TMPDIR"
    )


def _temporary_folder() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:  # there is none
        return ""


def _suits(place: str, longest: int) -> bool:
    try:
        return len(os.path.abspath(place).encode()) <= longest  # noqa: PTH100 - links stay
    except UnicodeEncodeError:
        return False


def _remove_abandoned(place: Path) -> None:
    """Remove the folders of embedded Rays whose commands have been killed."""
    for lock in place.glob(f"{_PREFIX}{'?' * _RANDOM_CHARACTERS}/{_LOCK}"):
        with suppress(OSError), lock.open("r+") as file:  # another user's, or one that lives
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(lock.parent)


def _remove(folder: Path) -> None:
    """Remove a folder, into which processes that are about to end may still write."""
    for _ in range(_TRIES_TO_REMOVE):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(_SECONDS_BETWEEN_TRIES)
