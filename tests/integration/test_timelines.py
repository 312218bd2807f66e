"""A film by a timeline, with a mask film: over several workers, and a run of it that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.segments.work_folder import HIDDEN_PARENT
from tests.kit.masks import make_film, picture_of, white_box

_FRAMES = 72


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds, a mask of another rate and size, and a timeline."""
    folder = tmp_path_factory.mktemp("film")
    film, mask = folder / "film.mov", folder / "mask.mov"
    make_film(film, picture_of(160, 96), frames=_FRAMES, rate=24, codec="libx264")
    make_film(mask, lambda number: white_box(80, 60, 0, number), frames=45, rate=15)
    (folder / "timeline.txt").write_text(
        "0:00.5-0:01.5 style=wave mask=mask.mov mask-style=udnie\n"
        "0:01.5-0:02.5 style=the_scream fade=0.75\n"
    )
    return folder


def _command(folder: Path, output: Path, workers: int) -> list[str]:
    return [
        *(sys.executable, "-m", "jobs.cli", "stylize", "video", str(folder / "film.mov")),
        *("-o", str(output), "--timeline", str(folder / "timeline.txt"), "--coherence", "0.4"),
        *("--segment-seconds", "0.25", "--json", "--workers", str(workers)),
        *(("--cpus-per-worker", "0.5") if workers else ()),
    ]


def _run(command: list[str]) -> dict[str, Any]:
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert result.returncode == 0, result.stderr
    (report,) = json.loads(result.stdout)["inputs"]
    assert (report["status"], report["frames_out"]) == ("done", _FRAMES)
    found: dict[str, Any] = report
    return found


@pytest.fixture(scope="module")
def undisturbed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What one worker makes."""
    output = tmp_path_factory.mktemp("undisturbed") / "out.mp4"
    _run(_command(folder, output, workers=1))
    return output.read_bytes()


@pytest.mark.slow
def test_three_workers_make_the_same_bytes(
    folder: Path, undisturbed: bytes, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    _run(_command(folder, output, workers=3))
    assert output.read_bytes() == undisturbed


@pytest.mark.slow
def test_a_killed_run_goes_on_with_what_it_has(
    folder: Path, undisturbed: bytes, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    process = subprocess.Popen(
        _command(folder, output, workers=0),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while len(list((tmp_path / HIDDEN_PARENT).glob("*/0*.json"))) < 4:
        assert process.poll() is None
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not output.exists()
    assert _run(_command(folder, output, workers=0))["segments"]["reused"] >= 4
    assert output.read_bytes() == undisturbed
