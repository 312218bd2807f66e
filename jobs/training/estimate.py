"""How long a training will take: found by a few steps before it starts, put right by its own."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from itertools import pairwise
from statistics import median

import psutil
import torch

from jobs.training.plan import TrainingPlan, build_trainer
from nst_core.training.photos import Batch
from nst_core.wording import about

_STEPS_TRIED = 3
_SECONDS_OF_TRIES = 3.0
"""From the first on; a step that takes longer is tried but once."""
_STEPS_TIMED = 30
"""Latest steps whose median says how long the rest will take."""
_STEPS_TO_JUDGE_BY = 5
_SECONDS_TO_SEE_OTHERS = 0.5
"""Processors' times are counted in hundredths of a second."""
_OTHERS_SHARE_BORNE = 0.25
"""Share of the processors' time that other work may take."""
_FACTOR_WORTH_TELLING = 1.5
_SECONDS_WORTH_TELLING = 30.0


class StepTimes:
    """Seconds of the latest steps, against those that were told before: ``told``, or None."""

    def __init__(self, told: float | None) -> None:
        self._told = told
        self._recent: deque[float] = deque(maxlen=_STEPS_TIMED)

    def add(self, seconds: float) -> None:
        """Take in a step; the first of a run warms up and is better left out."""
        self._recent.append(seconds)

    @property
    def seconds_a_step(self) -> float | None:
        """What a step takes: as a few of them were measured, or else as it was told."""
        return self._told if len(self._recent) < _STEPS_TO_JUDGE_BY else median(self._recent)

    def correction(self, steps_left: int) -> str:
        """What to say where the steps take far longer or shorter than was told; said once."""
        if self._told is None or len(self._recent) < _STEPS_TO_JUDGE_BY:
            return ""
        told, measured = self._told, median(self._recent)
        factor = max(told, measured) / max(min(told, measured), 1e-9)
        if (
            factor <= _FACTOR_WORTH_TELLING
            or abs(told - measured) * steps_left < _SECONDS_WORTH_TELLING
        ):
            return ""
        self._told = measured
        why = "; other work may share the processors" if measured > told else ""
        return (
            f"steps take {measured:.2g} s, not {told:.2g} s as was estimated: "
            f"{about(measured * steps_left)} left{why}"
        )


def of_first_style(plan: TrainingPlan) -> TrainingPlan:
    """Return the plan for the first style alone, whose steps take as long as those of all."""
    return replace(
        plan,
        info=replace(plan.info, styles=(), strokes=()),
        style_images=plan.style_images[:1],
        base=None,
        start=None,
    )


def _seconds_a_step(plan: TrainingPlan) -> float | None:
    """Time a step of one worker on this machine's CPUs; all the steps of a plan are alike.

    The fastest of a few: single steps can take many times as long. None where other work has so
    much of the processors that all of them do.
    For the first style alone: how many there are does not matter to a step.
    """
    trainer = build_trainer(of_first_style(plan), torch.device("cpu"))
    size = plan.settings.image_size
    pictures = torch.rand(plan.settings.batch_size, 3, size, size)
    batches = [Batch(tuple(range(len(pictures))), pictures)] * plan.settings.accumulate
    trainer.step(batches)  # warms up
    others = _OthersWork()
    times = [time.monotonic()]
    while len(times) <= _STEPS_TRIED and times[-1] - times[0] < _SECONDS_OF_TRIES:
        trainer.step(batches)
        times.append(time.monotonic())
    seconds = times[-1] - times[0]
    if seconds >= _SECONDS_TO_SEE_OTHERS and others.share(seconds) > _OTHERS_SHARE_BORNE:
        return None
    return min(end - start for start, end in pairwise(times))


def estimated_seconds_a_step(plan: TrainingPlan) -> float | None:
    """Estimate a step of all workers, on this machine's CPUs alone.

    They share the processors: two take as long for a step of twice the pictures. None where other
    work has too much of them for an estimate.
    """
    each = _seconds_a_step(plan)
    return None if each is None else each * plan.job.workers[1]


class _OthersWork:
    """How busy other processes keep this machine's processors, from now on."""

    def __init__(self) -> None:
        self._busy, self._own = _busy_seconds(), time.process_time()

    def share(self, seconds: float) -> float:
        """Return their part of all processors' time, which is of the last ``seconds``."""
        others = _busy_seconds() - self._busy - (time.process_time() - self._own)
        return others / (seconds * (psutil.cpu_count() or 1))


def _busy_seconds() -> float:
    """Seconds that all processors together have worked since the machine started."""
    times = psutil.cpu_times()
    return float(times.user + times.system + getattr(times, "nice", 0.0))
