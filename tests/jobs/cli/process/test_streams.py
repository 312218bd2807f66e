"""The shell may close streams, or their readers may leave: the work is done all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.kit.media import moving_picture


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(moving_picture(0)).save(path)
    return path


def _stylize(picture: Path, redirections: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a command by a shell, as it redirects its streams."""
    command = (sys.executable, "-m", "jobs.cli", "stylize", "images", str(picture))
    more = ("-o", "out", "--style", "identity", *options)
    return subprocess.run(
        ["sh", "-c", f'"$@" {redirections}', "sh", *command, *more],
        cwd=picture.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.mark.parametrize(
    "redirections",
    [
        *(">&- 2>&- <&-", "2>/dev/full"),
        *(pytest.param(each, marks=pytest.mark.slow) for each in (">&-", "2>&-")),
    ],
)
def test_a_stream_that_is_closed_or_full_keeps_no_work_undone(
    redirections: str, picture: Path
) -> None:
    run = _stylize(picture, redirections)
    assert run.returncode == 0, run.stderr
    assert Image.open(picture.parent / "out" / "picture.png").size == (96, 64)
    assert "Traceback" not in run.stderr


def test_results_that_cannot_be_written_are_told(picture: Path) -> None:
    run = _stylize(picture, ">/dev/full", "--json")
    assert run.returncode == 1
    words = "error: the results could not be written to stdout (No space left on device)"
    assert run.stderr.splitlines()[-1] == words


def test_json_that_nobody_can_get_is_told(picture: Path) -> None:
    run = _stylize(picture, ">&-", "--json")
    assert run.returncode == 1
    words = "error: the results could not be written to stdout (it is closed)"
    assert run.stderr.splitlines()[-1] == words
    assert (picture.parent / "out" / "picture.png").exists()


def test_a_reader_that_leaves_does_not_end_the_work(picture: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = (sys.executable, "-m", "jobs.cli", "stylize", "images", str(picture))
    with os.fdopen(writer, "wb") as pipe:
        run = subprocess.run(
            [*command, "-o", "out", "--style", "identity", "--json"],
            cwd=picture.parent,
            stdout=pipe,
            stderr=pipe,
            check=False,
            timeout=600,
        )
    assert run.returncode == 0
    assert json.loads((picture.parent / "out" / "report.json").read_text())["done"] == 1
