"""Every kind of training, from its job to a step, without Ray."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from jobs.training_plan import (
    TrainingPlan,
    build_trainer,
    describe,
    make_plan,
    training_pictures,
)
from jobs.training_records import TrainingRecords
from jobs.training_specs import (
    TrainGenerator,
    TrainStyle,
    TrainSuperResolution,
    TrainTexture,
)
from nst_core.checkpoint import CheckpointInfo, load_generator, save_generator
from nst_core.errors import InputError
from nst_core.settings import ReconstructionSettings, TrainingSettings
from nst_core.training import GeneratorTrainer
from tests.media import moving_picture

_CPU = torch.device("cpu")
KINDS = ("johnson", "johnson-paper", "texture-style", "texture", "super-resolution", "pixel")


@pytest.fixture
def jobs(photos: Path, vgg19_file: Path, tmp_path: Path) -> dict[str, TrainGenerator]:
    picture = tmp_path / "painting.png"
    Image.fromarray(moving_picture(0)).save(picture)
    common = {
        "output": tmp_path / "out.safetensors",
        "training": TrainingSettings(steps=30, batch_size=2, image_size=32, seed=5),
        "loss_network_weights": vgg19_file,
    }
    style = TrainStyle(style_image=picture, content=photos, width=4, style_size=32, **common)  # type: ignore[arg-type]
    enlarging = TrainSuperResolution(content=photos, width=4, **common)  # type: ignore[arg-type]
    return {
        "johnson": style,
        "johnson-paper": dataclasses.replace(style, architecture="johnson-paper", norm="batch"),
        "texture-style": dataclasses.replace(style, architecture="texture", width=32),
        "texture": TrainTexture(texture_image=picture, scales=3, **common),  # type: ignore[arg-type]
        "super-resolution": enlarging,
        "pixel": dataclasses.replace(enlarging, objective=ReconstructionSettings("pixel")),
    }


def _step(plan: TrainingPlan, trainer: GeneratorTrainer) -> float:
    pictures = training_pictures(plan)
    size = plan.settings.batch_size
    first = trainer.steps_done * size
    batch = torch.stack([pictures[i] for i in range(first, first + size)])
    return trainer.step(batch).total.item()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns(kind: str, jobs: dict[str, TrainGenerator]) -> None:
    plan = make_plan(jobs[kind])
    trainer = build_trainer(plan, _CPU)
    totals = [_step(plan, trainer) for _ in range(24)]
    assert sum(totals[-4:]) < 0.95 * sum(totals[:4])


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_goes_on_as_an_undisturbed_one(
    kind: str, jobs: dict[str, TrainGenerator]
) -> None:
    plan = make_plan(jobs[kind])
    undisturbed = build_trainer(plan, _CPU)
    for _ in range(2):
        _step(plan, undisturbed)
    state = copy.deepcopy(undisturbed.state_dict())
    resumed = build_trainer(plan, _CPU)
    resumed.load_state_dict(state)
    assert _step(plan, resumed) == _step(plan, undisturbed)
    weights = zip(resumed.generator.parameters(), undisturbed.generator.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)


@pytest.mark.parametrize("kind", KINDS)
def test_the_checkpoint_is_what_was_trained(
    kind: str, jobs: dict[str, TrainGenerator], tmp_path: Path
) -> None:
    plan = make_plan(jobs[kind])
    trainer = build_trainer(plan, _CPU)
    _step(plan, trainer)
    info = CheckpointInfo(plan.info.architecture, plan.info.arguments, describe(plan))
    save_generator(tmp_path / "x.safetensors", trainer.generator, info)
    generator, read = load_generator(tmp_path / "x.safetensors")
    as_stored = json.loads(json.dumps(dataclasses.asdict(info)))
    assert dataclasses.asdict(read) == as_stored
    ours, theirs = trainer.generator.state_dict(), generator.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(("kind", "columns"), [("johnson", 2), ("texture", 3), ("pixel", 3)])
def test_the_preview_leaves_the_generator_as_it_was(
    kind: str, columns: int, jobs: dict[str, TrainGenerator]
) -> None:
    plan = make_plan(jobs[kind])
    trainer = build_trainer(plan, _CPU)
    before = copy.deepcopy(trainer.generator.state_dict())
    records = TrainingRecords(plan)
    records.preview(7, trainer.generator)
    assert trainer.generator.training
    after = trainer.generator.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    sheet = Image.open(plan.run_folder.previews / "step-000007.png")
    assert sheet.width > columns * 200


def test_workers_draw_different_noise(jobs: dict[str, TrainGenerator]) -> None:
    plan = make_plan(jobs["texture"])
    first, again, other = (build_trainer(plan, _CPU, rank=rank) for rank in (0, 0, 1))
    assert _step(plan, first) == _step(plan, again)
    assert _step(plan, first) != _step(plan, other)


def test_super_resolution_learns_from_crops_at_the_photos_own_resolution(
    jobs: dict[str, TrainGenerator], tmp_path: Path
) -> None:
    # A checkerboard of single pixels survives only where nothing is resized.
    board = (torch.arange(80)[:, None] + torch.arange(90)[None]) % 2 * 255
    folder = tmp_path / "boards"
    folder.mkdir()
    Image.fromarray(board.byte().numpy()).save(folder / "board.png")
    plan = make_plan(dataclasses.replace(jobs["pixel"], content=folder))  # type: ignore[call-arg]
    crop = training_pictures(plan)[0]
    assert crop.shape == (3, 32, 32)
    assert set(crop.flatten().tolist()) == {0.0, 1.0}


def test_the_record_names_what_decides_the_result(jobs: dict[str, TrainGenerator]) -> None:
    descriptions = {kind: json.dumps(describe(make_plan(job))) for kind, job in jobs.items()}
    assert len(set(descriptions.values())) == len(KINDS)
    assert "loss_network" in descriptions["super-resolution"]
    assert "loss_network" not in descriptions["pixel"]
    assert "photos" not in descriptions["texture"]


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("pixel", {"training": TrainingSettings(image_size=50)}, "multiple of the scale"),
        ("pixel", {"width": 2}, "--width 2"),
        ("texture", {"scales": 9}, "--scales 9"),
        ("texture", {"texture_size": 8}, "--texture-size 8"),
        ("texture-style", {"width": 16}, "--width 16"),
        ("johnson-paper", {"padding": "zeros"}, "--padding zeros"),
    ],
)
def test_impossible_jobs_are_refused_at_birth(
    kind: str, changes: dict[str, object], message: str, jobs: dict[str, TrainGenerator]
) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(jobs[kind], **changes)  # type: ignore[arg-type]


def test_a_large_texture_is_shrunk_unless_a_size_is_given(
    jobs: dict[str, TrainGenerator], tmp_path: Path
) -> None:
    Image.new("RGB", (1300, 600)).save(tmp_path / "large.png")
    job = dataclasses.replace(jobs["texture"], texture_image=tmp_path / "large.png")  # type: ignore[call-arg]
    plan = make_plan(job)
    assert plan.style_image is not None
    assert plan.style_image.size == (1109, 512)
    plan = make_plan(dataclasses.replace(job, texture_size=64))  # type: ignore[call-arg]
    assert plan.style_image is not None
    assert plan.style_image.size == (139, 64)


def test_a_texture_that_is_too_small_is_refused(
    jobs: dict[str, TrainGenerator], tmp_path: Path
) -> None:
    Image.new("RGB", (40, 20)).save(tmp_path / "small.png")
    job = dataclasses.replace(jobs["texture"], texture_image=tmp_path / "small.png")  # type: ignore[call-arg]
    with pytest.raises(InputError, match="40x20"):
        make_plan(job)
