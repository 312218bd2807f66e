"""What is kept to be faster next time stays small, can be removed, and is all that is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nst_core.caches import caches, clean, compiled_styles, drop_unused, note_use
from nst_core.checkpoints.library import Style
from nst_core.errors import InputError
from tests.kit.command_line import app


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path / "cache"))
    compiled_styles().mkdir(parents=True)
    return compiled_styles()


def _keep(folder: Path, name: str, *, hours_ago: float, size: int = 1000) -> None:
    for suffix in (".xml", ".bin"):
        file = folder / f"{name}{suffix}"
        file.write_bytes(bytes(size))
        os.utime(file, (time.time() - 3600 * hours_ago,) * 2)


def test_what_was_used_longest_ago_goes_first_and_whole(folder: Path) -> None:
    for name, hours in (("a", 3), ("b", 30), ("c", 20), ("d", 10)):
        _keep(folder, name, hours_ago=hours)
    note_use(folder / "b.xml")
    drop_unused(folder, most_bytes=4000)
    assert {path.name for path in folder.iterdir()} == {"a.xml", "a.bin", "b.xml", "b.bin"}


def test_files_that_killed_processes_left_go_and_those_being_written_stay(folder: Path) -> None:
    _keep(folder, "a.4711", hours_ago=2)
    _keep(folder, "a.4712", hours_ago=0, size=9000)
    _keep(folder, "a", hours_ago=200)
    drop_unused(folder, most_bytes=10**6)
    assert {path.stem for path in folder.iterdir()} == {"a", "a.4712"}
    drop_unused(folder, most_bytes=10)
    assert {path.stem for path in folder.iterdir()} == {"a.4712"}


def test_cleaning_removes_what_is_ours_alone(folder: Path) -> None:
    _keep(folder, "a", hours_ago=1)
    other = folder / "thesis.txt"
    other.write_text("precious")
    assert clean() == 2000
    assert list(folder.iterdir()) == [other]
    other.unlink()
    assert clean() == 0
    assert not folder.parent.exists()


def test_the_command_cleans_only_when_it_is_told_to(folder: Path) -> None:
    _keep(folder, "a", hours_ago=1)
    asked = CliRunner().invoke(app, ["clean"])
    assert isinstance(asked.exception, InputError)
    assert "--yes" in str(asked.exception)
    assert caches()[0].files == 2
    result = CliRunner().invoke(app, ["clean", "--yes", "--json"])
    assert json.loads(result.stdout)["freed"] == 2000
    assert caches()[0].files == 0
    assert "nothing to remove" in CliRunner().invoke(app, ["clean"]).stdout


def test_nothing_tells_of_this_machine_in_the_home_folder(style: Style, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import sys; from pathlib import Path; import torch\n"
        "from nst_core.engines.choice import make_engine\n"
        "from nst_core.checkpoints.onnx_export import export_onnx\n"
        "from nst_core.checkpoints.library import find_style\n"
        "style = find_style(sys.argv[1])\n"
        "make_engine(style.load(), engine='openvino', device='cpu').run(torch.rand(1, 3, 32, 32))\n"
        "assert export_onnx(style.load(), style.info, Path(sys.argv[2])).largest_error is not None"
    )
    variables = {"HOME": str(home), "NST_CACHE_DIR": str(tmp_path / "cache")}
    environment = {**os.environ, **variables}
    for name in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    command = [sys.executable, "-c", code, str(style.path), str(tmp_path / "out.onnx")]
    subprocess.run(command, check=True, env=environment, cwd=Path(__file__).parents[2])
    assert [path for path in home.rglob("*") if path.is_file()] == []
    assert (tmp_path / "cache" / "openvino").is_dir()
