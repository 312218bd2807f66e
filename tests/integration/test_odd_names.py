"""Names that are no UTF-8, a TMPDIR too long for sockets: the work is done all the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nst_core.checkpoints.library import Style
from tests.kit.command_line import nst

_ODD = os.fsdecode(b"caf\xe9")


@pytest.fixture
def folder(clip: Path, photos: Path, style: Style, tmp_path: Path) -> Path:
    """A folder of such a name, with a film, pictures and a style of such names."""
    folder = tmp_path / _ODD
    folder.mkdir()
    shutil.copy(clip, folder / f"{_ODD}.mp4")
    shutil.copytree(photos / "even", folder / f"{_ODD}-photos")
    (folder / f"{_ODD}-photos" / f"{_ODD}.png").write_bytes(b"no picture")
    assert style.path is not None
    shutil.copy(style.path, folder / f"{_ODD}.safetensors")
    return folder


def _nst(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobs.cli", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.mark.slow
def test_a_film_goes_through_ray_under_its_name_whatever_tmpdir_is(folder: Path) -> None:
    temporary = folder / ("deep/" * 20)
    temporary.mkdir(parents=True)
    command = ("stylize", "video", f"{_ODD}.mp4", "-o", f"{_ODD}-o.mp4", "--workers", "1")
    run = _nst(folder, *command, "--style", f"{_ODD}.safetensors", "--json", TMPDIR=str(temporary))
    assert run.returncode == 0, run.stderr
    (report,) = json.loads(run.stdout)["inputs"]
    assert (report["status"], report["output"]) == ("done", f"{_ODD}-o.mp4")
    assert (folder / f"{_ODD}-o.mp4").is_file()
    assert list(temporary.iterdir()) == []


def test_pictures_styles_lists_and_reports_take_such_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    styles = ("--style", f"{_ODD}.safetensors", "--workers", "0")
    run = _nst(folder, "stylize", "images", f"{_ODD}-photos", "-o", f"{_ODD}-o", *styles, "--json")
    assert run.returncode == 1, run.stderr
    report = json.loads(run.stdout)
    assert report["done"] == 5
    ((path),) = [each["path"] for each in report["failures"]]
    assert os.fsencode(path).endswith(b"caf\xe9.png")
    assert len(list((folder / f"{_ODD}-o").glob("*.jpg"))) == 5

    (folder / "list.txt").write_bytes(b"caf\xe9-photos/0.jpg\n")
    monkeypatch.chdir(folder)
    ended = nst("stylize", "images", "list.txt", "-o", "listed", *styles)
    assert ended.code == 0, ended.error
    assert "listed: 1 picture" in ended.out
    ended = nst("stylize", "images", "list.txt", "-o", _ODD, "--style", "nothing-here")
    assert ended.code == 2
    assert ended.error_line


def test_a_style_is_shown_and_exported_under_such_a_name(folder: Path) -> None:
    run = _nst(folder, "styles", "export", f"{_ODD}.safetensors", "-o", f"{_ODD}.onnx")
    assert run.returncode == 0, run.stderr
    assert (folder / f"{_ODD}.onnx").stat().st_size > 0
    assert "caf\\udce9.onnx" in run.stdout
