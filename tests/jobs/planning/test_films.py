"""The plan of films: what a run would find and refuse, and nothing written for it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PIL import Image

import jobs.planning.films
import pipeline.films.films
import pipeline.segments.begun
from jobs.applying.stylize_video import stylize_videos
from jobs.cli.planning.words import _film
from jobs.planning.film_rate import Rate, Rates
from jobs.planning.films import plan_films
from jobs.planning.report import FilmsPlan
from jobs.planning.room import Disk
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import EnvironmentProblem, InputError
from nst_core.files import lock
from pipeline.segments.work_folder import HIDDEN_PARENT
from pipeline.work.progress import Progress
from tests.kit.media import make_clip, moving_picture
from tests.kit.plans import nothing_written

HERE = PoolSpec(workers=0)


@pytest.fixture(autouse=True)
def _short_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.planning.film_rate._SECONDS_OF_A_SAMPLE", 0.01)
    monkeypatch.setattr("jobs.planning.crew.usable_processors", lambda: 1)


def _job(output: Path | str, *clips: Path, **options: object) -> StylizeVideo:
    job = StylizeVideo(clips, output, StyleSpec("identity"), HERE, segment_seconds=0.5)
    return dataclasses.replace(job, **options)  # type: ignore[arg-type]


def _plan(job: StylizeVideo) -> FilmsPlan:
    """Plan, and see that nothing is written beside inputs and outputs."""
    with nothing_written(Path(job.output).parent, *(clip.parent for clip in job.inputs)):
        return plan_films([job])


def _interrupted(job: StylizeVideo, segments: float) -> None:
    """Run until so many segments are done, as Ctrl-C would leave them."""

    def interrupt(progress: Progress) -> None:
        if progress.done >= 12 * segments:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylize_videos(job, interrupt)


def test_a_film_is_planned_as_it_is_then_done(clip: Path, tmp_path: Path) -> None:
    job = _job(tmp_path / "out.mp4", clip)
    plan = _plan(job)
    (film,) = plan.inputs
    assert (film.fate, film.error, film.frames, film.frames_left) == ("to do", None, 48, 48)
    assert (film.width, film.height) == (96, 64)
    assert film.segments == {"total": 4, "reused": 0}
    assert film.encoder.startswith("libx264, ")
    assert film.frames_per_second > 0
    assert 0 < plan.seconds_to_start < plan.seconds
    assert plan.frames_measured > 0
    assert plan.memory is not None
    assert plan.memory.per_worker > 50e6
    assert plan.memory.total == plan.memory.per_worker  # the command's own process
    (disk,) = plan.disks
    assert disk.needed == 2 * film.size  # its pieces lie beside it until it is whole
    assert not plan.some_fail
    (report,) = stylize_videos(job).inputs
    assert report.segments["total"] == film.segments["total"]
    assert report.frames_out == film.frames
    assert film.size == pytest.approx((tmp_path / "out.mp4").stat().st_size, rel=0.4)


def test_segments_of_an_interrupted_run_are_found_and_left_as_they_are(
    clip: Path, tmp_path: Path
) -> None:
    job = _job(tmp_path / "out.mp4", clip)
    _interrupted(job, 2)
    (film,) = _plan(job).inputs
    assert film.segments == {"total": 4, "reused": 2}
    assert film.frames_left == 24
    (anew,) = _plan(dataclasses.replace(job, resume=False)).inputs
    (other,) = _plan(dataclasses.replace(job, crf=30)).inputs
    assert anew.segments == other.segments == {"total": 4, "reused": 0}
    (report,) = stylize_videos(job).inputs
    assert report.segments["reused"] == 2


@pytest.mark.parametrize("coherence", [0.0, 0.7])
def test_frames_kept_of_an_unfinished_segment_are_found_and_left_as_they_are(
    coherence: float, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.segments.begun, "_SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(pipeline.segments.begun, "_SOON_SECONDS", 0.0)
    monkeypatch.setattr(pipeline.films.films, "_SECONDS_BETWEEN_SIGNS", 0.0)
    job = _job(tmp_path / "out.mp4", clip, coherence=coherence)
    _interrupted(job, 1.5)
    plan = _plan(job)
    (film,) = plan.inputs
    assert film.segments == {"total": 4, "reused": 1}
    assert 5 <= film.frames_kept < 12
    assert film.frames_left == 36 - film.frames_kept
    words = f"; 1 segment and {film.frames_kept} frames of an earlier run are used again"
    assert _film(film).endswith(words)
    (anew,) = _plan(dataclasses.replace(job, resume=False)).inputs
    assert (anew.frames_kept, anew.frames_left) == (0, 48)


def test_a_finished_film_is_found_done(clip: Path, tmp_path: Path) -> None:
    job = _job(tmp_path / "out.mp4", clip)
    stylize_videos(job)
    plan = _plan(job)
    assert [film.fate for film in plan.inputs] == ["done"]
    assert plan.memory is None
    assert not plan.some_fail


def test_what_a_run_would_refuse_is_refused_in_its_words(clip: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    jobs = [
        _job(tmp_path / "a.mp4", empty),
        _job(tmp_path / "a.avi", clip),
        _job(tmp_path / "nowhere" / "a.mp4", clip),
        _job(tmp_path / "a.mp4", tmp_path / "missing.mp4"),
        _job(empty, clip),
        _job(clip, clip),
    ]
    for job in jobs:
        plan = _plan(job)
        (report,) = stylize_videos(job).inputs
        assert report.error
        assert [(film.fate, film.error) for film in plan.inputs] == [("refused", report.error)]
        assert plan.nothing_starts


def test_a_folder_that_a_run_would_make_is_not_made(clip: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.mp4"
    again.write_bytes(clip.read_bytes())
    output = tmp_path / "new" / "out"
    with nothing_written(tmp_path):
        plan = plan_films([_job(f"{output}/", clip, again)])
    assert [film.fate for film in plan.inputs] == ["to do", "to do"]
    assert [Path(film.output) for film in plan.inputs] == [output / clip.name, output / again.name]
    (tmp_path / "file").touch()
    job = _job(f"{tmp_path}/file/out/", clip)
    with pytest.raises(InputError, match="cannot be made") as planned:
        plan_films([job])
    with pytest.raises(InputError, match="cannot be made") as run:
        stylize_videos(job)
    assert str(planned.value) == str(run.value)


def test_a_film_that_another_run_works_on_is_refused(clip: Path, tmp_path: Path) -> None:
    job = _job(tmp_path / "out.mp4", clip)
    _interrupted(job, 1)
    (file,) = (tmp_path / HIDDEN_PARENT).glob("*/lock")
    with file.open("rb") as held:
        assert lock(held)
        (film,) = _plan(job).inputs
    assert film.error is not None
    assert "another run is at work on the same output" in film.error


def test_each_style_has_its_outputs(clip: Path, tmp_path: Path) -> None:
    job = _job(tmp_path / "out.mp4", clip)
    second = dataclasses.replace(job, style=StyleSpec("wave"))
    plan = plan_films([job, second])
    outputs = [Path(film.output).name for film in plan.inputs]
    assert outputs == ["out-identity.mp4", "out-wave.mp4"]
    assert plan.engine.startswith("openvino")  # identity has none
    alone = plan_films([job])
    assert plan.seconds > alone.seconds


def test_a_cluster_s_rate_is_said_to_be_unknown(clip: Path, tmp_path: Path) -> None:
    pool = PoolSpec(address="10.9.8.7:6379")  # nobody is asked there
    plan = _plan(_job(tmp_path / "out.mp4", clip, pool=pool))
    assert plan.workers is None
    assert "one worker at this machine's rate" in " ".join(plan.remarks)
    assert plan.seconds > 0


def test_workers_for_which_there_is_no_room_are_refused(clip: Path, tmp_path: Path) -> None:
    job = _job(tmp_path / "out.mp4", clip, pool=PoolSpec(workers=100_000))
    with pytest.raises(EnvironmentProblem, match="there is room for"):
        _plan(job)


def test_segments_are_dealt_out_to_workers_as_they_become_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a known rate: a frame takes a second, and a worker three to be there."""
    rate = Rate(
        engine="known",
        seconds_a_frame=1.0,
        seconds_to_warm_up=3.0,
        first_bytes=1000.0,
        other_bytes=100.0,
        pixels=96 * 64,
        frames=5,
        worker_bytes=70_000_000,
    )
    monkeypatch.setattr(Rates, "of", lambda self, film: rate)
    monkeypatch.setattr(Rates, "measured", [rate])
    monkeypatch.setattr("jobs.planning.crew.usable_processors", lambda: 4)
    film = tmp_path / "film.mp4"
    make_clip(film, frames=480, sound=False)
    plans = {
        workers: plan_films([_job(tmp_path / "out.mp4", film, pool=PoolSpec(workers=workers))])
        for workers in (0, 1, 4)
    }
    assert {workers: plan.workers for workers, plan in plans.items()} == {0: 0, 1: 1, 4: 4}
    assert [plan.inputs[0].frames_per_second for plan in plans.values()] == [1, 1, 4]
    for plan, busy in zip(plans.values(), (480, 480, 120), strict=True):
        assert plan.inputs[0].seconds == pytest.approx(busy, abs=1)
        assert plan.seconds == pytest.approx(plan.seconds_to_start + busy, abs=1)
        assert plan.inputs[0].size == 40 * 1000 + 440 * 100
    assert plans[1].seconds_to_start > plans[0].seconds_to_start > 3  # Ray's start
    memory = [plan.memory.total for plan in plans.values() if plan.memory]
    assert memory[0] == 70_000_000
    assert memory[2] - memory[1] == pytest.approx(3 * 70_000_000, abs=40_000_000)


def test_a_disk_that_is_too_small_is_told(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        jobs.planning.films, "disks_for", lambda needs: [Disk(str(tmp_path), 5_000_000, 1_000_000)]
    )
    plan = _plan(_job(tmp_path / "out.mp4", clip))
    (remark,) = plan.remarks
    assert remark == f"it will not fit on the disk of {tmp_path}: 5.0 MB are needed, 1.0 MB free"


def test_a_painting_is_not_fitted_for_a_plan(clip: Path, tmp_path: Path) -> None:
    painting = tmp_path / "painting.png"
    Image.fromarray(moving_picture(0)).save(painting)
    job = _job(tmp_path / "out.mp4", clip, style=StyleSpec(str(painting), fit_steps=90))
    plan = _plan(job)
    assert plan.inputs[0].fate == "to do"
    assert plan.seconds > plan.seconds_to_start > 90
    (remark,) = plan.remarks
    assert remark.startswith(f"a style is fitted to {painting} first: counted as about 90 s")
    stylize_videos(dataclasses.replace(job, style=StyleSpec("wave")))
    (film,) = _plan(job).inputs  # of another style, whichever stands for it
    assert film.error is not None
    assert film.error.endswith("exists and was made with another --style; --overwrite replaces it")
