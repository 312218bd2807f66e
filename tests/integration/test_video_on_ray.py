"""Videos and pictures over Ray actors: the same result with any number of workers."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

import psutil
import pytest

from jobs.applying.stylize_images import stylize_images
from jobs.applying.stylize_video import stylize_videos
from jobs.specs.applying import PoolSpec, StylizeImages, StylizeVideo
from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.work.progress import Progress
from tests.kit.processes import command_of


def _video(
    clip: Path, output: Path, style: Style, workers: int, cpus: float | None = None
) -> StylizeVideo:
    pool = PoolSpec(workers=workers, cpus_per_worker=cpus)
    return StylizeVideo((clip,), output, StyleSpec(str(style.path)), pool, segment_seconds=0.5)


@pytest.mark.usefixtures("ray_here")
def test_the_bytes_do_not_depend_on_the_number_of_workers(
    clip: Path, style: Style, tmp_path: Path
) -> None:
    """Nor on how many segments a worker has at once: one for each of its processors."""
    outputs = []
    for workers, cpus in ((0, None), (1, 1), (2, 1), (1, 2)):
        output = tmp_path / f"{workers}-{cpus}.mp4"
        report = stylize_videos(_video(clip, output, style, workers, cpus))
        assert report.inputs[0].status == "done", report.inputs[0].error
        assert report.workers == workers
        assert report.engine.startswith("openvino")
        outputs.append(output.read_bytes())
    assert outputs[0] == outputs[1] == outputs[2] == outputs[3]


@pytest.mark.parametrize(
    "cpus",
    [
        pytest.param(1, id="one segment", marks=pytest.mark.slow),
        pytest.param(2, id="two segments"),
    ],
)
@pytest.mark.usefixtures("ray_here")
def test_a_killed_worker_costs_nothing_but_time(
    cpus: int, clip: Path, style: Style, tmp_path: Path
) -> None:
    undisturbed = tmp_path / "undisturbed.mp4"
    stylize_videos(_video(clip, undisturbed, style, 0))
    killed: list[int] = []

    def kill_one(progress: Progress) -> None:
        if killed:
            return
        for process in psutil.Process().children(recursive=True):
            if "ray::WorkerHost" in command_of(process):
                os.kill(process.pid, signal.SIGKILL)
                killed.append(process.pid)
                return

    output = tmp_path / "out.mp4"
    report = stylize_videos(_video(clip, output, style, 1, cpus), kill_one)
    assert killed
    assert report.inputs[0].status == "done", report.inputs[0].error
    assert report.inputs[0].segments["retried"] >= 1
    assert output.read_bytes() == undisturbed.read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_segment_past_its_deadline_is_named_with_what_to_try(
    clip: Path, style: Style, tmp_path: Path
) -> None:
    job = dataclasses.replace(
        _video(clip, tmp_path / "out.mp4", style, 1), segment_seconds=60, segment_deadline=0.01
    )
    report = stylize_videos(job)
    assert report.inputs[0].status == "failed"
    error = str(report.inputs[0].error)
    assert "segment 00000, at 0.0 s: took more than 0.01 s 3 times; given up; raise" in error
    assert "--segment-deadline" in error
    assert report.inputs[0].segments["retried"] == 1
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_intra_refresh_gets_its_pre_roll_from_workers_too(data: Path, tmp_path: Path) -> None:
    source = data / "hostile" / "04_h264_intrarefresh.mp4"
    outputs = []
    for workers in (0, 2):
        output = tmp_path / f"{workers}.mp4"
        job = StylizeVideo(
            (source,), output, StyleSpec("identity"), PoolSpec(workers=workers), segment_seconds=1
        )
        (report,) = stylize_videos(job).inputs
        assert (report.status, report.frames_out) == ("done", 144), report.warnings
        outputs.append(output.read_bytes())
    assert outputs[0] == outputs[1]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_pictures_over_two_workers_are_all_there(
    photos: Path, style: Style, tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    job = StylizeImages(
        (str(photos), str(tmp_path / "broken.jpg")),
        str(tmp_path / "out"),
        (StyleSpec(str(style.path)),),
        PoolSpec(workers=2),
    )
    report = stylize_images(job)
    assert (report.total, report.done, report.failed, report.workers) == (11, 10, 1, 2)
    assert "broken.jpg" in report.failures[0]["error"]
    assert len(list((tmp_path / "out").rglob("*.jpg"))) == 10
