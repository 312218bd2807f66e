"""Progress as lines and as bars, from the same events."""

from __future__ import annotations

import io
import re
import sys
import time

import pytest

from jobs.cli import console
from pipeline.work.progress import FileProgress, Pace, Progress, stage

IN_THE_MIDDLE = Progress(
    1200,
    3400,
    "frames",
    files=(FileProgress("film.mp4", 400, 800), FileProgress("[a].mkv", 0, 90)),
    per_second=22.13,
    seconds_left=99.6,
    estimates=True,
)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_a_line_tells_all_files_and_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with console.shown_progress() as show:
        show(IN_THE_MIDDLE)
        show(IN_THE_MIDDLE)  # too soon for another line
        show(Progress(3400, 3400, "frames", per_second=30.0, time_is_summed_up=True))
    first, last = capsys.readouterr().err.splitlines()
    assert first == (
        "1200 of 3400 frames, 35 %, 22.1 frames/s, about 100 s left; "
        "film.mp4 400 of 800, [a].mkv 0 of 90"
    )
    assert last == "3400 of 3400 frames, 100 %"  # rate and time are in the summary


def test_warnings_are_told_at_once_and_not_again_by_the_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for quiet in (False, True):
        monkeypatch.setattr(console, "_quiet", quiet)
        with console.shown_progress() as show:
            show(Progress(0, 9, "frames", warnings=("film.mkv: it has fonts",)))
            assert capsys.readouterr().err == "warning: film.mkv: it has fonts\n"
        console.warn("film.mkv: it has fonts")
        console.warn("film.mkv: a tag is lost")
        assert capsys.readouterr().err == "warning: film.mkv: a tag is lost\n"


def test_a_total_that_is_not_all_looks_like_no_end(capsys: pytest.CaptureFixture[str]) -> None:
    with console.shown_progress() as show:
        show(Progress(48, 48, "frames", per_second=22.1, is_all=False))
        show(Progress(96, 96, "frames", per_second=22.1, is_all=False))
        show(Progress(144, 144, "frames", per_second=22.1, time_is_summed_up=True))
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("48 of 48 frames so far, 22.1 frames/s, ")
    assert last == "144 of 144 frames, 100 %"


def test_what_a_job_took_is_in_its_last_line_unless_its_summary_tells_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for is_summed_up, rest in ((False, r", \d+ s, a\.png"), (True, r", a\.png")):
        with console.shown_progress() as show:
            show(Progress(9, 9, "steps", "a.png", time_is_summed_up=is_summed_up))
        assert re.fullmatch(rf"9 of 9 steps, 100 %{rest}\n", capsys.readouterr().err)


def test_stages_before_the_first_unit_are_told_at_once_and_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with console.shown_progress() as show:
        show(stage("scanning 12 films", "frames"))
        show(stage("scanning 12 films", "frames"))
        show(stage("starting workers", "frames"))
        show(Progress(12, 48, "frames", estimates=True))
    *stages, line = capsys.readouterr().err.splitlines()
    assert stages == ["scanning 12 films", "starting workers"]
    assert line.startswith("12 of 48 frames, 25 %, ")


def test_jobs_that_measure_nothing_get_their_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    with console.shown_progress() as show:
        show(Progress(3, 12, "pictures", "a.png"))
    line = capsys.readouterr().err.strip()
    assert line.startswith("3 of 12 pictures, 25 %, ")
    assert line.endswith(" s, a.png")


def test_lines_estimate_what_is_left_where_the_job_does_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[-1])
    with console.shown_progress() as show:
        for now, done in ((110.0, 2), (112.0, 3), (130.0, 12), (140.0, 17), (150.0, 20)):
            clock.append(now)
            show(Progress(done, 20, "pictures"))
        clock.append(160.0)
        show(Progress(1, 9, "photographs"))  # other things: from the start again
    *lines, other = capsys.readouterr().err.splitlines()
    assert lines == [
        "2 of 20 pictures, 10 %, 10 s",
        "12 of 20 pictures, 60 %, about 16 s left",
        "17 of 20 pictures, 85 %, about 6 s left",
        "20 of 20 pictures, 100 %, 50 s",
    ]
    assert "left" not in other


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(119, "about 119 s left"), (600, "about 10 min left"), (9000, "about 2.5 h left")],
)
def test_the_time_left_is_told_in_fitting_units(
    capsys: pytest.CaptureFixture[str], seconds: float, words: str
) -> None:
    with console.shown_progress() as show:
        show(Progress(1, 9, "frames", per_second=1.0, seconds_left=seconds))
    assert words in capsys.readouterr().err


def test_news_are_shown_at_once_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    with console.shown_progress() as show:
        show(Progress(1, 9, "steps"))
        show(Progress(1, 9, "steps", news="starts from wave"))
        show(Progress(2, 9, "steps"))
    assert capsys.readouterr().err.splitlines()[1:] == ["starts from wave"]


def test_a_terminal_shows_a_bar_for_all_and_one_for_each_file_in_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "150")

    def drawn_by(progress: Progress) -> str:
        show(progress)
        start = terminal.tell()
        bars = getattr(show, "__self__")._bar  # noqa: B009
        bars.refresh()
        return terminal.getvalue()[start:]

    with console.shown_progress() as show:
        drawn = drawn_by(IN_THE_MIDDLE)
        for words in ("1200/3400", "about 100 s left", "400/800", "film.mp4", "0/90", "[a].mkv"):
            assert words in drawn
        drawn = drawn_by(Progress(1600, 3400, "frames", files=IN_THE_MIDDLE.files[1:]))
        assert "film.mp4" not in drawn  # it is whole
        assert "[a].mkv" in drawn


def test_a_bar_has_no_estimate_where_the_job_has_none_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with console.shown_progress() as show:
        for done in (1, 2, 3):
            show(Progress(done, 90, "frames", estimates=True))
        getattr(show, "__self__")._bar.refresh()  # noqa: B009
    assert "3/90" in terminal.getvalue()
    assert "-:--:--" not in terminal.getvalue()


def test_the_pace_is_of_this_run_since_its_first_worker_began() -> None:
    pace = Pace()
    assert pace.per_second(100.0) is None
    assert pace.seconds_left(300, 100.0) is None
    pace.add(0, began=20.0, now=15.0)
    pace.add(50, began=20.0, now=18.0)
    pace.add(50, began=10.0, now=20.0)  # ended later, began earlier
    assert pace.per_second(20.0) == 10


def test_nothing_is_estimated_before_a_few_ends_and_some_seconds() -> None:
    pace = Pace()
    for second, is_told in ((1, False), (2, False), (3, False), (12, True)):
        pace.add(10, began=0.0, now=second)
        assert (pace.seconds_left(300, second) is not None) == is_told
    assert pace.seconds_left(300, 12.0) == 90
    late = Pace()
    late.add(10, began=0.0, now=50.0)
    late.add(10, began=0.0, now=50.1)  # of the same moment
    late.add(10, began=0.0, now=60.0)
    assert late.seconds_left(300, 60.0) is None
    late.add(10, began=0.0, now=80.0)
    assert late.seconds_left(300, 80.0) == 600


def test_the_pace_of_long_ago_is_forgotten() -> None:
    pace = Pace()
    for second in range(0, 1000, 10):
        pace.add(100, began=0.0, now=second)
    for second in range(1000, 1400, 10):
        pace.add(10, began=0.0, now=second)
    assert pace.per_second(1390.0) == pytest.approx(1.0, rel=0.05)
