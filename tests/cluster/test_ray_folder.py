"""The folder of an embedded Ray: short, in UTF-8, and gone when its command is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from cluster.ray_folder import embedded_ray_folder, make_ray_folder
from cluster.ray_processes import processes_ended
from tests.kit.processes import command_of

_SOCKET = "ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
_HOLDING = """
import sys
from cluster.ray_folder import embedded_ray_folder
from tests.kit.processes import command_of
with embedded_ray_folder() as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""
_WITH_AN_AGENT = "bash -c 'exec -a ray::Agent sleep 600'; true"


@pytest.fixture
def temporary(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(short_folder))
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    return short_folder


def test_it_is_where_temporary_files_are_and_ends_with_its_block(temporary: Path) -> None:
    with embedded_ray_folder() as folder:
        assert folder.parent == temporary
        assert folder.stat().st_mode & 0o77 == 0
        (folder / "ray").mkdir()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", ["d" * 40, "\udce9", "not-there"])
def test_a_folder_that_sockets_cannot_be_in_is_not_used(
    name: str, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfit = temporary / name
    if name != "not-there":
        unfit.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(unfit))
    folder = make_ray_folder("12345678")
    try:
        assert folder.parent == temporary
        assert len(os.fsencode(folder / _SOCKET)) <= 107
    finally:
        folder.rmdir()


def test_what_a_killed_command_left_is_removed_and_what_lives_is_not(temporary: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(temporary)}
    start = [sys.executable, "-c", _HOLDING]
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(start, stdin=pipe, stdout=pipe, text=True, env=environment)
        for _ in range(2)
    ]
    try:
        killed, alive = processes
        assert killed.stdout is not None
        assert alive.stdout is not None
        left, held = (Path(each.stdout.readline().strip()) for each in processes if each.stdout)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        other = temporary / "nst-abcdefgh"  # of another program
        other.mkdir()
        assert left.is_dir()
        with embedded_ray_folder():
            assert not left.exists()
            assert held.is_dir()
            assert other.is_dir()
    finally:
        for each in processes:
            each.kill()
            each.communicate()


def test_processes_that_ray_leaves_end_with_it(temporary: Path) -> None:
    raylet = subprocess.Popen(["sh", "-c", _WITH_AN_AGENT, f"{temporary}/ray/session"])
    other = subprocess.Popen(["ray::Agent", "600"], executable="/bin/sleep")  # of another Ray
    agent = _only_child(raylet)
    try:
        with processes_ended(temporary):
            assert agent.is_running()
        raylet.wait(60)
        assert not agent.is_running() or agent.status() == psutil.STATUS_ZOMBIE
        assert other.poll() is None
    finally:
        with suppress(psutil.NoSuchProcess):
            agent.kill()
        for each in (raylet, other):
            each.kill()
            each.wait()


def _only_child(process: subprocess.Popen[bytes]) -> psutil.Process:
    """Wait for the child that hides its command line by a title."""
    while True:
        for child in psutil.Process(process.pid).children():
            if command_of(child).startswith("ray::Agent"):
                return child
        time.sleep(0.01)
