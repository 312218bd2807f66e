"""Recipes of the papers, value by value, and every value can be given otherwise.

What stands here was written down from the papers and their authors' code, not from the program.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

import jobs.applying.optimize
import jobs.training.train
from jobs.specs.recipes import RECIPES
from jobs.specs.single import Optimize
from jobs.specs.training import TrainGenerator, TrainStyle, TrainSuperResolution, TrainTexture
from jobs.training.kinds import make_plan
from nst_core.errors import TrainingFailed
from nst_core.objectives.weights.reading import LossNetworkWeights
from nst_core.training.learning_rate import learning_rate_at
from nst_core.training.settings import TrainingSettings
from tests.kit.command_line import nst

_FIVE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Jobs that commands would do."""
    found: list[Any] = []

    def note(job: Any, on_progress: object) -> None:
        found.append(job)
        raise TrainingFailed("only asked for")

    monkeypatch.setattr(jobs.training.train, "train", note)
    monkeypatch.setattr(jobs.applying.optimize, "optimize", note)
    return found


def _job(asked: list[Any], *arguments: str) -> Any:
    ended = nst(*arguments)
    assert ended.error.endswith("only asked for\n"), ended.error
    return asked.pop()


def _style(asked: list[Any], *arguments: str) -> TrainStyle:
    job = _job(
        asked, "train", "style", "w.jpg", "--content", "p", "-o", "w.safetensors", *arguments
    )
    assert isinstance(job, TrainStyle)
    return job


def _assert_last_weights_at(training: TrainingSettings, rates: dict[int, float]) -> None:
    assert training.average == 0
    assert training.warmup_steps == 0
    for step, rate in rates.items():
        assert learning_rate_at(step, training) == pytest.approx(rate), step


def test_johnson_2016(asked: list[Any]) -> None:
    job = _style(asked, "--recipe", "johnson2016")
    assert (job.architecture, job.norm, job.width, job.start) == (
        "johnson-paper",
        "batch",
        32,
        "none",
    )
    assert job.loss_network == "vgg16"
    objective = job.objective
    assert objective.style_layers == ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
    assert objective.content_layers == ("relu3_3",)
    assert objective.scaling == "authors"
    assert (objective.content_weight, objective.style_weight, objective.tv_weight) == (1, 5, 1e-6)
    assert not objective.balanced
    assert objective.lattice_weight == 0
    training = job.training
    assert (training.steps, training.batch_size, training.image_size) == (40_000, 4, 256)
    _assert_last_weights_at(training, {0: 1e-3, 20_000: 1e-3, 39_999: 1e-3})


def test_johnson_2016_for_super_resolution(asked: list[Any]) -> None:
    line = ("train", "super-resolution", "--content", "p", "-o", "x4.safetensors")
    job = _job(asked, *line, "--recipe", "johnson2016")
    assert isinstance(job, TrainSuperResolution)
    assert (job.norm, job.width, job.objective.loss) == ("batch", 64, "feature")
    assert job.loss_network == "vgg16"
    training = job.training
    assert (training.steps, training.batch_size, training.image_size) == (200_000, 4, 288)
    _assert_last_weights_at(training, {0: 1e-3, 199_999: 1e-3})


_DECAYS = {0: 0.1, 999: 0.1, 1000: 0.07, 1199: 0.07, 1200: 0.049, 1999: 0.1 * 0.7**5}


def test_texture_networks_2016(asked: list[Any]) -> None:
    line = ("train", "texture", "t.jpg", "-o", "t.safetensors", "--recipe", "texture2016")
    job = _job(asked, *line)
    assert isinstance(job, TrainTexture)
    assert (job.norm, job.levels, job.loss_network) == ("batch", 5, "vgg19")
    assert job.objective.style_layers == _FIVE
    assert job.objective.scaling == "plain"
    assert job.objective.normalized_gradients
    assert job.objective.content_weight == 0
    training = job.training
    assert (training.steps, training.batch_size, training.image_size) == (2000, 16, 256)
    _assert_last_weights_at(training, _DECAYS)


def test_texture_networks_2016_for_styles(asked: list[Any]) -> None:
    job = _style(asked, "--recipe", "texture2016")
    assert (job.architecture, job.norm, job.loss_network) == ("texture", "batch", "vgg19")
    objective = job.objective
    assert objective.style_layers == _FIVE
    assert objective.content_layers == ("relu4_2",)
    assert objective.scaling == "plain"
    assert objective.normalized_gradients
    assert (job.training.steps, job.training.batch_size) == (2000, 16)
    _assert_last_weights_at(job.training, _DECAYS)


def test_instance_normalization_2017(asked: list[Any]) -> None:
    job = _style(asked, "--recipe", "instance2017")
    assert (job.architecture, job.norm, job.loss_network) == ("johnson-paper", "instance", "vgg19")
    objective = job.objective
    assert objective.style_layers == _FIVE[:4]
    assert objective.content_layers == ("relu4_2",)
    assert (objective.content_weight, objective.style_weight) == (1, 1)
    training = job.training
    assert (training.steps, training.batch_size, training.image_size) == (50_000, 1, 256)
    rates = {0: 1e-3, 1999: 1e-3, 2000: 0.8e-3, 3999: 0.8e-3, 4000: 0.64e-3}
    _assert_last_weights_at(training, rates)


def test_gatys(asked: list[Any]) -> None:
    line = ("optimize", "p.jpg", "--style", "w.jpg", "-o", "o.png", "--recipe", "gatys")
    job = _job(asked, *line)
    assert isinstance(job, Optimize)
    assert (job.loss_network, job.init, job.steps) == ("vgg19", "noise", 500)
    objective = job.objective
    assert objective.style_layers == _FIVE
    assert objective.content_layers == ("relu4_2",)
    assert objective.scaling == "gatys"
    assert objective.pooling == "average"
    assert 1e-4 <= objective.content_weight / objective.style_weight <= 1e-3


_OTHERWISE: dict[str, str | tuple[str, str]] = {
    "norm": ("instance", "batch"),
    "loss_network": ("vgg16", "vgg19"),
    "style_layers": "relu2_2=3",
    "content_layers": "relu1_1",
    "scaling": "paper",
    "pooling": ("max", "average"),
    "architecture": "johnson",
    "start": "auto",
    "init": "content",
    "loss": "pixel",
    "schedule": "cosine",
    "learning_rate": "0.002",
    "decay": "0.5",
    "average": "0.5",
    "image_size": "64",
    "style_size": "77",
    "texture_size": "77",
}


@pytest.mark.parametrize(
    ("command", "recipe"), [(command, name) for command in RECIPES for name in RECIPES[command]]
)
def test_every_value_can_be_given_otherwise(command: str, recipe: str, asked: list[Any]) -> None:
    lines = {
        "style": "train style w.jpg --content p -o w.safetensors",
        "texture": "train texture t.jpg -o t.safetensors",
        "super-resolution": "train super-resolution --content p -o x.safetensors",
        "optimize": "optimize p.jpg --style w.jpg -o o.png",
    }
    line = [*lines[command].split(), "--recipe", recipe]
    whole = _values(_job(asked, *line))
    values = RECIPES[command][recipe]
    for name in values.keys() - {"normalize_gradients"}:
        option = {"start": "from"}.get(name, name.replace("_", "-"))
        choices = _OTHERWISE.get(name, "7")
        choice = next(each for each in _both(choices) if each != values[name])
        more = (f"--{option}", choice)
        other = _values(_job(asked, *line, *more))
        changed = {key for key in whole if whole[key] != other[key]}
        assert len(changed) == 1, (name, changed)


def _both(choices: str | tuple[str, str]) -> tuple[str, ...]:
    return (choices,) if isinstance(choices, str) else choices


def _values(job: Any) -> dict[str, Any]:
    """All fields, those of the settings within too; without the options as they were given."""
    values = dataclasses.asdict(job)
    values.pop("options", None)
    for name in ("training", "objective"):
        nested = values.pop(name, {})
        values |= {f"{name}.{key}": value for key, value in nested.items()}
    return values


def test_a_run_goes_on_with_its_recipe(asked: list[Any], tmp_path: Path) -> None:
    output = str(tmp_path / "w.safetensors")
    line = ("train", "style", "w.jpg", "--content", "p", "-o", output)
    first = _job(asked, *line, "--recipe", "johnson2016", "--style-weight", "9")
    folder = tmp_path / "w.run"
    folder.mkdir()
    (folder / "options.json").write_text(json.dumps(dict(first.options)))
    (folder / "settings.json").write_text("{}")
    again = _job(asked, *line, "--resume", "--steps", "50000")
    assert again.objective == first.objective
    assert again.objective.style_weight == 9
    assert again.training == dataclasses.replace(first.training, steps=50_000)


def test_the_checkpoint_says_which_recipe(jobs: dict[str, TrainGenerator]) -> None:
    job = dataclasses.replace(jobs["lean"], options={"recipe": "johnson2016"})
    assert make_plan(job).sources["recipe"] == "johnson2016"
    assert "recipe" not in make_plan(jobs["lean"]).sources


def test_a_recipe_of_another_command_is_refused(asked: list[Any]) -> None:
    ended = nst("train", "texture", "t.jpg", "-o", "t.safetensors", "--recipe", "gatys")
    assert ended.code == 2
    assert "texture2016" in ended.error


def test_layers_are_repeated_or_separated_by_commas(asked: list[Any]) -> None:
    layers = ("relu1_1=1", "relu4_1=15")
    once = _style(asked, "--style-layers", ",".join(layers), "--content-layers", "relu4_2,relu3_1")
    given = [word for layer in layers for word in ("--style-layers", layer)]
    contents = ("--content-layers", "relu4_2", "--content-layers", "relu3_1")
    assert _style(asked, *given, *contents).objective == once.objective
    assert once.objective.style_layers == layers
    assert once.objective.content_layers == ("relu4_2", "relu3_1")
    optimized = _job(
        asked, "optimize", "p.jpg", "--style", "w.jpg", "-o", "o.png", *given, *contents
    )
    assert optimized.objective.style_layers == layers
    assert optimized.objective.content_layers == ("relu4_2", "relu3_1")
    texture = _job(asked, "train", "texture", "t.jpg", "-o", "t.safetensors", *given)
    assert texture.objective.style_layers == layers


def test_without_options_the_defaults_are_the_jobs_own(
    asked: list[Any], vgg19: LossNetworkWeights
) -> None:
    style = _style(asked)
    own = TrainStyle(style_images=(Path("w.jpg"),), content=("p",), output=Path("w.safetensors"))
    assert style.objective == own.objective
    assert style.training == TrainingSettings(steps=4000)
    assert dataclasses.replace(style, training=own.training, options={}) == own
    texture = _job(asked, "train", "texture", "t.jpg", "-o", "t.safetensors")
    plain = TrainTexture(texture_image=Path("t.jpg"), output=Path("t.safetensors"))
    assert dataclasses.replace(texture, options={}) == plain
    line = ("train", "super-resolution", "--content", "p", "-o", "x4.safetensors")
    enlarging = TrainSuperResolution(content=("p",), output=Path("x4.safetensors"))
    assert dataclasses.replace(_job(asked, *line), options={}) == enlarging
    extended = _style(asked, "--extend", "w.safetensors").training
    assert (extended.steps, extended.learning_rate) == (400, 5e-3)
    optimized = _job(asked, "optimize", "p.jpg", "--style", "w.jpg", "-o", "o.png")
    assert optimized == Optimize(Path("p.jpg"), Path("w.jpg"), Path("o.png"))
