"""Films in several styles: one count over all of them, each named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.applying.stylize_video import stylize_in_styles
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.films.report import StylizeVideoReport
from pipeline.work.progress import FileProgress, OnProgress, Progress, stage
from tests.kit.media import make_clip

STYLES = [StyleSpec(name) for name in ("wave", "udnie", "identity")]


@pytest.fixture
def job(tmp_path: Path) -> StylizeVideo:
    clip = tmp_path / "film.mp4"
    make_clip(clip, frames=12)
    return StylizeVideo((clip,), tmp_path / "out", STYLES[0], PoolSpec(workers=0))


def _work(states: dict[str, list[tuple[int, int]]], seen: list[str]) -> object:
    """A stand-in for the work: shows (done, total) for each style."""

    def stylize_videos(job: StylizeVideo, on_progress: OnProgress) -> StylizeVideoReport:
        seen.append(job.mark)
        for done, total in states[job.mark]:
            files = (FileProgress("film.mp4", done, total),)
            rest = float(total - done) / 2
            on_progress(Progress(done, total, "frames", "", files, 2.0, rest))
        return StylizeVideoReport("torch cpu float32", 1, [])

    return stylize_videos


def _shown(
    job: StylizeVideo, states: dict[str, list[tuple[int, int]]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Progress]:
    shown: list[Progress] = []
    seen: list[str] = []
    monkeypatch.setattr("jobs.applying.stylize_video.stylize_videos", _work(states, seen))
    stylize_in_styles([replace(job, style=each) for each in STYLES], shown.append)
    assert seen == ["wave", "udnie", "identity"]
    return iter(shown)


def test_one_count_runs_over_all_styles_and_each_is_named(
    job: StylizeVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [(50, 100), (100, 100)]
    shown = list(_shown(job, dict.fromkeys(("wave", "udnie", "identity"), steps), monkeypatch))
    assert [(each.done, each.total) for each in shown] == [
        (done, 300) for done in (50, 100, 150, 200, 250, 300)
    ]
    assert [each.note for each in shown[::2]] == [
        "style wave (1 of 3)",
        "style udnie (2 of 3)",
        "style identity (3 of 3)",
    ]
    assert [each.seconds_left for each in shown] == [125, 100, 75, 50, 25, 0]
    assert shown[3].files == (FileProgress("film.mp4", 100, 100),)


def test_a_stage_before_the_first_frame_is_told_with_its_style(
    job: StylizeVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stylize_videos(job: StylizeVideo, on_progress: OnProgress) -> StylizeVideoReport:
        on_progress(stage("starting workers", "frames"))
        on_progress(Progress(5, 5, "frames"))
        return StylizeVideoReport("torch cpu float32", 1, [])

    shown: list[Progress] = []
    monkeypatch.setattr("jobs.applying.stylize_video.stylize_videos", stylize_videos)
    stylize_in_styles([replace(job, style=each) for each in STYLES[:2]], shown.append)
    assert [(each.done, each.total, each.note) for each in shown] == [
        (0, 0, "style wave: starting workers"),
        (5, 10, "style wave (1 of 2)"),
        (0, 0, "style udnie: starting workers"),
        (10, 10, "style udnie (2 of 2)"),
    ]


def test_styles_that_have_nothing_to_do_count_for_nothing(
    job: StylizeVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: dict[str, list[tuple[int, int]]] = {"wave": [], "udnie": [(100, 100)], "identity": []}
    shown = list(_shown(job, states, monkeypatch))
    assert [(each.done, each.total) for each in shown] == [(100, 200), (100, 100)]


def test_films_that_are_not_scanned_yet_are_those_of_the_style_before(
    job: StylizeVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [(50, 100), (100, 100)]
    states = {"wave": steps, "udnie": [(50, 60), (100, 100)], "identity": [(50, 60), (60, 60)]}
    shown = list(_shown(job, states, monkeypatch))
    assert [(each.done, each.total) for each in shown][2:] == [
        *((150, 300), (200, 300), (250, 300), (260, 300)),
        (260, 260),  # a film has failed
    ]
