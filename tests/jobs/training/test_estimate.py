"""How long a training takes: told once more where the steps come to something else."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from jobs.specs.training import TrainGenerator
from jobs.training import estimate as training_estimate
from jobs.training.estimate import StepTimes, _OthersWork
from jobs.training.kinds import make_plan


def _times(told: float | None, *seconds: float) -> StepTimes:
    times = StepTimes(told)
    for each in seconds:
        times.add(each)
    return times


@pytest.mark.parametrize(
    ("told", "measured", "words"),
    [
        (1.0, 2.0, "steps take 2 s, not 1 s as was estimated: about 33 min left"),
        (12.0, 0.3, "steps take 0.3 s, not 12 s as was estimated: about 5 min left"),
        (1.0, 1.45, ""),
        (1.0, 0.7, ""),
        (0.001, 0.002, ""),  # a second or two in all
        (None, 2.0, ""),
    ],
)
def test_an_estimate_is_put_right_where_it_is_far_off(
    told: float | None, measured: float, words: str
) -> None:
    correction = _times(told, *[measured] * 5).correction(1000)
    assert correction.startswith(words)
    assert bool(correction) == bool(words)


def test_a_correction_waits_for_a_few_steps_and_is_said_once_until_it_is_off_again() -> None:
    times = _times(1.0, 4.0, 4.0, 4.0, 4.0)
    assert times.correction(1000) == ""
    times.add(4.0)
    assert "not 1 s" in times.correction(999)
    assert times.correction(998) == ""
    for _ in range(30):
        times.add(8.0)
    assert "not 4 s" in times.correction(900)


def test_one_slow_step_is_no_reason() -> None:
    assert _times(1.0, 1.0, 1.0, 60.0, 1.0, 1.1).correction(1000) == ""


def test_what_was_told_stands_until_steps_are_measured() -> None:
    assert _times(3.0).seconds_a_step == 3.0
    assert _times(3.0, 5.0, 7.0, 6.0).seconds_a_step == 3.0
    assert _times(3.0, 5.0, 7.0, 6.0, 6.0, 6.0).seconds_a_step == 6.0
    assert _times(None, 5.0, 7.0).seconds_a_step is None


@pytest.mark.parametrize(("others", "is_told"), [(0.5, True), (4.0, False)])
def test_beside_much_other_work_nothing_is_estimated(
    others: float,
    is_told: bool,
    jobs: dict[str, TrainGenerator],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = iter((0.0, others))
    monkeypatch.setattr(training_estimate, "_busy_seconds", lambda: next(seconds))
    monkeypatch.setattr(training_estimate, "psutil", SimpleNamespace(cpu_count=lambda: 1))
    clock = iter(range(100))  # each look at it a second later: four for the tries
    monkeypatch.setattr(
        training_estimate,
        "time",
        SimpleNamespace(monotonic=lambda: float(next(clock)), process_time=lambda: 0.0),
    )
    told = training_estimate.estimated_seconds_a_step(make_plan(jobs["johnson"]))
    assert told == (1.0 if is_told else None)


def test_what_other_processes_do_is_seen() -> None:
    work = _OthersWork()
    subprocess.run([sys.executable, "-c", "for _ in range(5_000_000): pass"], check=True)
    assert work.share(1.0) > 0
