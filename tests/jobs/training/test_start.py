from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import cast

import pytest
import torch

from jobs.specs.training import TrainGenerator, TrainStyle, TrainSuperResolution
from jobs.training import start as training_start
from jobs.training.kinds import make_plan
from jobs.training.plan import TrainingPlan, build_network, build_trainer, plan_settings
from nst_core.checkpoints.checkpoint import read_state, save_generator, save_state
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.errors import InputError
from nst_core.networks.conditional_norm import MultiStyleGenerator
from nst_core.networks.lean import LeanNet
from nst_core.networks.registry import NormName
from nst_core.networks.super_resolution import SuperResolutionNet
from nst_core.objectives.perceptual import PerceptualObjective
from nst_core.training.settings import TrainingSettings
from pipeline.work.progress import Progress
from tests.kit.training_jobs import OBJECTIVE, same_state

_COLOURS = {"red": (0.9, 0.1, 0.1), "blue": (0.1, 0.1, 0.9), "green": (0.1, 0.8, 0.2)}


@pytest.fixture
def job(jobs: dict[str, TrainGenerator]) -> TrainStyle:
    """Learns two paintings at two strokes."""
    job = jobs["strokes"]
    assert isinstance(job, TrainStyle)
    return job


@pytest.fixture
def trained(job: TrainStyle, tmp_path: Path) -> Path:
    """A network of the same kind, of three styles at three strokes."""
    torch.manual_seed(3)
    network = MultiStyleGenerator(LeanNet(4), 9)
    for number, parameter in enumerate(network.style_parameters()):
        torch.nn.init.normal_(parameter, number % 2, 0.5)
    info = CheckpointInfo(
        "lean",
        {"width": 4, "norm": "instance"},
        styles=tuple(_COLOURS),
        strokes=(0.5, 1.0, 2.0),
    )
    path = tmp_path / "trained.safetensors"
    save_state(path, network.generator.state_dict(), info)
    return path


def _plan(job: TrainStyle, start: str) -> TrainingPlan:
    return make_plan(dataclasses.replace(job, start=start))


def test_a_training_begins_with_the_weights_it_is_told_to(job: TrainStyle, trained: Path) -> None:
    plan = _plan(job, str(trained))
    network = build_network(plan)
    assert isinstance(network, MultiStyleGenerator)
    state = network.generator.state_dict()
    theirs = read_state(trained)[0]
    assert torch.equal(state["residual.0.body.0.weight"], theirs["residual.0.body.0.weight"])
    assert plan.start is not None
    rows = theirs["half_norm.weight"].view(3, 3, -1)
    for row, name in enumerate(plan.start.rows):
        stroke = (1, 2)[row % 2]  # of the network's 0.5, 1 and 2
        expected = rows[list(_COLOURS).index(name), stroke]
        assert torch.equal(state["half_norm.weight"][row], expected)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_training_begins_with_the_same_weights_however_its_network_enlarges(
    job: TrainStyle, trained: Path
) -> None:
    bilinear = dataclasses.replace(job, upsampling="bilinear")
    nearest, plan = _plan(job, str(trained)), _plan(bilinear, str(trained))
    assert nearest.start is not None
    assert plan.start is not None
    assert plan.start.rows == nearest.start.rows
    assert plan.info.arguments["upsampling"] == "bilinear"


def test_each_row_begins_with_the_style_whose_pictures_are_nearest(
    job: TrainStyle, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [[float(abs(candidate - wanted)) for wanted in (1, 5, 7, 8)] for candidate in range(9)]
    monkeypatch.setattr(training_start, "_style_errors", lambda *_: errors)
    plan = _plan(job, str(trained))
    assert plan.start is not None
    # Stroke 1 has the rows 1, 4 and 7, stroke 2 the rows 2, 5 and 8.
    assert plan.start.rows == ("red", "blue", "green", "green")


def test_what_a_training_begins_with_is_told_and_recorded(
    job: TrainStyle, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [[float(abs(candidate - wanted)) for wanted in (1, 5, 7, 8)] for candidate in range(9)]
    monkeypatch.setattr(training_start, "_style_errors", lambda *_: errors)
    monkeypatch.setattr(training_start, "bundled_packs", lambda: {str(trained): tuple(_COLOURS)})
    told: list[Progress] = []
    plan = make_plan(dataclasses.replace(job, start="auto"), told.append)
    news = [progress.news for progress in told if progress.news]
    first, second = job.style_names
    assert news == [
        f"starts from the nearest bundled style: {first} from red and blue, {second} from green "
        "(--from none: random weights)"
    ]
    assert plan.sources["from"] == trained.name
    assert plan_settings(plan)["start"]["rows"] == ["red", "blue", "green", "green"]


def test_the_errors_are_those_of_the_networks_own_pictures(job: TrainStyle, trained: Path) -> None:
    plan = _plan(job, "none")
    state, base = read_state(trained)

    objective = plan.build_objective()
    tried = (4, 7)
    errors = training_start._style_errors(state, base, objective, plan.photos, tried)  # type: ignore[arg-type]
    assert tuple(errors) == tried  # the others would cost as much, and cannot be chosen
    assert {len(of_row) for of_row in errors.values()} == {4}
    crops = torch.cat(training_start._crops(plan.photos))
    network = MultiStyleGenerator(LeanNet(4), 9)
    network.generator.load_state_dict(state)
    with torch.no_grad():
        stylized = network(crops, torch.eye(9)[4].expand(len(crops), -1))
        styles = torch.full((len(crops),), 3)
        expected = objective(stylized, crops, styles).style.item()
    assert errors[4][3] == pytest.approx(expected, rel=1e-4)


def test_one_style_begins_as_a_plain_network(
    jobs: dict[str, TrainGenerator], trained: Path
) -> None:
    job = jobs["lean"]
    assert isinstance(job, TrainStyle)
    plan = _plan(job, str(trained))
    assert plan.start is not None
    assert same_state(build_network(plan), _loaded(plan.start.state))


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_super_resolution_begins_with_a_network_of_its_kind_as_it_is(
    jobs: dict[str, TrainGenerator], tmp_path: Path, norm: NormName
) -> None:
    job = jobs["super-resolution"]
    assert isinstance(job, TrainSuperResolution)
    job = dataclasses.replace(job, norm=norm)
    torch.manual_seed(3)
    network = SuperResolutionNet(**job.arguments)  # type: ignore[arg-type]
    path = tmp_path / "enlarging.safetensors"
    save_generator(path, network, CheckpointInfo("super-resolution", job.arguments))
    told: list[Progress] = []
    plan = make_plan(dataclasses.replace(job, start=str(path)), told.append)
    assert same_state(build_network(plan), network)
    assert [progress.news for progress in told] == [f"starts from {path}"]
    assert plan_settings(plan) != plan_settings(make_plan(job))
    with pytest.raises(InputError, match=f"--from {path}: super-resolution of scale 4, width 4"):
        make_plan(dataclasses.replace(job, start=str(path), width=8))


def test_a_network_without_rows_is_taken_as_it_is(
    jobs: dict[str, TrainGenerator], tmp_path: Path
) -> None:
    job = dataclasses.replace(jobs["lean"], norm="batch")
    assert isinstance(job, TrainStyle)
    torch.manual_seed(3)
    network = LeanNet(4, norm="batch")
    path = tmp_path / "batch.safetensors"
    save_generator(path, network, CheckpointInfo("lean", job.arguments))
    assert same_state(build_network(_plan(job, str(path))), network)


def _loaded(state: dict[str, torch.Tensor]) -> LeanNet:
    network = LeanNet(4)
    network.load_state_dict(state)
    return network


def test_what_a_training_begins_with_makes_another_run(job: TrainStyle, trained: Path) -> None:
    assert plan_settings(_plan(job, str(trained))) != plan_settings(_plan(job, "none"))


def test_a_network_of_another_kind_is_refused(job: TrainStyle, bases: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="johnson of width 4") as caught:
        _plan(job, str(bases["pack"]))
    assert "\n" not in str(caught.value)


def test_bundled_weights_of_another_kind_are_not_begun_with(job: TrainStyle) -> None:
    assert _plan(job, "auto").start is None


def test_a_balanced_training_tells_the_styles_weights(job: TrainStyle) -> None:
    from nst_core.training.photos import Batch

    plan = make_plan(
        dataclasses.replace(
            job,
            training=TrainingSettings(steps=4, batch_size=4, image_size=64, precision="float32"),
        )
    )
    trainer = build_trainer(plan, torch.device("cpu"))
    pictures = plan.targets()
    trainer.step([Batch.of([pictures[number] for number in range(4)])])
    factors = trainer.state_dict()["balance"]["log_factors"]
    assert factors.shape == (4,)
    assert (factors != 0).all()
    objective = cast("PerceptualObjective", trainer.objective)
    assert objective._usual  # content errors are divided by usual ones
    fixed = dataclasses.replace(job, objective=OBJECTIVE)
    assert build_trainer(make_plan(fixed), torch.device("cpu")).state_dict()["balance"] == {}


def test_a_row_goes_on_with_what_has_learnt_the_same_image(
    job: TrainStyle, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = plan_settings(_plan(job, "none"))["style_sha256"]
    state, info = read_state(trained)
    learnt = [f"another {row}" for row in range(9)]
    for image, row in zip(images, (7, 8, 1, 2), strict=True):
        learnt[row] = image
    save_state(trained, state, dataclasses.replace(info, training={"style_sha256": learnt}))
    monkeypatch.setattr(training_start, "_style_errors", lambda *_: pytest.fail("nothing is tried"))
    plan = _plan(job, str(trained))
    assert plan.start is not None
    assert plan.start.rows == ("green", "green", "red", "red")
    rows = state["half_norm.weight"]
    assert torch.equal(plan.start.state["half_norm.weight"], rows[[7, 8, 1, 2]])
