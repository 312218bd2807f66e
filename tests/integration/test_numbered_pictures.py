"""Numbered pictures over several workers, and a run of them that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.segments.work_folder import HIDDEN_PARENT
from tests.kit.command_line import nst
from tests.kit.exr import exr_bytes
from tests.kit.media import moving_picture

_NUMBERS = range(95, 119)


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of EXRs with alpha, with light above 1."""
    folder = tmp_path_factory.mktemp("shot")
    for number in _NUMBERS:
        light = (moving_picture(number, 160, 96) / 128.0) ** 2.2
        planes = {name: light[..., place].astype(np.float16) for place, name in enumerate("RGB")}
        planes["A"] = np.ones((96, 160), np.float16)
        (folder / f"shot.{number:04}.exr").write_bytes(exr_bytes(planes))
    return folder


def _arguments(shot: Path, output: Path, workers: int) -> list[str]:
    return [
        *("stylize", "video", str(shot / "shot.%04d.exr"), "-o", f"{output}/"),
        *("--style", "wave", "--segment-seconds", "0.25", "--json"),
        *("--workers", str(workers), *(("--cpus-per-worker", "0.5") if workers else ())),
    ]


def _run(shot: Path, output: Path, workers: int) -> dict[str, Any]:
    ended = nst(*_arguments(shot, output, workers))
    assert ended.code == 0, ended.error
    (report,) = json.loads(ended.out)["inputs"]
    assert (report["status"], report["frames_out"]) == ("done", len(_NUMBERS))
    assert [line for line in report["warnings"] if "brighter than 1" in line]
    found: dict[str, Any] = report
    return found


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.exr")}


@pytest.fixture(scope="module")
def undisturbed(shot: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What is made without workers."""
    output = tmp_path_factory.mktemp("undisturbed")
    _run(shot, output, workers=0)
    pictures = _bytes(output)
    assert sorted(pictures) == [f"shot.{number:04}.exr" for number in _NUMBERS]
    return pictures


@pytest.mark.slow
def test_three_workers_make_the_same_bytes(
    shot: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    _run(shot, tmp_path / "out", workers=3)
    assert _bytes(tmp_path / "out") == undisturbed


@pytest.mark.parametrize(
    "when", [pytest.param("segments are kept", marks=pytest.mark.slow), "pictures appear"]
)
def test_a_killed_run_leaves_nothing_or_goes_on(
    shot: Path, undisturbed: dict[str, bytes], tmp_path: Path, when: str
) -> None:
    output = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs.cli", *_arguments(shot, output, workers=0)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    kept = (HIDDEN_PARENT + "/*/0*.json", 2) if when == "segments are kept" else ("shot.*.exr", 1)
    while len(list(output.glob(kept[0]))) < kept[1] and process.poll() is None:
        time.sleep(0.0005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = _bytes(output)
    assert when == "pictures appear" or not before
    assert before.items() <= undisturbed.items()
    segments = _run(shot, output, workers=0)["segments"]
    assert segments["reused"] >= 2
    assert _bytes(output) == undisturbed
    assert not list(output.glob(".*.part"))
    assert not (output / HIDDEN_PARENT).exists()
