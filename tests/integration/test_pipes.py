"""Films from pipe to pipe, by the command itself."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import psutil
import pytest

from tests.kit.streams import stream

_FRAMES = 20_000
_MOST_GROWTH = 24 << 20
"""Bytes of resident memory, from the first fifth of a stream to its end."""


def _command(*arguments: str, source: str | Path = "-", output: str | Path = "-") -> list[str]:
    start = (sys.executable, "-m", "jobs.cli", "stylize", "video", str(source), "-o", str(output))
    return [*start, "--style", "identity", *arguments]


def test_stdout_is_the_stream_and_stderr_all_else() -> None:
    content = stream(grey=True)
    run = subprocess.run(_command("--json", "-q"), input=content, capture_output=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.partition(b"\n")[2] == content.partition(b"\n")[2]
    (report,) = json.loads(run.stderr)["inputs"]
    assert (report["input"], report["output"], report["frames_out"]) == ("-", "-", 48)

    cut = subprocess.run(_command("-q"), input=content[:-1], capture_output=True)
    assert cut.returncode == 1
    assert b"cut short" in cut.stderr
    several = subprocess.run(
        _command("--style", "wave"), input=content, capture_output=True, text=False
    )
    assert (several.returncode, several.stdout) == (2, b"")
    assert b"a pipe is read once: one --style" in several.stderr


def test_a_file_goes_to_stdout_and_a_pipe_into_no_file(tmp_path: Path) -> None:
    film = tmp_path / "film.y4m"
    film.write_bytes(content := stream(grey=True))
    run = subprocess.run(_command("-q", source=film), stdin=subprocess.DEVNULL, capture_output=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.partition(b"\n")[2] == content.partition(b"\n")[2]
    output = tmp_path / "out.mkv"
    run = subprocess.run(_command(output=output), input=content, capture_output=True)
    assert run.returncode == 2
    assert b"one film goes into a pipe, -o -; behind it | ffmpeg -i - out.mkv" in run.stderr
    assert not output.exists()


@pytest.mark.slow
def test_several_workers_give_the_frames_in_order() -> None:
    content = stream(frames=200, grey=True)
    arguments = ("--workers", "2", "--segment-seconds", "0.2", "--json", "-q")
    run = subprocess.run(_command(*arguments), input=content, capture_output=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.partition(b"\n")[2] == content.partition(b"\n")[2]


@pytest.mark.slow
def test_a_long_stream_takes_no_more_memory_than_a_short_one() -> None:
    header, _, frames = stream(frames=50).partition(b"\n")
    process = subprocess.Popen(
        _command("-q"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def feed(pipe: IO[bytes]) -> None:
        with pipe:
            pipe.write(header + b"\n")
            for _ in range(_FRAMES // 50):
                pipe.write(frames)

    threading.Thread(target=feed, args=(process.stdin,), daemon=True).start()
    size = len(frames) * _FRAMES // 50
    watched = psutil.Process(process.pid)
    process.stdout.readline()
    taken = early = most = 0
    while data := process.stdout.read(1 << 20):
        taken += len(data)
        if taken < size:  # it is still there
            resident = watched.memory_info().rss
            early = early or (resident if taken > size / 5 else 0)
            most = max(most, resident)
    assert process.wait() == 0
    assert taken == size
    assert most - early < _MOST_GROWTH
