"""Files that appear whole, and locks."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nst_core.files import check_can_write, lock, write_whole
from tests.kit.plans import nothing_written


@pytest.mark.parametrize("content", ["wörter", b"\x00\xff"])
def test_a_file_is_written_and_replaced_whole(content: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    for each in ("an older and longer content", content):
        write_whole(path, each)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_others_may_read_it_unless_it_is_private(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_whole(tmp_path / "file", "all")
        write_whole(tmp_path / "token", "mine", private=True)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"file": 0o644, "token": 0o600}


@pytest.mark.parametrize("name", ["new", "new/er", "file", "file/below"])
def test_a_folder_that_cannot_be_made_is_told_as_by_making_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    def error_of(make: Callable[[], object]) -> tuple[int | None, str] | None:
        try:
            make()
        except OSError as error:
            return error.errno, error.strerror or ""
        return None

    folder = tmp_path / name
    with nothing_written(tmp_path):
        told = error_of(lambda: check_can_write(folder))
    assert told == error_of(lambda: folder.mkdir(parents=True))
    assert (told is None) == name.startswith("new")


def test_a_write_that_finds_no_room_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, "before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    usual = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            write_whole(path, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, usual)
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_lock_is_held_by_one_process_and_lost_with_its_life(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys; from nst_core.files import lock; "
        "file = open(sys.argv[1], 'a'); print(lock(file), flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        with path.open("a") as file:
            assert not lock(file)
            other.kill()
            other.wait()
            assert lock(file)
            assert lock(file, wait=True)
