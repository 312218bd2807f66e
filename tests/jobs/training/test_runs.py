"""Runs that are interrupted, gone on with, made longer and watched; without Ray."""

from __future__ import annotations

import copy
import dataclasses
import logging
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

import jobs.training.train
from jobs.specs.training import TrainStyle
from jobs.training import loop as training_loop
from jobs.training import records as training_records
from jobs.training import sheets
from jobs.training.calibration import eight_bit_of
from jobs.training.kinds import make_plan
from jobs.training.loop import Rank, _steps_to_checkpoints
from jobs.training.plan import TrainingPlan, build_trainer, plan_settings
from jobs.training.records import TrainingRecords
from jobs.training.run_folder import RunFolder
from nst_core.checkpoints.checkpoint import save_generator
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.errors import InputError, TrainingFailed
from nst_core.networks.transformer import TransformerNet
from nst_core.objectives.weights.reading import LossNetworkWeights
from nst_core.training.trainer import LOSS_NAMES
from pipeline.work.progress import Progress
from tests.kit.command_line import app, nst
from tests.kit.training_runs import tiny_job


@pytest.fixture
def job(tmp_path: Path, photos: Path, vgg19: LossNetworkWeights) -> TrainStyle:
    shallow = tmp_path / "shallow.safetensors"
    save_file(vgg19.tensors, shallow, metadata={"architecture": "vgg19"})
    return tiny_job(tmp_path, photos, shallow, steps=6)


def test_an_interrupted_run_keeps_its_step_and_ends_as_an_undisturbed_one(job: TrainStyle) -> None:
    plan, worker = make_plan(job), Rank(0, 1, torch.device("cpu"))
    plan.run_folder.path.mkdir()

    def steps(trainer: Any) -> list[Any]:
        return [
            copy.deepcopy(state) for state in _steps_to_checkpoints(plan, trainer, None, worker)
        ]

    undisturbed = steps(build_trainer(plan, torch.device("cpu")))
    assert [state["steps_done"] for state in undisturbed] == [6]

    interrupted = build_trainer(plan, torch.device("cpu"))
    plan.run_folder.ask_to_stop()
    kept = next(_steps_to_checkpoints(plan, interrupted, None, worker))
    assert kept["steps_done"] == 1
    assert training_loop.is_asked_to_stop(plan, worker)

    plan.run_folder.forget_failure()
    assert not plan.run_folder.is_to_stop()
    resumed = build_trainer(plan, torch.device("cpu"))
    resumed.load_state_dict(copy.deepcopy(kept))
    (last,) = steps(resumed)
    for name, tensor in undisturbed[0]["trained"].items():
        assert torch.equal(last["trained"][name], tensor), name


def test_a_preview_comes_early_and_between_checkpoints(
    job: TrainStyle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheets, "_CELL", (48, 32))
    monkeypatch.setattr(training_records, "_SECONDS_BETWEEN_PREVIEWS", 1e9)
    monkeypatch.setattr(training_records, "_FIRST_PREVIEW_SECONDS", 0.0)
    plan = make_plan(job)
    plan.run_folder.path.mkdir()
    records = TrainingRecords(plan, 1)
    trainer = build_trainer(plan, torch.device("cpu"))
    list(_steps_to_checkpoints(plan, trainer, records, Rank(0, 1, torch.device("cpu"))))
    records.close()
    shown = sorted(path.name for path in plan.run_folder.previews.iterdir())
    assert shown == ["step-000001.png", "step-000006.png"]


def _options(job: TrainStyle) -> list[str]:
    return [
        *("train", "style", str(job.style_images[0]), "--content", job.content[0]),
        *("-o", str(job.output), "--loss-network-weights", str(job.loss_network_weights)),
    ]


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[TrainStyle]:
    """Jobs that commands would train."""
    found: list[TrainStyle] = []

    def train(job: TrainStyle, on_progress: object) -> None:
        found.append(job)
        raise TrainingFailed("only asked for")

    monkeypatch.setattr(jobs.training.train, "train", train)
    return found


def test_a_resumed_run_has_its_own_options_where_none_are_given(
    job: TrainStyle, asked_for: list[TrainStyle]
) -> None:
    own = (
        "--preset",
        "fast",
        "--style-weight",
        "3",
        "--no-balance",
        "--steps",
        "50",
        "--seed",
        "9",
    )
    CliRunner().invoke(app, [*_options(job), *own, "--overwrite"])
    first = asked_for[0]
    folder = RunFolder(job.run_folder)
    folder.path.mkdir()
    folder.write_options(first.options)

    CliRunner().invoke(app, [*_options(job), "--resume", "--steps", "80"])
    resumed = asked_for[1]
    assert resumed.training.steps == 80
    assert resumed.resume
    assert not resumed.overwrite
    assert (resumed.width, resumed.training.seed) == (first.width, 9) == (24, 9)
    assert resumed.objective == first.objective
    assert resumed.options == {**first.options, "steps": 80}

    CliRunner().invoke(app, [*_options(job), "--steps", "80"])
    assert asked_for[2].training.seed != 9  # without --resume nothing is taken over


def test_a_run_without_checkpoint_says_that_it_begins_again(
    job: TrainStyle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:

    def _train(*_: object) -> None:
        raise TrainingFailed("enough")

    monkeypatch.setattr(jobs.training.train, "_train", _train)
    plan = make_plan(job)
    plan.run_folder.path.mkdir()
    plan.run_folder.write_settings(plan_settings(plan))
    with pytest.raises(TrainingFailed, match="enough"):
        jobs.training.train.train(dataclasses.replace(job, resume=True))
    assert "no checkpoint was written" in caplog.text


def test_a_run_of_a_version_that_knew_fewer_settings_goes_on(
    job: TrainStyle, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(job)
    plan.run_folder.path.mkdir()
    settings = plan_settings(plan)
    del settings["training"]["decay_from"], settings["objective"]["normalized_gradients"]
    plan.run_folder.write_settings(settings)
    jobs.training.train._check_settings(dataclasses.replace(job, resume=True), plan)
    other = dataclasses.replace(plan.settings, decay_from=500)
    with pytest.raises(InputError, match="other settings"):
        jobs.training.train._check_settings(
            dataclasses.replace(job, resume=True),
            dataclasses.replace(plan, job=dataclasses.replace(job, training=other)),
        )


def test_a_lost_worker_is_told_with_where_the_training_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = RunFolder(tmp_path)
    folder.note_event({"event": "start", "step": 0, "workers": 2})
    news = jobs.training.train._News(folder)
    for step, workers in ((20, 2), (40, 1), (60, 2)):
        folder.note_event({"event": "start", "step": step, "workers": workers})
        news.tell()
    assert caplog.messages == [
        "a worker was lost; going on from step 40 with 1 worker",
        "more workers are there; going on from step 60 with 2 workers",
    ]


def test_calibrating_can_be_left_out_and_a_pack_is_found_by_its_name(
    job: TrainStyle, asked_for: list[TrainStyle]
) -> None:
    from nst_core.checkpoints.library import bundled_packs

    CliRunner().invoke(app, [*_options(job), "--no-calibrate"])
    assert not asked_for[0].calibrate
    pack = next(iter(bundled_packs()))
    CliRunner().invoke(app, [*_options(job), "--extend", pack])
    assert asked_for[1].calibrate
    assert asked_for[1].extend is not None
    assert asked_for[1].extend.stem == pack
    assert asked_for[1].extend.is_file()


def test_calibrating_tells_how_far_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told: list[Progress] = []
    photos = [torch.rand(1, 3, 24, 24) for _ in range(4)]
    state, info = TransformerNet(4).state_dict(), CheckpointInfo("johnson", {"width": 4})
    eight_bit_of(Path("a"), state, info, ("",), photos, told.append)
    # Two find the ranges, both narrow them by three shares, two others are checked on.
    assert [(progress.done, progress.total) for progress in told] == [(n, 10) for n in range(1, 11)]


@pytest.fixture
def _trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that is done at once, with untrained weights, and could not read a photograph."""

    def train(plan: TrainingPlan, *_: object) -> Any:
        line = {"step": 0, "seconds": 1.0, "images": 2, "workers": 1}
        plan.run_folder.note_step(line | dict.fromkeys(LOSS_NAMES, 1.0))
        (broken,) = [path for path in plan.photos if "broken" in path]
        plan.run_folder.note_unreadable(0, {broken: f"{broken}: no picture"})
        return build_trainer(plan, torch.device("cpu")).state_dict()

    monkeypatch.setattr(jobs.training.train, "_train", train)
    monkeypatch.setattr(jobs.training.train, "_tell_how_long", lambda *_: None)
    monkeypatch.setattr(sheets, "_CELL", (48, 32))


@pytest.mark.usefixtures("_trained")
def test_calibrating_says_how_to_leave_it_out_and_a_broken_photograph_is_told_once(
    job: TrainStyle, photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = tmp_path / "content"
    shutil.copytree(photos, content)
    (content / "broken.jpg").write_bytes(b"no picture")
    one = dataclasses.replace(job.training, steps=1)
    told: list[Progress] = []
    tiny = dataclasses.replace(job, content=(str(content),), training=one, calibrate=True)
    report = jobs.training.train.train(tiny, told.append)
    (news,) = [progress.news for progress in told if progress.news]
    assert "10 photographs (--no-calibrate leaves that out)" in news
    assert [Path(photo["path"]).name for photo in report.unreadable] == ["broken.jpg"]
    assert "broken" not in caplog.text


def test_a_training_that_is_interrupted_while_it_calibrates_is_told_to_be_whole(
    job: TrainStyle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(job: TrainStyle, on_progress: object) -> None:
        info = CheckpointInfo("johnson", {"width": 4}, {"steps": 9})
        save_generator(job.output, TransformerNet(4), info)
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs.training.train, "train", train)
    ended = nst(*_options(job))
    assert ended.code == 130
    assert ended.error.startswith(f"{job.output} is whole and ready for use; ")


def test_the_board_is_closed_at_the_end_of_a_training(
    job: TrainStyle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheets, "_CELL", (48, 32))
    plan = make_plan(dataclasses.replace(job, training=dataclasses.replace(job.training, steps=1)))
    plan.run_folder.path.mkdir()
    before = set(threading.enumerate())
    training_loop._train(plan, Rank(0, 1, torch.device("cpu")))
    new = set(threading.enumerate()) - before
    assert not [each for each in new if type(each).__module__.startswith("tensorboardX")]
    assert len(plan.run_folder.read_metrics()) == 1


def test_processes_that_load_photographs_are_as_many_as_the_worker_has_cpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training_loop, "usable_processors", lambda: 3)
    cuda = torch.device("cuda")
    assert training_loop._loader_processes(cuda, None) == 3
    assert training_loop._loader_processes(cuda, 2) == 2  # of a machine of several workers
    assert training_loop._loader_processes(cuda, 8) == 3
    assert training_loop._loader_processes(torch.device("cpu"), 2) == 0
    monkeypatch.setattr(training_loop, "usable_processors", lambda: 64)
    assert training_loop._loader_processes(cuda, 12) == 12
    assert training_loop._loader_processes(cuda, 64) == 16
