"""Training as a user runs it: Ray Train, two workers, stopped and gone on with."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from jobs.progress import Progress
from jobs.run_folder import RunFolder
from jobs.train import _prepare_run_folder, train
from jobs.training_plan import make_plan
from jobs.training_records import _preview_photos
from jobs.training_specs import TrainStyle
from nst_core.checkpoint import load_generator
from nst_core.errors import InputError
from nst_core.settings import TrainingSettings
from nst_core.style_library import find_style
from nst_core.stylizer import Stylizer
from tests.media import moving_picture


@pytest.fixture
def job(photos: Path, vgg19_file: Path, tmp_path: Path) -> TrainStyle:
    style_image = tmp_path / "painting.png"
    Image.fromarray(moving_picture(0)).save(style_image)
    return TrainStyle(
        style_image=style_image,
        content=photos,
        output=tmp_path / "painting.safetensors",
        training=TrainingSettings(steps=6, batch_size=2, image_size=32),
        width=4,
        style_size=32,
        loss_network_weights=vgg19_file,
        device="cpu",
        cpus_per_worker=1,
        checkpoint_every=3,
    )


def test_a_style_is_trained_stopped_and_gone_on_with(
    job: TrainStyle, ray_here: None, tmp_path: Path
) -> None:
    """One test for the whole life of a run: each start of Ray Train takes many seconds."""
    two_workers = dataclasses.replace(job, workers=2)
    seen: list[Progress] = []
    report = train(two_workers, seen.append)
    assert (report.steps, report.workers, report.resumed_from_step) == (6, 2, 0)
    run = Path(report.run_dir)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(6))
    assert all(line["images"] == 4 for line in lines)
    assert sorted(p.name for p in (run / "preview").iterdir()) == [
        "step-000003.png",
        "step-000006.png",
    ]
    assert list((run / "tensorboard").glob("events*"))
    style = find_style(report.checkpoint)
    assert style.info is not None
    assert style.info.training["style_image"] == "painting.png"
    assert Stylizer(style).stylize(moving_picture(1)).shape == (64, 96, 3)
    assert seen
    assert seen[-1].total == 6

    # Finished already: going on does nothing, and says so.
    before = Path(report.checkpoint).read_bytes()
    again = train(dataclasses.replace(two_workers, resume=True))
    assert again.resumed_from_step == 6
    assert Path(report.checkpoint).read_bytes() == before


@pytest.mark.slow
def test_a_run_stopped_with_ctrl_c_ends_with_the_weights_of_an_undisturbed_one(
    photos: Path, vgg19_file: Path, tmp_path: Path
) -> None:
    style_image = tmp_path / "painting.png"
    Image.fromarray(moving_picture(0)).save(style_image)
    command = [
        *(sys.executable, "-m", "jobs.cli", "train", "style", str(style_image)),
        *("--content", str(photos), "--loss-network-weights", str(vgg19_file)),
        *("--width", "4", "--steps", "60", "--image-size", "64", "--batch-size", "2"),
        *("--checkpoint-every", "10", "--json"),
    ]
    undisturbed, output = tmp_path / "undisturbed.safetensors", tmp_path / "out.safetensors"
    subprocess.run([*command, "-o", str(undisturbed)], check=True, capture_output=True)

    run = RunFolder(output.with_suffix(".run"))
    process = subprocess.Popen(
        [*command, "-o", str(output)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while len(run.read_metrics()) < 25:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 130, stderr
    assert "interrupted" in stderr
    assert not output.exists()

    resumed = subprocess.run(
        [*command, "-o", str(output), "--resume"], check=True, capture_output=True, text=True
    )
    report = json.loads(resumed.stdout)
    assert report["resumed_from_step"] in (20, 30, 40, 50)
    assert [line["step"] for line in run.read_metrics()] == list(range(60))
    ours, theirs = (load_generator(path)[0].parameters() for path in (output, undisturbed))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_a_run_is_not_overwritten_or_mixed_by_mistake(job: TrainStyle) -> None:
    job.run_folder.mkdir()
    (job.run_folder / "settings.json").write_text('{"photos": 3}')
    with pytest.raises(InputError, match="--resume goes on"):
        train(job)
    with pytest.raises(InputError, match="other settings"):
        train(dataclasses.replace(job, resume=True))
    with pytest.raises(InputError, match="no run in"):
        train(dataclasses.replace(job, resume=True, run_dir=job.run_folder / "nowhere"))
    job.output.write_text("precious")
    with pytest.raises(InputError, match="--overwrite"):
        train(dataclasses.replace(job, run_dir=job.run_folder / "new"))
    assert job.output.read_text() == "precious"


def test_a_resumed_run_must_be_of_the_same_painting_photos_and_workers(
    job: TrainStyle, photos: Path
) -> None:
    _prepare_run_folder(job, make_plan(job))
    again = dataclasses.replace(job, resume=True)
    _prepare_run_folder(again, make_plan(again))
    more = dataclasses.replace(again, workers=2)
    with pytest.raises(InputError, match="other settings"):
        _prepare_run_folder(more, make_plan(more))
    Image.fromarray(moving_picture(9)).save(job.style_image)  # of the same size
    with pytest.raises(InputError, match="other settings"):
        _prepare_run_folder(again, make_plan(again))


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
    assert len(_preview_photos([bad, *sorted(photos.rglob("*.jpg"))])) == 4
    assert _preview_photos([bad]) == []
