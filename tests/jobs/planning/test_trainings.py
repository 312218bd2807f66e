"""Plans of trainings and optimisations: all checked as in a run, and nothing written for it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PIL import Image

from jobs.planning.optimization import plan_optimization
from jobs.planning.trainings import plan_training
from jobs.specs.single import Optimize
from jobs.specs.training import TrainGenerator
from jobs.training.run_folder import RunFolder
from jobs.training.states import write_state
from jobs.training.train import checked_plan
from nst_core.errors import EnvironmentProblem, InputError
from tests.kit.media import moving_picture
from tests.kit.plans import nothing_written


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.planning.trainings._MOST_STEPS", 2)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("bold", marks=pytest.mark.slow),
        *("extended-pack", "texture", "super-resolution"),
    ],
)
def test_a_training_is_planned_and_nothing_is_written(
    kind: str, jobs: dict[str, TrainGenerator], tmp_path: Path
) -> None:
    job = jobs[kind]
    with nothing_written(tmp_path):
        plan = plan_training(job)
    assert (plan.steps, plan.first_step) == (30, 0)
    assert plan.photos == (0 if kind == "texture" else 10)
    assert plan.steps_measured == 2
    steps = plan.steps * plan.seconds_a_step
    assert plan.seconds > plan.seconds_to_start + steps + plan.seconds_to_end
    assert plan.images_per_second * plan.seconds_a_step == pytest.approx(3, rel=0.05)
    assert plan.run_dir == str(job.run_folder)
    assert plan.run_dir_size > 100_000
    assert plan.memory is not None


def test_calibration_takes_its_time_at_the_end(jobs: dict[str, TrainGenerator]) -> None:
    job = jobs["lean"]
    with_it, without = (
        plan_training(dataclasses.replace(job, calibrate=calibrates))  # type: ignore[call-arg]
        for calibrates in (True, False)
    )
    assert with_it.seconds_to_end > without.seconds_to_end


def test_a_training_that_goes_on_has_the_rest_to_do(
    jobs: dict[str, TrainGenerator], tmp_path: Path
) -> None:
    job = jobs["texture"]
    folder = RunFolder(job.run_folder)
    folder.checkpoint.mkdir(parents=True)
    write_state(folder.checkpoint, {"steps_done": 20})
    from jobs.training.plan import plan_settings

    folder.write_settings(plan_settings(checked_plan(dataclasses.replace(job, overwrite=True))))
    with nothing_written(tmp_path):
        plan = plan_training(dataclasses.replace(job, resume=True))
    assert (plan.steps, plan.first_step) == (30, 20)
    with nothing_written(tmp_path), pytest.raises(InputError, match="--resume goes on with it"):
        plan_training(job)


def test_a_run_folder_in_use_is_refused(jobs: dict[str, TrainGenerator]) -> None:
    job = jobs["texture"]
    with (
        RunFolder(job.run_folder).reserved(),
        pytest.raises(InputError, match="another nst train is at work"),
    ):
        plan_training(job)


def test_workers_for_which_there_is_no_room_are_refused(jobs: dict[str, TrainGenerator]) -> None:
    job = dataclasses.replace(jobs["texture"], workers=(5000, 5000))
    with pytest.raises(EnvironmentProblem, match="5000 workers of"):
        plan_training(job)


def test_an_optimisation_is_planned_and_nothing_is_written(
    vgg19_file: Path, tmp_path: Path
) -> None:
    Image.fromarray(moving_picture(0)).save(tmp_path / "photo.png")
    job = Optimize(
        content=tmp_path / "photo.png",
        style_image=tmp_path / "photo.png",
        output=tmp_path / "painted.png",
        steps=60,
        image_size=48,
        loss_network_weights=vgg19_file,
        device="cpu",
    )
    with nothing_written(tmp_path):
        plan = plan_optimization(job)
    assert (plan.width, plan.height, plan.steps) == (48, 32, 60)
    assert plan.seconds == pytest.approx(plan.seconds_to_start + 61 * plan.seconds_a_step, abs=0.3)
    (tmp_path / "painted.png").touch()
    with pytest.raises(InputError, match="exists; --overwrite replaces it"):
        plan_optimization(job)
