from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from jobs.evaluate_generator import _crossing, evaluate_generator
from jobs.specs import EvaluateGenerator
from jobs.training_plan import build_trainer, describe, make_plan, training_pictures
from jobs.training_specs import TrainStyle
from nst_core.checkpoint import CheckpointInfo, load_generator, save_generator
from nst_core.errors import InputError
from nst_core.settings import TrainingSettings
from nst_core.transformer_net import TransformerNet
from tests.media import moving_picture


@pytest.fixture
def job(photos: Path, vgg19_file: Path, tmp_path: Path) -> EvaluateGenerator:
    painting = tmp_path / "painting.png"
    Image.fromarray(moving_picture(0)).save(painting)
    training = TrainStyle(
        style_image=painting,
        content=photos,
        output=tmp_path / "style.safetensors",
        training=TrainingSettings(steps=2, batch_size=1, image_size=32),
        width=4,
        style_size=32,
        loss_network_weights=vgg19_file,
    )
    plan = make_plan(training)
    trainer = build_trainer(plan, torch.device("cpu"))
    trainer.step(training_pictures(plan)[0][None])
    info = CheckpointInfo(plan.info.architecture, plan.info.arguments, describe(plan))
    save_generator(training.output, trainer.generator, info)
    return EvaluateGenerator(
        checkpoint=str(training.output),
        content=photos,
        style_image=painting,
        against_iterations=12,
        image_size=32,
        max_images=2,
        loss_network_weights=vgg19_file,
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
    class Copy(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image

    import jobs.evaluate_generator as module

    _, info = load_generator(Path(job.checkpoint))
    monkeypatch.setattr(module, "load_generator", lambda _: (Copy(), info))
    report = evaluate_generator(job)
    assert report.generator["total"] == pytest.approx(report.lbfgs["0"], rel=1e-4)
    assert report.equal_iterations == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    ("value", "place"), [(9.0, 0.0), (8.0, 0.0), (6.0, 0.5), (4.0, 1.0), (3.0, 2.5), (1.0, None)]
)
def test_equal_iterations_is_where_the_curve_crosses(value: float, place: float | None) -> None:
    assert _crossing([8.0, 4.0, 4.5, 2.0], value) == pytest.approx(place) or place is None
    if place is None:
        assert _crossing([8.0, 4.0, 4.5, 2.0], value) is None


def test_other_loss_network_weights_than_the_trainings_are_refused(
    job: EvaluateGenerator, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    assert job.loss_network_weights is not None
    tensors = {name: tensor * 2 for name, tensor in load_file(job.loss_network_weights).items()}
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
