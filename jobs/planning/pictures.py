"""The plan of `nst stylize images`: the folder is listed as in a run, a few pictures are done."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from jobs.applying.stylize_images import find_styles, pool_of, worker_maker
from jobs.planning.crew import COMMAND_SECONDS, Crew, crew_for, torch_seconds
from jobs.planning.report import PicturesPlan
from jobs.planning.room import disks_for, memory_for, memory_now
from jobs.planning.styles import FoundStyle, style_for_plan
from jobs.planning.trial import Trial
from jobs.specs.applying import StylizeImages
from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import MediaError
from nst_core.pictures.decoding import pixels_of
from pipeline.pictures.account import PictureAccount
from pipeline.pictures.run import pictures_to_do
from pipeline.pictures.task import ImageResult, ImageTask
from pipeline.pictures.units import pictures_a_unit
from pipeline.storage.files import is_uri
from pipeline.storage.open import storage_for
from pipeline.work.progress import OnProgress, ignore_progress, stage

_MOST_LOOKED_AT = 2000
_SECONDS_TO_LOOK = 3.0
_ROUNDS = 12
_SECONDS_OF_ROUNDS = 4.0
_IN_MEMORY = "memory://nst-plan"
"""Where the pictures of a trial are written to."""


def plan_pictures(job: StylizeImages, on_progress: OnProgress = ignore_progress) -> PicturesPlan:
    """Find out what `nst stylize images` would do; nothing is written but caches.

    Raises InputError or EnvironmentProblem where the job as a whole could not start.
    """
    began, driver = time.monotonic(), memory_now()
    found: dict[StyleSpec, FoundStyle] = {}

    def find(spec: StyleSpec) -> Style:
        found[spec] = found.get(spec) or style_for_plan(spec, job.pool)
        return found[spec].style

    styles, rest = find_styles(job, find)
    with pictures_to_do(job, styles, on_progress, rest) as to_do:
        account, refinements = to_do
        listed = time.monotonic() - began
        plan = _planned(job, account)
        for each in found.values():
            plan.add_style(each)
        on_progress(stage("looking into the pictures", "pictures"))
        looked = _look(plan, account, job)
        if not looked:
            plan.seconds = round(plan.seconds + COMMAND_SECONDS + listed, 1)
            return plan
        crew = crew_for(job.styles[0], pool_of(job, account))
        on_progress(stage(f"measuring: {job.sources[0]}", "pictures"))
        make_worker = worker_maker(job, styles, rest, account, refinements)
        with closing(Trial(make_worker, crew)) as trial:
            a_unit = pictures_a_unit(account.waiting, crew.workers or 0)
            rate = _measured(plan, looked, trial, a_unit=a_unit)
            plan.memory = memory_for(trial.worker_bytes, crew.workers or 0, driver=driver)
            plan.engine = trial.engine
    _add_times(plan, rate, crew, listed)
    if not is_uri(job.output):
        plan.disks = disks_for([(Path(account.folder), plan.size)])
    plan.remark_room()
    return plan


@dataclass(frozen=True)
class _Rate:
    """What was measured on a few pictures."""

    seconds_a_pixel: float
    """Seconds of one worker, while all of them work."""
    seconds_to_warm_up: float
    bytes_a_pixel: float
    """Bytes of all outputs of a picture, by the pixels of the source."""


@dataclass(frozen=True)
class _Looked:
    """A picture to do whose file was opened."""

    task: ImageTask
    pixels: int


def _planned(job: StylizeImages, account: PictureAccount) -> PicturesPlan:
    report = account.report
    return PicturesPlan(
        output=job.output,
        total=report.total,
        to_do=account.waiting,
        tried=account.waiting,
        reused=report.reused,
        failed=report.failed,
        failures=list(report.failures),
        styles_per_image=report.styles_per_image,
    )


def _look(plan: PicturesPlan, account: PictureAccount, job: StylizeImages) -> list[_Looked]:
    """Open files evenly over all that is to do; those that are no pictures are refused."""
    every = -(-account.waiting // _MOST_LOOKED_AT) or 1
    good: list[_Looked] = []
    end = time.monotonic() + _SECONDS_TO_LOOK
    for task in islice(account.tasks(), 0, None, every):
        plan.looked_at += 1
        try:
            content = task.read()
            pixels = pixels_of(content, name=task.source, max_pixels=job.max_pixels)
            good.append(_Looked(task, pixels))
        except MediaError as error:
            _refuse(plan, task, str(error))
        if good and time.monotonic() > end:
            break
    pixels = sum(each.pixels for each in good)
    plan.pixels = round(pixels / max(1, plan.looked_at) * account.waiting)
    return good


def _refuse(plan: PicturesPlan, task: ImageTask, error: str) -> None:
    failure = {"path": task.source, "error": error}
    if failure not in plan.failures:
        plan.failed += 1
        plan.to_do -= 1
        plan.failures.append(failure)


class _Pictures:
    """A trial on some of the pictures; what fails is refused in the plan."""

    def __init__(self, plan: PicturesPlan, trial: Trial, a_unit: int) -> None:
        self._plan = plan
        self._trial = trial
        self._a_unit = a_unit
        self.forget()

    def forget(self) -> None:
        """Count from here on."""
        self.seconds = 0.0
        self.pixels = self.size = self.pictures = 0

    def do(self, looked: Sequence[_Looked]) -> float:
        """Do one unit for each worker; returns how long the longest of them took, in seconds."""
        units = [looked[at : at + self._a_unit] for at in range(0, len(looked), self._a_unit)]
        tasks = [tuple(_in_memory(each.task) for each in unit) for unit in units]
        done = self._trial.do(tasks)
        for unit, each in zip(units, done, strict=True):
            self.seconds += each.seconds
            for picture, result in zip(unit, each.result, strict=True):
                self._count(picture, result)
        return max(each.seconds for each in done)

    def _count(self, picture: _Looked, result: ImageResult) -> None:
        self.pixels += picture.pixels
        self.pictures += 1
        for written, output in zip(result.outputs, picture.task.outputs, strict=True):
            if written.error:
                error = written.error.replace(written.path, output.path)
                _refuse(self._plan, picture.task, error)
            elif not written.reused:
                self.size += written.size
                storage_for(written.path).remove(written.path)


def _measured(plan: PicturesPlan, looked: Sequence[_Looked], trial: Trial, *, a_unit: int) -> _Rate:
    """Do pictures from all over; the first ones warm up, and do not count where there are more."""
    most = min(len(looked), _ROUNDS * a_unit * trial.count)
    chosen = [looked[place] for place in np.linspace(0, len(looked) - 1, most).astype(int)]
    rounds = -(-most // (a_unit * trial.count))
    pictures = _Pictures(plan, trial, a_unit)
    cold = warm = pictures.do(chosen[::rounds])
    end = time.monotonic() + _SECONDS_OF_ROUNDS
    if cold < _SECONDS_OF_ROUNDS:
        pictures.forget()
        warm = pictures.do(chosen[::rounds])  # the same ones: how much longer it took at first
        if rounds > 1:
            pictures.forget()
    for number in range(1, rounds):
        pictures.do(chosen[number::rounds])
        if time.monotonic() > end:
            break
    plan.images_measured = pictures.pictures
    return _Rate(
        seconds_a_pixel=pictures.seconds / pictures.pixels,
        seconds_to_warm_up=trial.seconds_to_build + max(0.0, cold - warm),
        bytes_a_pixel=pictures.size / pictures.pixels,
    )


def _in_memory(task: ImageTask) -> ImageTask:
    """The same task, whose outputs are not written to where they belong."""
    outputs = (
        replace(output, path=f"{_IN_MEMORY}/{task.number}/{os.path.basename(output.path)}")  # noqa: PTH119
        for output in task.outputs
    )
    return replace(task, outputs=tuple(outputs))


def _add_times(plan: PicturesPlan, rate: _Rate, crew: Crew, listed: float) -> None:
    start = max(listed, crew.ray_seconds) + torch_seconds() + rate.seconds_to_warm_up
    busy = plan.pixels * rate.seconds_a_pixel / crew.at_once
    plan.workers, plan.threads_per_worker = crew.workers, crew.threads
    plan.seconds_to_start = round(plan.seconds_to_start + COMMAND_SECONDS + start, 1)
    plan.seconds = round(plan.seconds_to_start + busy, 1)
    plan.images_per_second = round(plan.to_do / busy, 2) if busy else 0.0
    plan.size = round(plan.pixels * rate.bytes_a_pixel)
    if not crew.is_here:
        plan.remarks.append(crew.elsewhere)
