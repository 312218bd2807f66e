"""Every kind of training, from its job to a step and to what is kept, without Ray."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from jobs.specs.training import TrainGenerator
from jobs.training.kinds import StylePlan, make_plan
from jobs.training.plan import TrainingPlan, build_trainer, plan_settings
from nst_core.checkpoints.checkpoint import build_generator, load_generator, save_state
from nst_core.networks.conditional_norm import joined
from nst_core.networks.generator import Generator
from nst_core.training.photos import Batch
from nst_core.training.trainer import GeneratorTrainer
from tests.kit.training_jobs import KINDS, same_state

_CPU = torch.device("cpu")


def _step(plan: TrainingPlan, trainer: GeneratorTrainer) -> dict[str, float]:
    pictures = plan.targets()
    size = plan.samples_per_step
    first = trainer.steps_done * size
    return trainer.step([Batch.of([pictures[number] for number in range(first, first + size)])])


_UNLIKE = ("lean", "johnson", "extended-pack", "texture", "super-resolution", "pixel")
"""Kinds that differ most, in network, objective or contents."""


@pytest.mark.parametrize(
    "kind",
    [kind if kind in _UNLIKE else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS],
)
def test_every_kind_learns(kind: str, jobs: dict[str, TrainGenerator]) -> None:
    plan = make_plan(jobs[kind])
    trainer = build_trainer(plan, _CPU)
    totals = [_step(plan, trainer)["total"] for _ in range(20)]
    assert sum(totals[-4:]) < 0.97 * sum(totals[:4])


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_goes_on_as_an_undisturbed_one(
    kind: str, jobs: dict[str, TrainGenerator]
) -> None:
    plan = make_plan(jobs[kind])
    torch.manual_seed(1)  # neither weights nor noise come from here
    undisturbed = build_trainer(plan, _CPU)
    for _ in range(2):
        _step(plan, undisturbed)
    file = io.BytesIO()
    torch.save(undisturbed.state_dict(), file)
    expected = _step(plan, undisturbed)
    torch.manual_seed(2)
    resumed = build_trainer(plan, _CPU)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    torch.manual_seed(3)
    assert _step(plan, resumed) == expected
    assert same_state(resumed.generator, undisturbed.generator)
    assert same_state(resumed.trained, undisturbed.trained)


@pytest.mark.parametrize("kind", KINDS)
def test_the_checkpoint_is_what_was_trained(
    kind: str, jobs: dict[str, TrainGenerator], tmp_path: Path
) -> None:
    plan = make_plan(jobs[kind])
    trainer = build_trainer(plan, _CPU)
    _step(plan, trainer)
    trained = trainer.state_dict()["trained"]
    info = dataclasses.replace(plan.info, training=plan_settings(plan))
    save_state(tmp_path / "x.safetensors", trained, info)
    names, rows = plan.info.styles or ("",), plan.shown_rows if isinstance(plan, StylePlan) else [0]
    for number, name in enumerate(names):
        mixture = {name: 1.0} if name else None
        generator, read = load_generator(tmp_path / "x.safetensors", mixture)
        assert dataclasses.asdict(read) == json.loads(json.dumps(dataclasses.asdict(info))) | {
            "styles": plan.info.styles,
            "strokes": plan.info.strokes,
        }
        image = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
        row = [torch.eye(plan.info.rows)[rows[number]][None]] if name else []
        torch.testing.assert_close(
            _run(generator, image), _run(trainer.trained.eval(), image, *row)
        )


def _run(network: Generator, *inputs: torch.Tensor) -> torch.Tensor:
    network.unwrapped.seed_noise(0)
    with torch.no_grad():
        output: torch.Tensor = network(*inputs)
    return output


@pytest.mark.parametrize(("kind", "base"), [("extended", "alone"), ("extended-pack", "pack")])
def test_an_extended_network_has_its_old_styles_as_they_were(
    kind: str, base: str, jobs: dict[str, TrainGenerator], bases: dict[str, Path], tmp_path: Path
) -> None:
    plan = make_plan(jobs[kind])
    assert plan.base is not None
    assert plan.base.styles == (("alone",) if base == "alone" else ("monet", "klimt"))
    assert plan.info.styles == ("wave", "starry_night")
    assert (plan.info.architecture, plan.info.arguments) == ("johnson", {"width": 4})
    trainer = build_trainer(plan, _CPU)
    for _ in range(3):
        _step(plan, trainer)
    trained = trainer.state_dict()["trained"]
    state = joined(build_generator(plan.info), plan.base.tensors, trained)
    styles = plan.base.styles + plan.info.styles
    save_state(tmp_path / "all.safetensors", state, dataclasses.replace(plan.info, styles=styles))
    for style in plan.base.styles:
        before, _ = load_generator(bases[base], None if base == "alone" else {style: 1.0})
        after, _ = load_generator(tmp_path / "all.safetensors", {style: 1.0})
        assert same_state(before, after)
    new = [load_generator(tmp_path / "all.safetensors", {s: 1.0})[0] for s in plan.info.styles]
    assert not same_state(*new)
    growth = (tmp_path / "all.safetensors").stat().st_size - bases[base].stat().st_size
    assert 0 < growth < 10_000


def test_what_draws_noise_is_not_calibrated(jobs: dict[str, TrainGenerator]) -> None:
    assert make_plan(jobs["lean"]).calibrates
    assert not make_plan(jobs["texture-style"]).calibrates


def test_noise_is_another_one_in_every_step(jobs: dict[str, TrainGenerator]) -> None:
    plan = make_plan(jobs["texture"])
    first, again = (build_trainer(plan, _CPU) for _ in range(2))
    losses = _step(plan, first)
    assert _step(plan, again) == losses
    third = build_trainer(plan, _CPU)
    third.steps_done = 1
    assert _step(plan, third) != losses


def test_super_resolution_learns_from_crops_at_the_photos_own_resolution(
    jobs: dict[str, TrainGenerator], tmp_path: Path
) -> None:
    # A checkerboard of single pixels survives only where nothing is resized.
    board = (torch.arange(80)[:, None] + torch.arange(90)[None]) % 2 * 255
    folder = tmp_path / "boards"
    folder.mkdir()
    Image.fromarray(board.byte().numpy()).save(folder / "board.png")
    job = dataclasses.replace(jobs["pixel"], content=(str(folder),))  # type: ignore[call-arg]
    crop = make_plan(job).targets()[0].picture
    assert crop.shape == (3, 32, 32)
    assert set(crop.flatten().tolist()) == {0.0, 1.0}
