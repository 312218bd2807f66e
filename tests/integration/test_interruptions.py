"""A video run stopped from outside, as users and schedulers stop it, and run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

from pipeline.films.finished_films import HIDDEN_FOLDER
from pipeline.segments.work_folder import HIDDEN_PARENT
from tests.kit.command_line import nst
from tests.kit.media import moving_picture

_SEGMENTS_BEFORE_THE_SIGNAL = 2
_FRAMES = 60
_SEGMENTS = 8


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few pictures, and much sound in small packets: to write it takes a while."""
    path = tmp_path_factory.mktemp("source") / "in.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt = 320, 192, "yuv420p"
        audio: Any = container.add_stream("aac", rate=8000)
        audio.layout = "mono"
        for number in range(_FRAMES):
            frame = av.VideoFrame.from_ndarray(moving_picture(number, 320, 192), "rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for number in range(6000):
            samples = np.full((1, 1024), number % 9 / 9, np.float32)
            sound = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 8000, number * 1024
            sound.time_base = Fraction(1, 8000)
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
    return path


@pytest.fixture(scope="module")
def undisturbed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("undisturbed") / "out.mp4"
    _run_to_its_end(source, output)
    return output


def _arguments(source: Path, output: Path, *options: str) -> list[str]:
    workers = () if "--workers" in options else ("--workers", "0")
    return [
        *("stylize", "video", str(source), "-o", str(output), "--style", "wave"),
        *("--segment-seconds", "0.25", "--json", *workers, *options),
    ]


def _command(source: Path, output: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "jobs.cli", *_arguments(source, output, *options)]


def _heed_ctrl_c() -> None:
    """Undo what a shell does to its background jobs, of which this test run may be one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _start(command: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_heed_ctrl_c,
    )


def _run_to_its_end(source: Path, output: Path, *options: str) -> dict[str, Any]:
    """In this process: only what is stopped needs one of its own."""
    ended = nst(*_arguments(source, output, *options))
    assert ended.code == 0, ended.error
    (report,) = json.loads(ended.out)["inputs"]
    assert report["frames_out"] == _FRAMES
    segments = report["segments"]
    assert segments["reused"] + segments["done"] == segments["total"] == _SEGMENTS
    return cast("dict[str, Any]", report)


def _wait_until(ready: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not ready():
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


def _segments_kept(folder: Path) -> bool:
    records = list((folder / HIDDEN_PARENT).glob("*/0*.json"))
    return len(records) >= _SEGMENTS_BEFORE_THE_SIGNAL


def _is_writing(folder: Path) -> bool:
    return any(file.stat().st_size > 50_000 for file in folder.glob(".*.part"))


def _assert_it_was_told_in_one_line(process: subprocess.Popen[str]) -> None:
    stdout, stderr = process.communicate(timeout=600)
    assert process.returncode == 130, stderr
    assert stdout == ""
    lines = stderr.splitlines()
    assert lines[-1].startswith("interrupted")
    # Above it there is nothing but progress.
    progress = [line for line in lines[:-1] if line != "starting workers"]
    assert all(" of " in line and "frames" in line for line in progress), stderr


def _has_processes(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_run_stopped_twice_in_a_row_is_gone_on_with(
    source: Path, undisturbed: Path, tmp_path: Path, number: signal.Signals
) -> None:
    output = tmp_path / "out.mp4"
    process = _start(_command(source, output))
    _wait_until(lambda: _segments_kept(tmp_path), process)
    os.kill(process.pid, number)
    time.sleep(0.3)
    os.kill(process.pid, number)  # a process that has ended stays a zombie until it is waited for
    _assert_it_was_told_in_one_line(process)
    assert _names(tmp_path) == [HIDDEN_PARENT]
    report = _run_to_its_end(source, output)
    assert report["segments"]["reused"] >= _SEGMENTS_BEFORE_THE_SIGNAL
    assert output.read_bytes() == undisturbed.read_bytes()
    assert _names(tmp_path) == [HIDDEN_FOLDER, "out.mp4"]


def test_a_run_killed_at_work_and_again_while_it_writes_is_gone_on_with(
    source: Path, undisturbed: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    for ready in (_segments_kept, _is_writing):
        process = _start(_command(source, output))
        _wait_until(lambda ready=ready: ready(tmp_path), process)  # type: ignore[misc]
        process.kill()
        process.communicate()
        assert not output.exists()
    assert len(_names(tmp_path)) == 2  # the work folder, and what was being written
    report = _run_to_its_end(source, output)
    assert report["segments"]["reused"] == _SEGMENTS
    assert output.read_bytes() == undisturbed.read_bytes()
    assert _names(tmp_path) == [HIDDEN_FOLDER, "out.mp4"]


@pytest.mark.slow
def test_a_part_of_a_film_is_gone_on_with_and_another_part_begins_anew(
    source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    part = ("--start", "0.4", "--duration", "1.9")
    process = _start(_command(source, output, *part))
    _wait_until(lambda: _segments_kept(tmp_path), process)
    process.kill()
    process.communicate()
    again = subprocess.run(
        _command(source, output, *part), capture_output=True, text=True, check=True
    )
    (report,) = json.loads(again.stdout)["inputs"]
    assert report["segments"]["reused"] >= _SEGMENTS_BEFORE_THE_SIGNAL
    assert report["span"] == {"start": 0.4, "end": 2.3}
    whole = tmp_path / "whole.mp4"
    subprocess.run(_command(source, whole, *part), capture_output=True, check=True)
    assert output.read_bytes() == whole.read_bytes()
    process = _start(_command(source, output, *part, "--overwrite"))
    _wait_until(lambda: _segments_kept(tmp_path), process)
    process.kill()
    process.communicate()
    other = _command(source, output, "--start", "0.5", "--duration", "1.9", "--overwrite")
    ended = subprocess.run(other, capture_output=True, text=True, check=True)
    assert json.loads(ended.stdout)["inputs"][0]["segments"]["reused"] == 0


@pytest.mark.slow
def test_a_run_stopped_while_it_writes_leaves_its_segments_and_nothing_else(
    source: Path, undisturbed: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    process = _start(_command(source, output))
    _wait_until(lambda: _is_writing(tmp_path), process)
    os.kill(process.pid, signal.SIGINT)
    _assert_it_was_told_in_one_line(process)
    assert _names(tmp_path) == [HIDDEN_PARENT]
    assert _run_to_its_end(source, output)["segments"]["reused"] == _SEGMENTS
    assert output.read_bytes() == undisturbed.read_bytes()


@pytest.mark.slow
def test_ctrl_c_twice_on_a_terminal_reaches_ray_too_and_leaves_no_process_and_no_file(
    source: Path, undisturbed: Path, short_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    process = _start(_command(source, output, "--workers", "2"), TMPDIR=str(short_folder))
    _wait_until(lambda: _segments_kept(tmp_path), process)
    for _ in range(2):  # to every process of the terminal, as the key does
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.3)
    _assert_it_was_told_in_one_line(process)
    assert _names(tmp_path) == [HIDDEN_PARENT]
    end = time.monotonic() + 30
    while _has_processes(process.pid):  # what has ended may be there until the system's first
        assert time.monotonic() < end  # process takes note of it
        time.sleep(0.05)
    assert list(short_folder.iterdir()) == []
    report = _run_to_its_end(source, output, "--workers", "2")
    assert report["segments"]["reused"] >= _SEGMENTS_BEFORE_THE_SIGNAL
    assert output.read_bytes() == undisturbed.read_bytes()


@contextmanager
def _small_disk(folder: Path, size: int) -> Iterator[None]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a small file system")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(
    "size_of_the_output",
    [pytest.param(0.5, marks=pytest.mark.slow), 1.5],  # too small for the pieces, for the output
)
def test_a_full_disk_is_one_line_and_what_is_finished_is_used_once_there_is_room(
    source: Path, undisturbed: Path, tmp_path: Path, size_of_the_output: float
) -> None:
    size = undisturbed.stat().st_size - _sound_bytes(source)  # nearly all of it is in the pieces
    with _small_disk(tmp_path / "disk", int(size * size_of_the_output)):
        output = tmp_path / "disk" / "out.mp4"
        full = nst(*_arguments(source, output))
        assert full.code == 1, full.error
        (report,) = json.loads(full.out)["inputs"]
        assert report["status"] == "failed"
        (error,) = [line for line in full.error.splitlines() if line.startswith("error")]
        assert "No space left" in error
        assert "Traceback" not in full.error
        assert _names(output.parent) == [HIDDEN_PARENT]
        subprocess.run(["mount", "-o", "remount,size=50m", str(output.parent)], check=True)
        again = _run_to_its_end(source, output)
        assert again["segments"]["reused"] >= 1
        assert again["segments"]["reused"] == report["segments"]["done"]
        assert output.read_bytes() == undisturbed.read_bytes()


def _sound_bytes(source: Path) -> int:
    with av.open(str(source)) as container:
        return sum(packet.size for packet in container.demux(audio=0))
