"""Training as a user runs it: Ray Train, two workers, gone on with, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from jobs.specs.training import TrainStyle
from jobs.training.kinds import make_plan
from jobs.training.plan import plan_settings
from jobs.training.run_folder import RunFolder
from jobs.training.sheets import preview_photos
from jobs.training.train import _check_settings, train
from nst_core.checkpoints.library import find_style
from nst_core.errors import EnvironmentProblem, InputError
from nst_core.stylizer import Stylizer
from pipeline.work.progress import Progress
from tests.kit.command_line import app
from tests.kit.media import moving_picture
from tests.kit.training_runs import Disturbed, tiny_job

_BAD = ("bad/0.jpg", "bad/1.jpg", "bad/2.jpg")


@pytest.fixture
def job(photos: Path, vgg19_file: Path, tmp_path: Path) -> TrainStyle:
    return tiny_job(tmp_path, photos, vgg19_file, stability_weight=0.0)


def _changed(job: TrainStyle, *, workers: tuple[int, int] = (1, 1), **training: Any) -> TrainStyle:
    settings = dataclasses.replace(job.training, **training)
    return dataclasses.replace(job, training=settings, workers=workers, resume=True)


@pytest.fixture(scope="module")
def four_hundred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, three of which are none: no picture, one cut short, an empty file."""
    folder = tmp_path_factory.mktemp("four-hundred")
    (folder / "bad").mkdir()
    for number in range(397):
        Image.fromarray(moving_picture(number)).save(folder / f"{number:03}.jpg")
    whole = (folder / "000.jpg").read_bytes()
    for name, content in zip(_BAD, (b"no picture", whole[: len(whole) // 2], b""), strict=True):
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.slow
def test_two_workers_train_a_style_name_the_corrupt_photos_and_going_on_does_nothing(
    job: TrainStyle, four_hundred: Path, ray_here: None
) -> None:
    """One test for the whole life of a run: each start of Ray Train takes many seconds."""
    # Twice eight samples in each of 25 steps: every photo comes up once.
    job = dataclasses.replace(
        _changed(job, workers=(2, 2), steps=25, batch_size=8),
        content=(str(four_hundred),),
        resume=False,
    )
    seen: list[Progress] = []
    report = train(job, seen.append)
    assert (report.steps, report.workers, report.resumed_from_step) == (25, 2, 0)
    assert report.photos == 400
    assert [Path(bad["path"]) for bad in report.unreadable] == [four_hundred / b for b in _BAD]
    assert all(bad["path"] in bad["error"] for bad in report.unreadable)
    run = Path(report.run_dir)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(25))
    assert all(line["images"] == 16 for line in lines)
    assert sorted(path.name for path in (run / "preview").iterdir()) == [
        f"step-{step:06}.png" for step in (10, 20, 25)
    ]
    assert list((run / "tensorboard").glob("events*"))
    assert (run / "sheet.png").exists()
    style = find_style(report.checkpoint)
    assert style.info is not None
    assert style.info.training["style_image"] == "painting.png"
    assert Stylizer(style).stylize(moving_picture(1)).shape == (64, 96, 3)
    assert seen
    assert seen[-1].total == 25

    before = Path(report.checkpoint).read_bytes()
    again = CliRunner().invoke(app, [*_options(job), "--resume"])
    assert again.exit_code == 0, again.output
    assert Path(report.checkpoint).read_bytes() == before
    assert "25 steps" in again.stdout
    skipped = [line for line in again.stdout.splitlines() if line.startswith("skipped:")]
    assert [name for name, line in zip(_BAD, skipped, strict=True) if name in line] == list(_BAD)
    assert run.joinpath("events.jsonl").read_text().count("start") == 1  # no worker was needed


def _options(job: TrainStyle) -> list[str]:
    """As they are typed behind `nst`, for a report in words."""
    _, _, _, *options = Disturbed(job).command()
    return [option for option in options if option != "--json"]


def test_more_workers_than_there_is_room_for_are_refused_and_cost_no_earlier_run(
    job: TrainStyle, ray_here: None
) -> None:
    folder = RunFolder(job.run_folder)
    folder.path.mkdir()
    folder.write_settings({"photos": 3})
    many = dataclasses.replace(job, workers=(999, 999), overwrite=True)
    with pytest.raises(EnvironmentProblem, match=r"lower --workers"):
        train(many)
    assert folder.read_settings() == {"photos": 3}


@pytest.mark.parametrize("workers", ["0", "4:1", "x", "1:y", "-1"])
def test_odd_numbers_of_workers_are_refused_in_one_line(workers: str, job: TrainStyle) -> None:
    options = _options(job)
    options[options.index("--workers") + 1] = workers
    result = CliRunner().invoke(app, options)
    assert isinstance(result.exception, InputError)
    assert f"--workers {workers}" in str(result.exception)
    assert "\n" not in str(result.exception)


def test_a_run_is_not_overwritten_or_mixed_by_mistake(job: TrainStyle) -> None:
    job.run_folder.mkdir()
    (job.run_folder / "settings.json").write_text('{"photos": 3}')
    with pytest.raises(InputError, match="--resume goes on"):
        train(job)
    with pytest.raises(InputError, match="other settings"):
        train(dataclasses.replace(job, resume=True))
    nowhere = job.run_folder / "nowhere"
    with pytest.raises(InputError, match="no run in"):
        train(dataclasses.replace(job, resume=True, run_dir=nowhere))
    assert not nowhere.exists()
    job.output.write_text("precious")
    with pytest.raises(InputError, match="--overwrite"):
        train(dataclasses.replace(job, run_dir=job.run_folder / "new"))
    assert job.output.read_text() == "precious"


def test_what_would_be_lost_is_refused_before_anything_is_read(
    job: TrainStyle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.training.train.make_plan", lambda *_: pytest.fail("it reads"))
    with pytest.raises(InputError, match="name it"):
        train(dataclasses.replace(job, output=job.output.with_suffix(".png")))
    job.run_folder.mkdir()
    (job.run_folder / "settings.json").write_text("{}")
    with pytest.raises(InputError, match="--resume goes on"):
        train(job)
    job.output.write_text("precious")
    with pytest.raises(InputError, match="--overwrite"):
        train(dataclasses.replace(job, run_dir=job.run_folder / "new"))


def test_a_resumed_run_must_be_of_the_same_painting_photos_and_samples(job: TrainStyle) -> None:
    plan = make_plan(job)
    plan.run_folder.path.mkdir()
    plan.run_folder.write_settings(plan_settings(plan))
    same = [_changed(job), _changed(job, steps=41), _changed(job, batch_size=1, accumulate=2)]
    same += [_changed(job, batch_size=1, workers=workers) for workers in ((2, 2), (1, 2))]
    for again in same:
        _check_settings(again, make_plan(again))
    for other in (_changed(job, workers=(2, 2)), _changed(job, seed=4)):
        with pytest.raises(InputError, match="other settings"):
            _check_settings(other, make_plan(other))
    pixels = np.flip(moving_picture(0), axis=1)  # of the same size
    Image.fromarray(np.ascontiguousarray(pixels)).save(job.style_images[0])
    with pytest.raises(InputError, match="other settings"):
        _check_settings(_changed(job), make_plan(job))


def test_weights_that_do_not_fit_are_refused_before_ray_starts(
    job: TrainStyle, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.pth"
    for content, words in (
        ([1, 2], "not a state dict"),
        ({"features.0.bias": torch.ones(64)}, "no tensor"),
    ):
        torch.save(content, wrong)
        with pytest.raises(InputError, match=words):
            train(dataclasses.replace(job, loss_network_weights=wrong))


def test_a_corrupt_photo_does_not_stop_a_preview(photos: Path, tmp_path: Path) -> None:
    bad = tmp_path / "._first.jpg"
    bad.write_bytes(b"no picture")
    good = [str(path) for path in sorted(photos.rglob("*.jpg"))]
    assert len(preview_photos([str(bad), *good])) == 4
    assert preview_photos([str(bad)]) == []
