from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from jobs.evaluating.generator import _crossing, _objective, evaluate_generator
from jobs.specs.evaluating import EvaluateGenerator
from jobs.specs.training import TrainStyle
from nst_core.checkpoints.checkpoint import read_state, save_generator, save_state
from nst_core.checkpoints.info import CheckpointInfo, read_info
from nst_core.checkpoints.library import Style, find_style
from nst_core.errors import InputError
from nst_core.networks.conditional_norm import norm_names
from nst_core.networks.generator import Generator
from nst_core.networks.transformer import TransformerNet
from nst_core.objectives.settings import ObjectiveSettings
from nst_core.objectives.trained_objective import changed
from tests.kit.media import moving_picture
from tests.kit.trained_styles import style_training, trained


@pytest.fixture
def paintings(tmp_path: Path) -> tuple[Path, ...]:
    paths = (tmp_path / "wave.png", tmp_path / "scream.png")
    picture = Image.fromarray(moving_picture(0))
    picture.save(paths[0])
    picture.point(lambda value: 255 - value // 2).save(paths[1])
    return paths


@pytest.fixture
def training(
    photos: Path, vgg19_file: Path, paintings: tuple[Path, ...], tmp_path: Path
) -> TrainStyle:
    return style_training(paintings[:1], photos, vgg19_file, tmp_path / "style.safetensors")


@pytest.fixture
def job(training: TrainStyle, photos: Path) -> EvaluateGenerator:
    trained(training)
    return EvaluateGenerator(
        checkpoint=str(training.output),
        content=photos,
        style_image=training.style_images[0],
        against_iterations=12,
        image_size=32,
        max_images=2,
        loss_network_weights=training.loss_network_weights,
        device="cpu",
    )


def test_the_report_compares_the_generator_with_every_stage(job: EvaluateGenerator) -> None:
    report = evaluate_generator(job)
    assert report.images == 2
    assert list(report.lbfgs) == ["0", "10", "12"]
    totals = list(report.lbfgs.values())
    assert totals == sorted(totals, reverse=True)
    assert report.generator["total"] == pytest.approx(
        report.generator["content"] + 5 * report.generator["style"], rel=1e-5
    )
    at_or_below = list(report.images_at_or_below.values())
    assert at_or_below == sorted(at_or_below, reverse=True)
    assert report.speed_ratio == pytest.approx(
        report.seconds_per_100_iterations / report.seconds_per_forward
    )
    assert any("as well as" in line or "not reached" in line for line in report.lines())


def test_a_generator_that_copies_its_input_is_worth_no_iteration(
    job: EvaluateGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Copy(Generator):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image

    monkeypatch.setattr(Style, "load", lambda _: Copy())
    report = evaluate_generator(job)
    assert report.generator["total"] == pytest.approx(report.lbfgs["0"], rel=1e-4)
    assert report.equal_iterations == pytest.approx(0, abs=0.01)


def test_started_from_the_generators_picture_it_is_called_hybrid(job: EvaluateGenerator) -> None:
    report = evaluate_generator(dataclasses.replace(job, init="generator"))
    assert report.generator["total"] == pytest.approx(report.lbfgs["0"], rel=1e-5)
    assert report.lbfgs["12"] < report.lbfgs["0"]
    assert report.equal_iterations == pytest.approx(0, abs=0.01)
    assert "hybrid" in report.lines()[0]


@pytest.mark.parametrize(
    ("value", "place"), [(9.0, 0.0), (8.0, 0.0), (6.0, 0.5), (4.0, 1.0), (3.0, 2.5), (1.0, None)]
)
def test_equal_iterations_is_where_the_curve_crosses(value: float, place: float | None) -> None:
    assert _crossing([8.0, 4.0, 4.5, 2.0], value) == pytest.approx(place) or place is None
    if place is None:
        assert _crossing([8.0, 4.0, 4.5, 2.0], value) is None


def test_a_generator_is_judged_by_another_objective_where_one_is_given(
    job: EvaluateGenerator,
) -> None:
    own = _objective(find_style(job.checkpoint), job).settings
    assert own.scaling == "relative"
    layers: dict[str, Any] = {
        "style_layers": ("relu1_1=1", "relu2_1=15"),
        "content_layers": ("relu2_2", "relu1_2"),
    }
    other = dataclasses.replace(job, objective={**layers, "scaling": "paper", "tv_weight": 1e-6})
    settings = _objective(find_style(job.checkpoint), other).settings
    assert settings == ObjectiveSettings(scaling="paper", tv_weight=1e-6, **layers)
    assert evaluate_generator(job).generator != evaluate_generator(other).generator


def test_a_papers_scaling_drops_what_only_this_projects_has() -> None:
    own = ObjectiveSettings(
        style_weight=15.0, scales=(0.5,), balanced=True, lattice_weight=0.2, style_layers=("a@0.5",)
    )
    expected = ObjectiveSettings(scaling="gatys", style_weight=15.0)
    assert changed(own, {"scaling": "gatys"}) == expected
    averaged = dataclasses.replace(own, pooling="average")
    assert changed(averaged, {"scaling": "gatys"}).pooling == "average"
    assert changed(own, {"tv_weight": 1.0}) == dataclasses.replace(own, tv_weight=1.0)


def test_other_loss_network_weights_than_the_trainings_are_refused(
    job: EvaluateGenerator, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    assert job.loss_network_weights is not None
    tensors = {name: tensor * 1.1 for name, tensor in load_file(job.loss_network_weights).items()}
    save_file(tensors, tmp_path / "other.safetensors", metadata={"architecture": "vgg19"})
    other = dataclasses.replace(job, loss_network_weights=tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="other loss-network weights"):
        evaluate_generator(other)


def test_a_checkpoint_without_an_objective_is_refused(
    job: EvaluateGenerator, tmp_path: Path
) -> None:
    path = tmp_path / "bare.safetensors"
    save_generator(path, TransformerNet(4), CheckpointInfo("johnson", {"width": 4}))
    with pytest.raises(InputError, match="no style objective"):
        evaluate_generator(dataclasses.replace(job, checkpoint=str(path)))
    with pytest.raises(InputError, match="identity"):
        evaluate_generator(dataclasses.replace(job, checkpoint="identity"))


def test_a_style_of_a_pack_is_evaluated_and_not_the_whole_of_it(
    training: TrainStyle, paintings: tuple[Path, ...], job: EvaluateGenerator
) -> None:
    trained(dataclasses.replace(training, style_images=paintings))
    with pytest.raises(InputError, match="holds 2 styles"):
        evaluate_generator(job)
    quick = dataclasses.replace(job, against_iterations=1)
    totals = {}
    for style in ("wave", "scream"):
        chosen = dataclasses.replace(quick, checkpoint=f"{job.checkpoint}:{style}")
        totals[style] = evaluate_generator(chosen).generator["total"]
    assert totals["wave"] != totals["scream"]


def test_an_added_style_is_judged_by_its_own_training(
    training: TrainStyle, job: EvaluateGenerator
) -> None:
    state, info = read_state(training.output)
    first, second = (
        {"styles": [name], "style_size": size} for name, size in (("b", 40), ("c", 48))
    )
    rows = {name: torch.stack([t] * 3) if _of_norm(name) else t for name, t in state.items()}
    record = info.training | {"extensions": [first, second]}
    pack = dataclasses.replace(info, styles=("a", "b", "c"), training=record)
    save_state(training.output, rows, pack)
    for mixture, expected in (
        *(("a", info.training), ("b", first), ("c", second)),
        *(("a=0.7,c=0.3", info.training), ("a=0.2,b=0.3,c=0.5", second)),
    ):
        assert find_style(f"{training.output}:{mixture}").training == json.loads(
            json.dumps(expected)
        )


def _of_norm(name: str) -> bool:
    return name.rpartition(".")[0] in norm_names(TransformerNet(4))


def test_the_weights_of_the_objective_are_the_checkpoints(
    training: TrainStyle, job: EvaluateGenerator
) -> None:
    weights = ObjectiveSettings(content_weight=2.0, style_weight=3.0, style_layers=("relu1_1",))
    trained(dataclasses.replace(training, objective=weights))
    assert read_info(training.output).training["objective"]["style_layers"] == ["relu1_1"]
    report = evaluate_generator(dataclasses.replace(job, against_iterations=1))
    losses = report.generator
    expected = 2 * losses["content"] + 3 * losses["style"]
    assert losses["total"] == pytest.approx(expected, rel=1e-5)
