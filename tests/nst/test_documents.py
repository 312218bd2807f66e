"""The page of the Python interface and its notebook: all that they show is run."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jobs.fitting import fit as fitting
from jobs.specs import training
from tests.kit.media import make_clip, moving_picture

DOCS = Path(__file__).parents[2] / "docs"
_SECTIONS = {
    name: "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    for name, text in re.findall(
        r"^## (.*?)\n(.*?)(?=^## |\Z)", (DOCS / "python.md").read_text(), re.DOTALL | re.MULTILINE
    )
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vgg19_file: Path) -> None:
    """What the examples name; fits and trainings are of a few steps, on small crops."""
    make_clip(tmp_path / "film.mp4")
    (tmp_path / "photos").mkdir()
    for number, name in enumerate(("harbour", "street", "garden")):
        picture = Image.fromarray(moving_picture(5 * number, 160, 90))
        picture.save(tmp_path / "photos" / f"{name}.jpg")
    Image.fromarray(moving_picture(40)).save(tmp_path / "painting.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NST_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("NST_LOSS_NETWORK_WEIGHTS", str(vgg19_file))
    monkeypatch.setattr(fitting, "SETTINGS", dataclasses.replace(fitting.SETTINGS, image_size=32))
    monkeypatch.setattr(fitting, "STYLE_SIZE", 64)
    fast = training.Preset(width=24, johnson_width=4, steps=2, image_size=32, style_size=32)
    monkeypatch.setitem(training.PRESETS, "fast", fast)


_SLOW = {"Styles of your own", "Ray Data"}
"""Of datasets of Ray test_stylizer.py has a shorter example."""


@pytest.mark.parametrize(
    "section",
    [pytest.param(each, marks=pytest.mark.slow) if each in _SLOW else each for each in _SECTIONS],
)
def test_the_examples_of_a_section_run(section: str, ray_here: None) -> None:
    assert _SECTIONS[section].startswith("import nst\n")
    names: dict[str, Any] = {}
    exec(compile(_SECTIONS[section], section, "exec"), names)  # noqa: S102


def test_an_error_is_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(_SECTIONS["Progress and errors"], "errors", "exec"), {})  # noqa: S102
    assert capsys.readouterr().out.splitlines()[-1].startswith("no-film.mp4: no such")


def test_the_notebook_runs_from_top_to_bottom() -> None:
    notebook = json.loads((DOCS / "notebook.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names: dict[str, Any] = {}
    for number, cell in enumerate(cells):
        exec(compile(cell, f"cell {number}", "exec"), names)  # noqa: S102
    assert not any(cell.get("outputs") for cell in notebook["cells"])
    assert names["sheet"].size[0] > names["picture"].size[0]
