"""Training a generator: check everything here, train on Ray Train, write the checkpoint."""

from __future__ import annotations

import json
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.connection import ray_session
from jobs.progress import OnProgress, Progress, ignore_progress
from jobs.run_folder import RunFolder
from jobs.training_loop import read_trainer_state, training_loop
from jobs.training_plan import TrainingPlan, describe, make_plan
from jobs.training_specs import TrainGenerator
from nst_core import __version__
from nst_core.checkpoint import CheckpointInfo, build_generator, read_info, save_generator
from nst_core.errors import EnvironmentProblem, InputError, TrainingFailed

if TYPE_CHECKING:
    import ray.train

_LOSSES = ("content", "style", "tv", "total")
_POLL_SECONDS = 1.0
_WORKER_FAILURES_ALLOWED = 2
_CHECKPOINTS_KEPT = 2


@dataclass(frozen=True)
class TrainingReport:
    """What a training run came to; the fields of the command's JSON."""

    checkpoint: str
    steps: int
    images_per_second: float
    losses: dict[str, float]
    """Of the last step."""
    resumed_from_step: int
    workers: int
    run_dir: str


def train(job: TrainGenerator, on_progress: OnProgress = ignore_progress) -> TrainingReport:
    """Train, or go on training, and write ``job.output``.

    Raises InputError, EnvironmentProblem or TrainingFailed.
    """
    plan = make_plan(job)
    _prepare_run_folder(job, plan)
    # Ray Train logs a warning a second without the dashboard's agent; it listens on loopback.
    with ray_session(job.address, dashboard=True), _progress_of(plan, on_progress):
        result = _fit(job, plan)
    if result.checkpoint is None:
        raise TrainingFailed(f"Ray Train ended without a checkpoint in {plan.run_folder.path}")
    generator = build_generator(plan.info)
    with result.checkpoint.as_directory() as folder:
        generator.load_state_dict(read_trainer_state(Path(folder))["generator"])
    report = _report(job, plan)
    training = (
        describe(plan)
        | _sources(job)
        | {
            "losses": report.losses,
            "nst": __version__,
        }
    )
    info = CheckpointInfo(plan.info.architecture, plan.info.arguments, training)
    save_generator(job.output, generator, info)
    return report


def _sources(job: TrainGenerator) -> dict[str, str]:
    """Names of what was learnt from."""
    names = ("style_image", "texture_image", "content")
    return {name: getattr(job, name).name for name in names if hasattr(job, name)}


def _prepare_run_folder(job: TrainGenerator, plan: TrainingPlan) -> None:
    folder = plan.run_folder
    settings = json.dumps(describe(plan), indent=1)
    if job.resume:
        if not folder.started:
            raise InputError(f"--resume: no run in {folder.path}; leave --resume out to start one")
        if json.loads(folder.settings.read_text()) != json.loads(settings):
            raise InputError(
                f"--resume: the run in {folder.path} has other settings (see its settings.json); "
                "repeat them, or train anew with --overwrite"
            )
        if job.output.exists() and not job.overwrite:
            read_info(job.output)  # a checkpoint of ours is replaced, anything else refused
    else:
        if job.output.exists() and not job.overwrite:
            raise InputError(f"{job.output} exists; --overwrite replaces it")
        if folder.started:
            if not job.overwrite:
                raise InputError(
                    f"a run is in {folder.path}; --resume goes on with it, --overwrite drops it"
                )
            _drop(folder)
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.session.unlink(missing_ok=True)
    folder.settings.write_text(settings)


def _drop(folder: RunFolder) -> None:
    """Remove what a run wrote, and nothing else that may lie in the folder."""
    for part in (folder.ray, folder.previews, folder.tensorboard):
        shutil.rmtree(part, ignore_errors=True)
    for file in (folder.metrics, folder.settings, folder.session):
        file.unlink(missing_ok=True)


def _fit(job: TrainGenerator, plan: TrainingPlan) -> ray.train.Result:
    import ray
    from ray.exceptions import RayError
    from ray.train import (
        CheckpointConfig,
        FailureConfig,
        RunConfig,
        ScalingConfig,
        TrainingFailedError,
    )
    from ray.train.torch import TorchTrainer

    gpus = ray.cluster_resources().get("GPU", 0)
    if job.device == "cuda" and gpus < job.workers:
        raise EnvironmentProblem(
            f"--device cuda: {job.workers} workers need as many GPUs, there are {gpus:g}"
        )
    use_gpu = job.device != "cpu" and gpus >= job.workers
    cpus = ray.cluster_resources().get("CPU", 0)
    threads = plan.threads or max(1, int(cpus) // job.workers)
    if job.workers * threads > cpus:
        raise EnvironmentProblem(
            f"{job.workers} workers of {threads} CPUs need {job.workers * threads}, "
            f"there are {cpus:g}; lower --workers or --cpus-per-worker"
        )
    trainer = TorchTrainer(
        training_loop,
        train_loop_config={"plan": replace(plan, threads=threads)},
        scaling_config=ScalingConfig(
            num_workers=job.workers,
            use_gpu=use_gpu,
            resources_per_worker={"CPU": threads, **({"GPU": 1} if use_gpu else {})},
        ),
        run_config=RunConfig(
            name=plan.run_folder.ray.name,
            storage_path=str(plan.run_folder.path),
            checkpoint_config=CheckpointConfig(num_to_keep=_CHECKPOINTS_KEPT),
            failure_config=FailureConfig(max_failures=_WORKER_FAILURES_ALLOWED),
        ),
    )
    try:
        with _ctrl_c_raises():
            return trainer.fit()
    except (TrainingFailedError, RayError) as error:
        cause = _root_cause(error)
        raise TrainingFailed(
            f"training stopped: {cause}; what was reached is kept, --resume goes on with it"
        ) from error


@contextmanager
def _ctrl_c_raises() -> Iterator[None]:
    """Turn Ray Train's way to stop at Ctrl-C (its own handler, which exits) into the usual one."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def _root_cause(error: BaseException) -> str:
    """Ray wraps the worker's error in a traceback as text: its last line says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"^[\w.]+: ", "", lines[-1]) if lines else type(error).__name__


@contextmanager
def _progress_of(plan: TrainingPlan, on_progress: OnProgress) -> Iterator[None]:
    """Tell of every new line in the metrics: the workers may be on other machines."""
    stop = threading.Event()

    def watch() -> None:
        told = -1
        while not stop.wait(_POLL_SECONDS):
            line = plan.run_folder.last_metrics()
            if line and line["step"] != told:
                told = line["step"]
                on_progress(_progress(line, plan.settings.steps))

    thread = threading.Thread(target=watch, name="training-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _progress(line: dict[str, Any], steps: int) -> Progress:
    note = (
        f"content {line['content']:.3f} style {line['style']:.4f} total {line['total']:.3f}, "
        f"{line['images'] / max(line['seconds'], 1e-9):.1f} images/s"
    )
    return Progress(line["step"] + 1, steps, "steps", note)


def _report(job: TrainGenerator, plan: TrainingPlan) -> TrainingReport:
    lines = plan.run_folder.read_metrics()
    first_step = json.loads(plan.run_folder.session.read_text())["first_step"]
    timed = [line for line in lines if line["step"] > first_step]  # the first step warms up
    seconds = sum(line["seconds"] for line in timed)
    images = sum(line["images"] for line in timed)
    return TrainingReport(
        checkpoint=str(job.output),
        steps=len(lines),
        images_per_second=round(images / seconds, 3) if seconds else 0.0,
        losses={name: lines[-1][name] for name in _LOSSES},
        resumed_from_step=first_step,
        workers=job.workers,
        run_dir=str(plan.run_folder.path),
    )
