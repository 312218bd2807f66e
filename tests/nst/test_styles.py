"""`nst.fit_style` and `train_style`: the jobs of their commands; `load_style` fits pictures too."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nst
from jobs.specs.fitting import FitStyle
from jobs.specs.training import TrainStyle
from nst_core.checkpoints.fitted import path_by_content, path_by_name
from nst_core.errors import InputError
from tests.kit import command_line
from tests.kit.media import moving_picture
from tests.kit.stroke_packs import save_stroke_pack


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[FitStyle]:
    """The fits that were asked for; each comes to a checkpoint of several styles."""
    monkeypatch.setenv("NST_DATA_DIR", str(tmp_path / "data"))
    asked: list[FitStyle] = []

    def fit_style(job: FitStyle, on_progress: Any) -> None:
        asked.append(job)
        path = path_by_name(job.name) if job.name else path_by_content(job.painting)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_stroke_pack(path)

    monkeypatch.setattr("jobs.fitting.fit.fit_style", fit_style)
    return asked


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[TrainStyle]:
    """The trainings that were asked for; none is begun."""
    asked: list[TrainStyle] = []

    def train(job: TrainStyle, on_progress: Any) -> None:
        asked.append(dataclasses.replace(job, options={}))
        raise InputError("not now")

    monkeypatch.setattr("jobs.training.train.train", train)
    return asked


def test_a_fit_is_the_commands_and_comes_to_a_style(fits: list[FitStyle], photos: Path) -> None:
    painting = photos / "even" / "0.jpg"
    style = nst.fit_style(str(painting), [photos, "more"], name="mine", fit_steps=7)
    assert fits == [
        FitStyle(painting=painting, content=(str(photos), "more"), name="mine", fit_steps=7)
    ]
    assert style.mixture == (("scream", 1.0),)  # the last one is the new one
    assert nst.Stylizer("mine", engine="torch")(moving_picture(0)).dtype == np.uint8
    with pytest.raises(InputError, match="overwrite replaces it"):
        nst.fit_style(painting, name="mine")
    nst.fit_style(painting, name="mine", overwrite=True)
    assert len(fits) == 2


def test_a_picture_is_fitted_when_it_is_first_loaded(fits: list[FitStyle], photos: Path) -> None:
    painting = photos / "odd" / "1.jpg"
    first = nst.load_style(painting, content=photos)
    assert [(job.painting, job.content) for job in fits] == [(painting, (str(photos),))]
    assert nst.load_style(painting) == nst.fit_style(painting) == first
    assert len(fits) == 1


@pytest.mark.parametrize(
    ("keywords", "options"),
    [
        ({}, ""),
        (
            {"preset": "fast", "steps": 5, "scales": (1, 0.5)},
            "--preset fast --steps 5 --scales 1,0.5",
        ),
        ({"architecture": "johnson", "scaling": "paper"}, "--architecture johnson --scaling paper"),
        ({"extend": "pack", "workers": (1, 2)}, "--extend pack --workers 1:2"),
        ({"workers": 2, "style_layers": "relu3_1"}, "--workers 2 --style-layers relu3_1"),
    ],
)
def test_a_training_is_the_commands(
    keywords: Any, options: str, trainings: list[TrainStyle], tmp_path: Path
) -> None:
    output = tmp_path / "o.safetensors"
    with pytest.raises(nst.NstError, match="not now"):
        nst.train_style(["a.jpg"], "photos", output, **keywords)
    command = ("train", "style", "a.jpg", "--content", "photos", "-o", output)
    command_line.nst(*command, *options.split())
    assert trainings[0] == trainings[1]


def test_an_extension_has_the_width_of_its_network(trainings: list[TrainStyle]) -> None:
    with pytest.raises(InputError, match="leave out --width"):
        nst.train_style("a.jpg", "photos", "o.safetensors", extend="pack", width=8)
    assert trainings == []
