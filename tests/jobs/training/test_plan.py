"""What a plan says of itself, by which a run is told from another, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from jobs.specs.training import (
    TrainGenerator,
    TrainStyle,
)
from jobs.training.estimate import estimated_seconds_a_step
from jobs.training.kinds import make_plan
from jobs.training.plan import build_trainer, plan_settings
from jobs.training.start import read_extended
from jobs.training.train import train
from nst_core.checkpoints.checkpoint import save_generator
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.errors import CheckpointError, InputError
from nst_core.networks.generator import Generator
from nst_core.networks.super_resolution import SuperResolutionNet
from nst_core.networks.texture import TextureNet
from nst_core.networks.transformer import TransformerNet
from nst_core.objectives.settings import ObjectiveSettings
from nst_core.objectives.weights.reading import LossNetworkWeights
from nst_core.training.settings import TrainingSettings
from tests.kit.media import moving_picture
from tests.kit.training_jobs import KINDS, OBJECTIVE


def test_the_record_names_what_decides_the_result(jobs: dict[str, TrainGenerator]) -> None:
    records = {kind: plan_settings(make_plan(job)) for kind, job in jobs.items()}
    assert len({json.dumps(record) for record in records.values()}) == len(KINDS)
    assert "loss_network" in records["super-resolution"]
    assert "loss_network" not in records["pixel"]
    assert "photos" not in records["texture"]
    assert records["styles"]["styles"] == ["wave", "starry_night", "scream"]
    assert "styles" not in records["johnson"]
    assert records["extended-pack"]["extends"]["styles"] == ["monet", "klimt"]
    assert len(records["styles"]["style_sha256"]) == 3


def _training(**changes: Any) -> Callable[[TrainGenerator], dict[str, Any]]:
    return lambda job: {"training": dataclasses.replace(job.training, **changes)}


@pytest.mark.parametrize(
    "changes",
    [
        {"checkpoint_every": 7},
        {"cpus_per_worker": 1},
        {"device": "cpu"},
        {"address": "auto"},
        {"output": Path("elsewhere.safetensors")},
        {"run_dir": Path("elsewhere")},
        {"resume": True, "overwrite": True},
    ],
)
def test_where_and_how_often_does_not_make_another_run(
    changes: dict[str, Any], jobs: dict[str, TrainGenerator]
) -> None:
    job = jobs["styles"]
    assert plan_settings(make_plan(dataclasses.replace(job, **changes))) == plan_settings(
        make_plan(job)
    )


def test_fewer_workers_for_a_while_do_not_make_another_run(
    jobs: dict[str, TrainGenerator],
) -> None:
    two, elastic, one, four = (
        make_plan(dataclasses.replace(jobs["styles"], workers=workers))
        for workers in ((2, 2), (1, 2), (1, 1), (4, 4))
    )
    assert plan_settings(two) == plan_settings(elastic) != plan_settings(one)
    assert (two.samples_per_step, one.samples_per_step) == (6, 3)
    assert len({json.dumps(plan_settings(plan)) for plan in (two, one, four)}) == 3


@pytest.mark.parametrize(
    "changes",
    [
        *(_training(seed=6), _training(steps=31), _training(batch_size=2), _training(average=0.5)),
        *(_training(accumulate=2), _training(learning_rate=2e-3), _training(schedule="constant")),
        *(_training(clip_norm=1.0), _training(stability_weight=0.5), _training(decay=0.5)),
        _training(precision="bfloat16"),
        lambda job: {"objective": dataclasses.replace(job.objective, style_weight=6.0)},
        lambda job: {"objective": dataclasses.replace(job.objective, content_layers=("relu1_1",))},
        lambda job: {"style_images": job.style_images[::-1]},
        lambda job: {"style_images": job.style_images[:2]},
        lambda job: {"style_size": 40},
        lambda job: {"width": 8},
        lambda job: {"padding": "zeros"},
        lambda job: {"content": (f"{job.content[0]}/even",)},
    ],
)
def test_what_decides_the_result_makes_another_run(
    changes: Callable[[TrainGenerator], dict[str, Any]], jobs: dict[str, TrainGenerator]
) -> None:
    job = jobs["styles"]
    other = dataclasses.replace(job, **changes(job))
    assert plan_settings(make_plan(other)) != plan_settings(make_plan(job))


def test_another_picture_base_or_loss_network_of_the_same_name_makes_another_run(
    jobs: dict[str, TrainGenerator],
    bases: dict[str, Path],
    tmp_path: Path,
    vgg19: LossNetworkWeights,
) -> None:
    job = jobs["extended"]
    before = plan_settings(make_plan(job))
    assert before == plan_settings(make_plan(job))
    Image.fromarray(moving_picture(3)).save(tmp_path / "wave.png")
    after = plan_settings(make_plan(job))
    assert {key for key in before if before[key] != after[key]} == {"style_sha256"}
    save_generator(bases["alone"], TransformerNet(4), CheckpointInfo("johnson", {"width": 4}))
    last = plan_settings(make_plan(job))
    assert {key for key in after if after[key] != last[key]} == {"extends"}
    other = tmp_path / "other" / "shallow.safetensors"
    other.parent.mkdir()
    tensors = {name: 2 * tensor for name, tensor in list(vgg19.tensors.items())[:8]}
    save_file(tensors, other, metadata={"architecture": "vgg19"})
    changed = plan_settings(make_plan(dataclasses.replace(job, loss_network_weights=other)))
    assert {key for key in last if last[key] != changed[key]} == {"loss_network_sha256"}


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("pixel", {"training": TrainingSettings(image_size=50)}, "multiple of the scale"),
        ("pixel", {"width": 2}, "--width 2"),
        ("texture", {"levels": 9}, "--scales 9"),
        ("texture", {"texture_size": 8}, "--texture-size 8"),
        ("texture-style", {"width": 16}, "--width 16"),
        ("texture-style", {"training": TrainingSettings(stability_weight=1)}, "new noise"),
        ("johnson-paper", {"padding": "zeros"}, "--padding zeros"),
        ("johnson", {"upsampling": "bilinear"}, "--upsampling bilinear"),
        ("johnson", {"workers": (0, 1)}, "--workers 0:1"),
        ("johnson", {"workers": (3, 2)}, "--workers 3:2"),
        ("johnson", {"checkpoint_every": 0}, "--checkpoint-every 0"),
        ("johnson", {"cpus_per_worker": 0}, "--cpus-per-worker 0"),
        ("johnson", {"style_images": ()}, "no style image"),
        ("styles", {"norm": "batch"}, "--norm instance"),
        ("styles", {"style_images": (Path("a/x.jpg"), Path("b/x.png"))}, "two style images called"),
        ("extended", {"architecture": "johnson-paper"}, "leave out --architecture"),
        ("extended", {"norm": "batch"}, "leave out --architecture, --norm"),
        ("extended", {"upsampling": "bilinear"}, "--padding and --upsampling"),
    ],
)
def test_impossible_jobs_are_refused_at_birth(
    kind: str, changes: dict[str, Any], message: str, jobs: dict[str, TrainGenerator]
) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(jobs[kind], **changes)


@pytest.mark.parametrize("name", ["a:b", "a,b", "a=b"])
def test_names_that_a_mixture_could_not_name_are_refused(
    name: str, jobs: dict[str, TrainGenerator], bases: dict[str, Path], tmp_path: Path
) -> None:
    painting = tmp_path / f"{name}.png"
    for kind, images in (("styles", (painting, tmp_path / "c.png")), ("extended", (painting,))):
        with pytest.raises(InputError, match="rename it"):
            dataclasses.replace(jobs[kind], style_images=images)  # type: ignore[call-arg]
    # Alone its name is not a style's.
    dataclasses.replace(jobs["johnson"], style_images=(painting,))  # type: ignore[call-arg]
    shutil.copy(bases["alone"], tmp_path / f"{name}.safetensors")
    with pytest.raises(InputError, match="rename it"):
        read_extended(tmp_path / f"{name}.safetensors")
    shutil.copy(bases["pack"], tmp_path / f"{name}.safetensors")
    assert read_extended(tmp_path / f"{name}.safetensors").styles == ("monet", "klimt")


def test_a_name_that_the_base_has_already_is_refused(
    jobs: dict[str, TrainGenerator], tmp_path: Path
) -> None:
    for kind, taken in (("extended", "alone"), ("extended-pack", "klimt")):
        painting = tmp_path / f"{taken}.png"
        Image.fromarray(moving_picture(1)).save(painting)
        job = dataclasses.replace(jobs[kind], style_images=(painting,))  # type: ignore[call-arg]
        with pytest.raises(InputError, match=f"a style {taken} already"):
            make_plan(job)


def test_networks_that_cannot_take_in_a_style_are_refused(tmp_path: Path) -> None:
    networks: dict[str, tuple[Generator, CheckpointInfo]] = {
        "batch": (
            TransformerNet(4, norm="batch"),
            CheckpointInfo("johnson", {"width": 4, "norm": "batch"}),
        ),
        "texture": (TextureNet(2), CheckpointInfo("texture", {"scales": 2})),
        "texture-style": (
            TextureNet(2, stylizes=True),
            CheckpointInfo("texture", {"scales": 2, "stylizes": True}),
        ),
        "larger": (
            SuperResolutionNet(4, 4, norm="instance"),
            CheckpointInfo("super-resolution", {"scale": 4, "width": 4, "norm": "instance"}),
        ),
    }
    for name, (network, info) in networks.items():
        path = tmp_path / f"{name}.safetensors"
        save_generator(path, network, info)
        with pytest.raises(InputError, match=f"{name}.*cannot take in styles"):
            read_extended(path)


def test_a_damaged_base_is_refused_before_any_work(bases: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "damaged.safetensors"
    save_generator(path, TransformerNet(8), CheckpointInfo("johnson", {"width": 4}))
    with pytest.raises(CheckpointError, match="damaged"):
        read_extended(path)
    path.write_bytes(bases["pack"].read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=r"damaged\.safetensors"):
        read_extended(path)
    with pytest.raises(CheckpointError, match="no such file"):
        read_extended(tmp_path / "nowhere.safetensors")


def test_a_large_texture_is_shrunk_unless_a_size_is_given(
    jobs: dict[str, TrainGenerator], tmp_path: Path
) -> None:
    Image.new("RGB", (1300, 600)).save(tmp_path / "large.png")
    job = dataclasses.replace(jobs["texture"], texture_image=tmp_path / "large.png")  # type: ignore[call-arg]
    assert make_plan(job).style_images[0].size == (1109, 512)
    job = dataclasses.replace(job, texture_size=64)  # type: ignore[call-arg]
    assert make_plan(job).style_images[0].size == (139, 64)


def test_a_texture_that_is_too_small_is_refused(
    jobs: dict[str, TrainGenerator], tmp_path: Path
) -> None:
    Image.new("RGB", (40, 20)).save(tmp_path / "small.png")
    job = dataclasses.replace(jobs["texture"], texture_image=tmp_path / "small.png")  # type: ignore[call-arg]
    with pytest.raises(InputError, match="40x20"):
        make_plan(job)


def test_layers_that_the_loss_network_lacks_are_refused_by_the_driver(
    jobs: dict[str, TrainGenerator],
) -> None:
    objective = dataclasses.replace(OBJECTIVE, content_layers=("relu9_1",))
    job = dataclasses.replace(jobs["johnson"], objective=objective)  # type: ignore[call-arg]
    with pytest.raises(InputError, match=r"^--content-layers relu9_1"):
        make_plan(job)


def test_an_output_that_is_a_folder_is_refused(
    jobs: dict[str, TrainGenerator], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="a folder"):
        train(dataclasses.replace(jobs["johnson"], output=tmp_path))


@pytest.mark.parametrize("kind", ["strokes", "extended-pack", "texture", "pixel"])
def test_how_long_a_training_takes_is_found_by_steps_of_it(
    kind: str, jobs: dict[str, TrainGenerator], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(dataclasses.replace(jobs[kind], workers=(1, 2)))
    clock = iter([10.0, 12.9, 15.4])  # the second is the last: 3 seconds are enough
    monkeypatch.setattr("jobs.training.estimate.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("jobs.training.estimate._busy_seconds", lambda: 0.0)
    assert estimated_seconds_a_step(plan) == pytest.approx(2.5 * 2)


def test_every_stroke_of_a_painting_has_the_paintings_own_statistic(
    jobs: dict[str, TrainGenerator],
) -> None:
    job = jobs["strokes"]
    assert isinstance(job, TrainStyle)
    objective = dataclasses.replace(job.objective, statistics=("gram", "mean-covariance"))
    plan = make_plan(dataclasses.replace(job, objective=objective))
    assert isinstance(plan.objective, ObjectiveSettings)
    assert plan.objective.statistics == (*["gram"] * 2, *["mean-covariance"] * 2)
    build_trainer(plan, torch.device("cpu"))
