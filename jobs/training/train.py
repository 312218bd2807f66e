"""Training a generator: check everything here, train on Ray Train, write the checkpoint."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from cluster.connection import LOCAL, ray_session
from jobs.specs.applying import check_checkpoint_name
from jobs.specs.training import TrainGenerator
from jobs.training.calibration import eight_bit_of, read_photos
from jobs.training.estimate import StepTimes, estimated_seconds_a_step
from jobs.training.kinds import make_plan
from jobs.training.on_ray import machines, resources_of_each_worker, train_to_the_end
from jobs.training.plan import TrainingPlan, build_network, plan_settings
from jobs.training.records import final_sheet
from jobs.training.run_folder import RunFolder
from jobs.training.states import State, adopt_newest_state, checkpoint_of
from nst_core.checkpoints.checkpoint import read_state, save_state
from nst_core.checkpoints.info import read_info
from nst_core.engines.choice import choose_device
from nst_core.errors import EnvironmentProblem, InputError
from nst_core.objectives.settings import ObjectiveSettings
from nst_core.training.settings import TrainingSettings
from nst_core.training.trainer import LOSS_NAMES
from nst_core.utf8_paths import is_utf8
from nst_core.wording import counted
from pipeline.storage.shared_files import shared_files
from pipeline.work.progress import OnProgress, Progress, ignore_progress, stage

_log = logging.getLogger(__name__)

_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class TrainingReport:
    """What a training run came to; the fields of the command's JSON."""

    checkpoint: str
    steps: int
    images_per_second: float
    losses: dict[str, float]
    """Losses of the last step."""
    resumed_from_step: int
    workers: int
    """That did the last step."""
    run_dir: str
    photos: int
    """That were found, the unreadable ones included."""
    unreadable: list[dict[str, str]]
    """``path`` and ``error`` of each photo that was met and could not be read."""
    rollbacks: int
    """Times that the run went back to a checkpoint with a lower learning rate."""
    eight_bit: dict[str, dict[str, float]]
    """How close each style in 8 bits comes to float32, in dB, where it was calibrated."""


def train(job: TrainGenerator, on_progress: OnProgress = ignore_progress) -> TrainingReport:
    """Train, or go on training, and write ``job.output``.

    Raises InputError, EnvironmentProblem or TrainingFailed.
    """
    plan = checked_plan(job, on_progress)
    with plan.run_folder.reserved():
        state = adopt_newest_state(plan.run_folder) if job.resume else None
        first_step = state["steps_done"] if state else 0
        if job.resume and state is None:
            _log.warning("no checkpoint was written in %s: from the start", plan.run_folder.path)
        if state is None or first_step < plan.settings.steps:
            times = _tell_how_long(plan, first_step, on_progress)
            state = _train(plan, first_step, times, on_progress)
        report = _report(plan, first_step)
        _save(plan, report, state)
        if plan.calibrates:
            told = {photo["path"] for photo in report.unreadable}
            report = replace(report, eight_bit=_calibrate(plan, told, on_progress))
    return report


def checked_plan(job: TrainGenerator, on_progress: OnProgress = ignore_progress) -> TrainingPlan:
    """Read and check all that a training needs; nothing is written. Raises InputError."""
    _check_places(job, RunFolder(job.run_folder))
    plan = make_plan(job, on_progress)
    _check_settings(job, plan)
    return plan


def _tell_how_long(plan: TrainingPlan, first_step: int, on_progress: OnProgress) -> StepTimes:
    """Tell before anything starts; on a cluster and on GPUs the first steps will."""
    if plan.job.address != LOCAL or choose_device(plan.job.device) != "cpu":
        return StepTimes(None)
    told = estimated_seconds_a_step(plan)
    steps = plan.settings.steps
    left = None if told is None else told * (steps - first_step)
    news = "" if left else "other work is at the processors: the time left is told in a few steps"
    on_progress(Progress(first_step, steps, "steps", seconds_left=left, estimates=True, news=news))
    return StepTimes(told)


def _train(plan: TrainingPlan, first_step: int, times: StepTimes, on_progress: OnProgress) -> State:
    job, starting = plan.job, stage("starting workers", "steps")
    if job.address == LOCAL:
        on_progress(starting)  # Ray itself takes a while, too
    with ray_session(job.address):
        resources = resources_of_each_worker(job, machines())
        if job.address != LOCAL:
            on_progress(starting)
        _prepare_run_folder(plan, first_step)
        with _progress_of(plan, first_step, times, on_progress), _seen_by_all(plan) as plan:
            return train_to_the_end(plan, resources, first_step)


@contextmanager
def _seen_by_all(plan: TrainingPlan) -> Iterator[TrainingPlan]:
    """Let workers on other machines find out whether they read and write the same folders."""
    if plan.job.address == LOCAL:
        yield plan
        return
    with shared_files(plan.run_folder.path, plan.photos[:1]) as files:
        yield replace(plan, files=files)


def _save(plan: TrainingPlan, report: TrainingReport, trainer: State) -> None:
    save_state(plan.job.output, *checkpoint_of(plan, trainer, report.losses))
    plan.run_folder.forget_so_far()
    network = build_network(plan)
    network.unwrapped.load_state_dict(trainer["trained"])
    final_sheet(plan, network).save(plan.run_folder.sheet)


def _calibrate(
    plan: TrainingPlan, told: Container[str], on_progress: OnProgress
) -> dict[str, dict[str, float]]:
    """Calibrate the new styles for 8 bits, and add that to the checkpoint.

    The checkpoint is whole without it: whatever is in the way is a warning. ``told`` are photos
    that cannot be read and that the report names.
    """
    output = plan.job.output
    state, info = read_state(output)
    new = plan.info.styles if info.styles else ("",)
    try:
        photos = read_photos(plan.photos, told=told)
        news = (
            f"{output} is written; now it is calibrated for 8 bits, on "
            f"{counted(len(photos), 'photographs')} (--no-calibrate leaves that out)"
        )
        on_progress(Progress(0, len(photos) * len(new), "photographs", news=news))
        found = eight_bit_of(output, state, info, new, photos, on_progress)
    except (InputError, EnvironmentProblem) as error:
        _log.warning("not calibrated for 8 bits: %s", error)
        return {}
    known = plan.base.eight_bit if plan.base else {}
    save_state(output, state, replace(info, eight_bit={**known, **found}))
    return {
        name or output.stem: {
            "mean_decibels": one.mean_decibels,
            "least_decibels": one.least_decibels,
        }
        for name, one in found.items()
    }


def _check_places(job: TrainGenerator, folder: RunFolder) -> None:
    """Refuse to lose a run or a checkpoint, before anything is read. Raises InputError."""
    check_checkpoint_name(job.output)
    if job.output.is_dir():
        raise InputError(f"-o {job.output}: a folder; name the checkpoint file to write")
    if not is_utf8(str(folder.path)):
        raise InputError(
            f"{folder.path}: Ray Train writes into folders whose names are UTF-8 only; name such a "
            "one with --run-dir"
        )
    if job.resume:
        if not folder.started:
            raise InputError(f"--resume: no run in {folder.path}; leave --resume out to start one")
        if job.output.exists() and not job.overwrite:
            read_info(job.output)  # a checkpoint of ours is replaced, anything else refused
        return
    if job.output.exists() and not job.overwrite:
        raise InputError(f"{job.output} exists; --overwrite replaces it")
    if folder.started and not job.overwrite:
        raise InputError(
            f"a run is in {folder.path}; --resume goes on with it, --overwrite drops it"
        )


def _check_settings(job: TrainGenerator, plan: TrainingPlan) -> None:
    """Refuse to mix two runs. Raises InputError."""
    if not job.resume:
        return
    folder = plan.run_folder
    asked = json.loads(json.dumps(plan_settings(plan)))
    if _decisive(_completed(folder.read_settings())) != _decisive(asked):
        raise InputError(
            f"--resume: the run in {folder.path} has other settings (see its settings.json); "
            "repeat them, or train anew with --overwrite"
        )


def _completed(settings: dict[str, Any]) -> dict[str, Any]:
    """Add the defaults of what an earlier version of this program did not know yet."""
    defaults: dict[str, Any] = {"training": asdict(TrainingSettings())}
    if "content_weight" in settings.get("objective", {}):
        defaults["objective"] = asdict(ObjectiveSettings())
    plain_defaults = json.loads(json.dumps(defaults))
    return settings | {
        name: plain_defaults[name] | settings.get(name, {}) for name in plain_defaults
    }


def _decisive(settings: dict[str, Any]) -> dict[str, Any]:
    """Leave out how many steps are wanted, and how the samples of a step are dealt out.

    The number of samples in a step stays the same.
    """
    training = dict(settings.get("training", {}))
    for name in ("steps", "batch_size", "accumulate"):
        training.pop(name, None)
    return settings | {"training": training}


def _prepare_run_folder(plan: TrainingPlan, first_step: int) -> None:
    folder = plan.run_folder
    if not plan.job.resume and folder.started:
        _drop(folder)
    folder.forget_from(first_step)
    folder.forget_failure()
    folder.forget_unfinished()
    folder.write_options(plan.job.options)
    folder.write_settings(plan_settings(plan))


def _drop(folder: RunFolder) -> None:
    """Remove what a run wrote, and nothing else that may lie in the folder."""
    for part in (folder.ray, folder.checkpoint, folder.previews, folder.tensorboard):
        shutil.rmtree(part, ignore_errors=True)
    for file in folder.records():
        file.unlink(missing_ok=True)


@contextmanager
def _progress_of(
    plan: TrainingPlan, first_step: int, times: StepTimes, on_progress: OnProgress
) -> Iterator[None]:
    """Tell of every new line in the records: the workers may be on other machines."""
    stop = threading.Event()
    news = _News(plan.run_folder)

    def watch() -> None:
        told = first_step - 1
        while not stop.wait(_POLL_SECONDS):
            news.tell()
            line = plan.run_folder.last_metrics()
            if line and line["step"] != told:
                told = line["step"]
                if told != first_step:  # which warms up
                    times.add(line["seconds"])
                on_progress(_progress(line, plan.settings.steps, times))

    thread = threading.Thread(target=watch, name="training-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class _News:
    """Logs the events of a run that are worth a line, each once: rollbacks, later starts."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._known = {event["time"] for event in folder.read_events()}
        self._workers = 0
        """Workers of the latest start; 0 before the first."""

    def tell(self) -> None:
        for event in self._folder.read_events():
            if event["time"] in self._known:
                continue
            self._known.add(event["time"])
            if event["event"] == "rollback":
                _log.warning(
                    "%s: back to step %d, with the learning rate %.3g",
                    *(event["why"], event["step"], event["rate"]),
                )
                continue
            workers = event["workers"]
            if self._workers:
                why = "more workers are there" if workers > self._workers else "a worker was lost"
                _log.warning(
                    "%s; going on from step %d with %s",
                    *(why, event["step"], counted(workers, "workers")),
                )
            self._workers = workers


def _progress(line: dict[str, Any], steps: int, times: StepTimes) -> Progress:
    done = line["step"] + 1
    note = (
        f"content {line['content']:.4g} style {line['style']:.4g} total {line['total']:.4g}, "
        f"{line['images'] / max(line['seconds'], 1e-9):.1f} images/s"
    )
    news = times.correction(steps - done)
    each = times.seconds_a_step
    left = None if each is None else each * (steps - done)
    return Progress(done, steps, "steps", note, seconds_left=left, estimates=True, news=news)


def _report(plan: TrainingPlan, first_step: int) -> TrainingReport:
    lines = plan.run_folder.read_metrics()
    timed = [line for line in lines if line["step"] > first_step]  # the first step warms up
    seconds = sum(line["seconds"] for line in timed)
    images = sum(line["images"] for line in timed)
    return TrainingReport(
        checkpoint=str(plan.job.output),
        steps=len(lines),
        images_per_second=round(images / seconds, 3) if seconds else 0.0,
        losses={name: lines[-1][name] for name in LOSS_NAMES},
        resumed_from_step=first_step,
        workers=lines[-1]["workers"],
        run_dir=str(plan.run_folder.path),
        photos=len(plan.photos),
        unreadable=[
            {"path": path, "error": error} for path, error in plan.run_folder.unreadable().items()
        ],
        rollbacks=sum(e["event"] == "rollback" for e in plan.run_folder.read_events()),
        eight_bit={},
    )
