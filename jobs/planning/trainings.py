"""The plan of `nst train`: all is read and checked as in a run, and a few steps are really done."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from statistics import median

import torch

from cluster.connection import LOCAL
from jobs.planning.crew import COMMAND_SECONDS, torch_seconds
from jobs.planning.report import TrainingForecast
from jobs.planning.room import disks_for, memory_for, memory_now
from jobs.specs.training import TrainGenerator
from jobs.training.calibration import read_photos
from jobs.training.estimate import of_first_style
from jobs.training.loop import keep_freed_memory
from jobs.training.on_ray import device_of_worker, resources_of_each_worker
from jobs.training.plan import TrainingPlan, build_network, build_trainer
from jobs.training.records import final_sheet
from jobs.training.states import newest_state
from jobs.training.train import checked_plan
from nst_core.checkpoints.checkpoint import build_generator
from nst_core.engines.calibration import calibrate, photos_computed
from nst_core.engines.choice import choose_device
from nst_core.processors import usable_processors
from nst_core.training.photos import Batch, StepSampler, batches_of_steps
from nst_core.training.trainer import GeneratorTrainer
from pipeline.work.progress import OnProgress, ignore_progress, stage

_MOST_STEPS, _SECONDS_OF_STEPS = 20, 6.0
"""Steps that are measured, and for how long; one at least."""
_RAY_TRAIN_BY_TORCH = 4.0
"""Start of an embedded Ray, of Ray Train and of a worker's process, by the import of torch."""
_SECONDS_A_CHECKPOINT = 0.4
"""Until Ray Train has taken a checkpoint, and the worker goes on."""
_SECONDS_BETWEEN_SHEETS = 120.0
_STATES_KEPT = 3
_BYTES_A_STEP = 800
"""Lines of metrics, and TensorBoard's."""
_CALIBRATED_FOR_TRIAL = 2


def plan_training(
    job: TrainGenerator, on_progress: OnProgress = ignore_progress
) -> TrainingForecast:
    """Find out what `nst train` would do; nothing is written but caches.

    Raises InputError, EnvironmentProblem or TrainingFailed where it could not start.
    """
    torch_seconds()
    began = time.monotonic()
    plan = checked_plan(job, on_progress)
    plan.run_folder.look()
    _, state = newest_state(plan.run_folder) if job.resume else (None, None)
    checked = time.monotonic() - began
    forecast = TrainingForecast(
        checkpoint=str(job.output),
        run_dir=str(plan.run_folder.path),
        steps=plan.settings.steps,
        first_step=int(state["steps_done"]) if state else 0,
        photos=len(plan.photos),
        workers=job.workers[1],
    )
    device = _device(job, forecast)
    on_progress(stage("measuring a few steps", "steps"))
    steps = _measured(plan, device, forecast.first_step)
    on_progress(stage("measuring what comes beside the steps", "steps"))
    beside = _beside(plan, forecast.steps - forecast.first_step)
    _add_times(forecast, plan, steps, beside, checked)
    forecast.disks = disks_for([(plan.run_folder.path, forecast.run_dir_size)])
    forecast.remark_room()
    return forecast


def _device(job: TrainGenerator, forecast: TrainingForecast) -> torch.device:
    """Find out what each worker computes on. Raises EnvironmentProblem where they find no room."""
    if job.address != LOCAL:
        forecast.remarks.append("steps are timed on this machine; the cluster's are not known")
        forecast.threads_per_worker = job.cpus_per_worker or 1
        device = torch.device(choose_device("auto"))
    else:
        gpus = torch.cuda.device_count() if job.device not in ("cpu", "mps", "xpu") else 0
        node = {"CPU": float(usable_processors()), "GPU": float(gpus)}
        resources = resources_of_each_worker(job, [node])
        forecast.threads_per_worker = int(resources["CPU"])
        device = device_of_worker(job, torch.device("cuda" if "GPU" in resources else "cpu"))
    forecast.engine = f"torch {device.type}"
    return device


@dataclass(frozen=True)
class _Steps:
    """What was measured on a few steps of one worker."""

    seconds: float
    """Seconds of a step, its crops read and all."""
    build_seconds: float
    """From the plan to a trainer, and its first step, which warms up."""
    count: int
    state_bytes: int
    worker_bytes: int


def _measured(plan: TrainingPlan, device: torch.device, first_step: int) -> _Steps:
    """Do a few steps as the run's first worker would. Raises TrainingFailed."""
    began = time.monotonic()
    trainer = build_trainer(of_first_style(plan), device)
    sampler = StepSampler(
        first_step=first_step,
        last_step=max(plan.settings.steps, first_step + 2),
        samples_per_step=plan.samples_per_step,
        batch_size=plan.settings.batch_size,
        world_size=plan.job.workers[1],
    )
    batches = batches_of_steps(plan.targets(), sampler)
    trainer.step(next(batches))
    built = time.monotonic() - began
    keep_freed_memory()  # as workers do
    early = _timed(trainer, batches)
    seconds, share = median(early), plan.settings.stability_from
    if plan.settings.stability_weight and share:  # later steps are of more work
        trainer.steps_done = plan.settings.steps - 1
        seconds = share * seconds + (1 - share) * median(_timed(trainer, batches))
    content = io.BytesIO()
    torch.save(trainer.state_dict(), content)
    return _Steps(seconds, built, len(early), content.tell(), memory_now())


def _timed(trainer: GeneratorTrainer, batches: Iterator[list[Batch]]) -> list[float]:
    """Do steps for a while; returns what each took, in seconds."""
    times = [time.monotonic()]
    for batch in islice(batches, _MOST_STEPS):
        trainer.step(batch)
        times.append(time.monotonic())
        if times[-1] - times[0] > _SECONDS_OF_STEPS:
            break
    return [end - start for start, end in pairwise(times)]


@dataclass(frozen=True)
class _Beside:
    """What a run does beside its steps, in seconds and bytes."""

    sheet_seconds: float
    sheet_bytes: int
    checkpoints: int
    calibration_seconds: float


def _beside(plan: TrainingPlan, steps: int) -> _Beside:
    """Draw a sheet, and calibrate on two photographs where the run would on many."""
    began = time.monotonic()
    content = io.BytesIO()
    final_sheet(plan, build_network(plan)).save(content, "PNG")
    sheet = time.monotonic() - began
    return _Beside(
        sheet_seconds=sheet,
        sheet_bytes=content.tell(),
        checkpoints=-(-steps // plan.job.checkpoint_every),
        calibration_seconds=_calibration_seconds(plan) if plan.calibrates else 0.0,
    )


def _calibration_seconds(plan: TrainingPlan) -> float:
    began = time.monotonic()
    photos = read_photos(plan.photos)
    reading = time.monotonic() - began
    if len(photos) < _CALIBRATED_FOR_TRIAL:
        return reading  # the run warns that there are too few
    times = [time.monotonic()]
    network = build_generator(replace(plan.info, styles=(), strokes=()))
    calibrate([network], photos[:_CALIBRATED_FOR_TRIAL], lambda: times.append(time.monotonic()))
    first, *others = (end - start for start, end in pairwise(times))
    singly = len(photos) - -(-len(photos) // 3)  # by the network alone; the others in 8 bits too
    rest = photos_computed(len(photos)) - singly
    return reading + max(1, len(plan.info.styles)) * (singly * first + rest * median(others))


def _add_times(
    forecast: TrainingForecast, plan: TrainingPlan, steps: _Steps, beside: _Beside, checked: float
) -> None:
    """Sum up. Workers on CPUs share them: two take as long for a step of twice the pictures."""
    workers = plan.job.workers[1]
    shared = workers if forecast.engine.endswith("cpu") and plan.job.address == LOCAL else 1
    forecast.seconds_a_step = round(steps.seconds * shared, 4)
    forecast.images_per_second = round(plan.samples_per_step / forecast.seconds_a_step, 2)
    forecast.steps_measured = steps.count
    to_do = forecast.steps - forecast.first_step
    training = to_do * forecast.seconds_a_step
    between = training / _SECONDS_BETWEEN_SHEETS
    sheets = max(beside.checkpoints, int(between)) + 1
    training += beside.checkpoints * _SECONDS_A_CHECKPOINT + sheets * beside.sheet_seconds
    imports = torch_seconds() * (1 + _RAY_TRAIN_BY_TORCH)
    building = steps.build_seconds * (1 + shared)  # in the command, to estimate, and in workers
    start = COMMAND_SECONDS + imports + checked + building
    end = beside.sheet_seconds + beside.calibration_seconds
    forecast.seconds_to_start, forecast.seconds_to_end = round(start, 1), round(end, 1)
    forecast.seconds = round(start + training + end, 1)
    forecast.memory = memory_for(steps.worker_bytes, workers, driver=steps.worker_bytes)
    forecast.run_dir_size = (
        _STATES_KEPT * steps.state_bytes
        + 2 * sheets * beside.sheet_bytes  # TensorBoard has them too
        + to_do * _BYTES_A_STEP
    )
