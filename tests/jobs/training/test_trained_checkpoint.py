"""The network that an unfinished training has come to, as a checkpoint that can be used."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import jobs.training.train
from jobs.cli.training.run import _tell_what_is_kept
from jobs.specs.training import TrainGenerator, TrainStyle
from jobs.training import sheets
from jobs.training.kinds import make_plan
from jobs.training.loop import Rank, _steps_to_checkpoints
from jobs.training.plan import build_trainer
from jobs.training.records import TrainingRecords
from jobs.training.run_folder import RunFolder
from jobs.training.states import save_so_far
from nst_core.checkpoints.checkpoint import load_generator, read_state
from nst_core.checkpoints.info import read_info
from tests.kit.command_line import nst
from tests.kit.training_jobs import KINDS, same_state

_CPU = torch.device("cpu")
_LOSSES = {"total": 1.0}


@pytest.fixture
def job(jobs: dict[str, TrainGenerator]) -> TrainStyle:
    job = jobs["lean"]
    assert isinstance(job, TrainStyle)
    training = dataclasses.replace(job.training, steps=5)
    return dataclasses.replace(job, training=training, checkpoint_every=2)


@pytest.fixture(autouse=True)
def _small_sheets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "_CELL", (48, 32))
    monkeypatch.setattr(sheets, "CELL_HEIGHT", 32)


def test_it_is_the_averaged_network_of_the_latest_checkpoint(job: TrainStyle) -> None:
    plan = make_plan(job)
    plan.run_folder.path.mkdir()
    trainer, records = build_trainer(plan, _CPU), TrainingRecords(plan, 1)
    so_far = plan.run_folder.so_far
    for state in _steps_to_checkpoints(plan, trainer, records, Rank(0, 1, _CPU)):
        generator, info = load_generator(so_far)
        assert info.training["steps_done"] == state["steps_done"] == trainer.steps_done
        assert info.training["style_image"] == job.style_images[0].name
        assert same_state(generator, trainer.trained.unwrapped)
    records.close()
    assert read_info(so_far).training["steps_done"] == 5


def test_of_two_workers_only_the_first_writes_it(job: TrainStyle) -> None:
    plan = make_plan(job)
    plan.run_folder.path.mkdir()
    other = Rank(1, 1, _CPU)  # no world of two here: as rank 1 sees it, it has no records
    list(_steps_to_checkpoints(plan, build_trainer(plan, _CPU), None, other))
    assert not plan.run_folder.so_far.exists()


def test_a_state_in_doubt_does_not_replace_a_good_one(
    job: TrainStyle, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(job)
    plan.run_folder.path.mkdir()
    trainer, records = build_trainer(plan, _CPU), TrainingRecords(plan, 1)
    doubted = property(lambda trainer: trainer.steps_done > 2)
    monkeypatch.setattr(type(trainer), "is_in_doubt", doubted)
    list(_steps_to_checkpoints(plan, trainer, records, Rank(0, 1, _CPU)))
    records.close()
    assert read_info(plan.run_folder.so_far).training["steps_done"] == 2


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_training_leaves_a_network_that_can_be_loaded(
    kind: str, jobs: dict[str, TrainGenerator]
) -> None:
    plan = make_plan(jobs[kind])
    save_so_far(plan, build_trainer(plan, _CPU).state_dict(), _LOSSES)
    state, info = read_state(plan.run_folder.so_far)
    load_generator(plan.run_folder.so_far, {info.styles[-1]: 1.0} if info.styles else None)
    record = info.training.get("extensions", [info.training])[-1]
    assert record["steps_done"] == 0
    assert state.keys() >= build_trainer(plan, _CPU).generator.unwrapped.state_dict().keys()


def test_the_finished_checkpoint_takes_its_place(job: TrainStyle) -> None:
    plan = make_plan(job)
    state = build_trainer(plan, _CPU).state_dict()
    save_so_far(plan, state, _LOSSES)
    half = plan.run_folder.so_far.with_name(".so-far.safetensors.77.part")
    half.write_bytes(b"half of it")  # as kill -9 leaves it
    report: Any = dataclasses.make_dataclass("Report", ["losses"])(_LOSSES)
    jobs.training.train._save(plan, report, state)
    assert job.output.exists()
    assert not plan.run_folder.so_far.exists()
    assert not half.exists()


@pytest.fixture
def interrupted(job: TrainStyle, monkeypatch: pytest.MonkeyPatch) -> list[str | Path]:
    """A command that Ctrl-C ends after two of its steps."""
    plan = make_plan(job)
    state = build_trainer(plan, _CPU).state_dict() | {"steps_done": 2}

    def train(asked: TrainStyle, on_progress: object) -> None:
        if asked.training.steps == 7:
            save_so_far(plan, state, _LOSSES)
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs.training.train, "train", train)
    style, output = job.style_images[0], job.output
    return ["train", "style", style, "--content", *job.content, "-o", output, "--steps", "7"]


def test_ctrl_c_names_the_network_its_steps_and_the_command_that_goes_on(
    job: TrainStyle, interrupted: list[str | Path]
) -> None:
    ended = nst(*interrupted)
    assert ended.code == 130
    so_far = RunFolder(job.run_folder).so_far
    line = ended.error.splitlines()[0]
    assert line.startswith(f"{so_far}: the network after 2 of 7 steps")
    assert line.endswith(f"nst {' '.join(map(str, interrupted))} --resume")
    again = nst(*interrupted, "--resume").error.splitlines()[0]
    assert again.count("--resume") == 1


def test_an_earlier_runs_network_is_not_named(
    job: TrainStyle, interrupted: list[str | Path]
) -> None:
    assert "so-far" in nst(*interrupted).error
    so_far = RunFolder(job.run_folder).so_far
    os.utime(so_far, (1e9, 1e9))
    before_a_step = [*interrupted[:-1], "9"]
    assert "so-far" not in nst(*before_a_step, "--overwrite").error
    assert "so-far" in nst(*before_a_step, "--resume").error  # it is the run's own
    shutil.rmtree(so_far.parent)
    assert "so-far" not in nst(*before_a_step).error


def test_an_interruption_before_a_step_is_kept_names_the_command_that_works(
    jobs: dict[str, TrainGenerator], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = dataclasses.replace(jobs["lean"], output=tmp_path / "out.safetensors")
    _tell_what_is_kept(job, "nst train style wave.jpg", 0.0)
    RunFolder(job.run_folder).path.mkdir()
    RunFolder(job.run_folder).write_settings({})
    _tell_what_is_kept(job, "nst train style wave.jpg", 0.0)
    before, after = capsys.readouterr().err.splitlines()
    assert before.endswith("to begin again: nst train style wave.jpg")
    assert after.endswith("to begin again: nst train style wave.jpg --resume")
