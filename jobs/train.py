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
from jobs.training_plan import Base, TrainingPlan, build_network, describe, make_plan
from jobs.training_records import final_sheet
from jobs.training_specs import TrainGenerator, TrainStyle, TrainSuperResolution, TrainTexture
from nst_core import __version__
from nst_core.checkpoint import build_generator, read_info, save_state
from nst_core.conditional_norm import joined
from nst_core.errors import EnvironmentProblem, InputError, TrainingFailed
from nst_core.training import LOSS_NAMES, plain

if TYPE_CHECKING:
    import ray.train
    from torch import Tensor

_POLL_SECONDS = 1.0
_CHECKPOINTS_KEPT = 2
_WORKER_ENVIRONMENT = {
    # glibc gives large blocks back at once, and each page that it gets again costs a fault:
    # a tenth of the time of a training on CPUs.
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "MALLOC_ARENA_MAX": "1",
}


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
    """That did the last step."""
    run_dir: str
    photos: int
    """That were found, the unreadable ones included."""
    unreadable: list[dict[str, str]]
    """``path`` and ``error`` of each photo that was met and could not be read."""
    rollbacks: int
    """Times that the run went back to a checkpoint with a lower learning rate."""


def train(job: TrainGenerator, on_progress: OnProgress = ignore_progress) -> TrainingReport:
    """Train, or go on training, and write ``job.output``.

    Raises InputError, EnvironmentProblem or TrainingFailed.
    """
    plan = make_plan(job)
    _prepare_run_folder(job, plan)
    # Ray Train logs a warning a second without the dashboard's agent; it listens on loopback.
    with ray_session(job.address, dashboard=True), _progress_of(plan, on_progress):
        result = _fit(job, plan)
    failure = plan.run_folder.failure()
    if failure is not None:
        raise TrainingFailed(_stopped(failure))
    if result.checkpoint is None:
        raise TrainingFailed(f"Ray Train ended without a checkpoint in {plan.run_folder.path}")
    with result.checkpoint.as_directory() as folder:
        trained = read_trainer_state(Path(folder))["trained"]
    report = _report(job, plan)
    state, styles = trained, plan.info.styles
    training = describe(plan) | _sources(job) | {"losses": report.losses, "nst": __version__}
    if plan.base is not None:
        state = joined(build_generator(plan.info), plan.base.tensors, trained)
        styles = plan.base.styles + styles
        training = {**plan.base.training, "extensions": _extensions(plan.base, training)}
    save_state(job.output, state, replace(plan.info, training=training, styles=styles))
    _draw_sheet(plan, trained)
    return report


def _extensions(base: Base, training: dict[str, Any]) -> list[dict[str, Any]]:
    """How each of the styles came to the network that were added to it, the latest last."""
    earlier: list[dict[str, Any]] = base.training.get("extensions", [])
    return [*earlier, training]


def _draw_sheet(plan: TrainingPlan, trained: dict[str, Tensor]) -> None:
    network = build_network(plan)
    plain(network).load_state_dict(trained)
    final_sheet(plan, network).save(plan.run_folder.sheet)


def _sources(job: TrainGenerator) -> dict[str, str]:
    """Names of what was learnt from."""
    sources = {}
    if isinstance(job, TrainStyle):
        sources["style_image"] = ", ".join(path.name for path in job.style_images)
    if isinstance(job, TrainTexture):
        sources["texture_image"] = job.texture_image.name
    if isinstance(job, TrainStyle | TrainSuperResolution):
        names = (source.rstrip("/").rpartition("/")[-1] for source in job.content)
        sources["content"] = ", ".join(names)
    return sources


def _stopped(cause: str) -> str:
    return f"training stopped: {cause}; what was reached is kept, --resume goes on with it"


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
    folder.begin_session()
    folder.settings.write_text(settings)


def _drop(folder: RunFolder) -> None:
    """Remove what a run wrote, and nothing else that may lie in the folder."""
    for part in (folder.ray, folder.previews, folder.tensorboard):
        shutil.rmtree(part, ignore_errors=True)
    for file in folder.records():
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

    resources = _resources_of_each_worker(job, plan, ray.cluster_resources())
    least, most = job.workers
    trainer = TorchTrainer(
        training_loop,
        train_loop_config={"plan": replace(plan, threads=int(resources["CPU"]))},
        scaling_config=ScalingConfig(
            num_workers=job.workers if least < most else most,
            use_gpu="GPU" in resources,
            resources_per_worker=resources,
        ),
        run_config=RunConfig(
            name=plan.run_folder.ray.name,
            storage_path=str(plan.run_folder.path),
            checkpoint_config=CheckpointConfig(num_to_keep=_CHECKPOINTS_KEPT),
            failure_config=FailureConfig(max_failures=-1),  # training_loop knows when to stop
            worker_runtime_env={"env_vars": _WORKER_ENVIRONMENT},
        ),
    )
    try:
        with _ctrl_c_raises():
            return trainer.fit()
    except (TrainingFailedError, RayError) as error:
        cause = _root_cause(error)
        raise TrainingFailed(_stopped(cause)) from error


def _resources_of_each_worker(
    job: TrainGenerator, plan: TrainingPlan, total: dict[str, float]
) -> dict[str, float]:
    """What Ray gives to each worker. Raises EnvironmentProblem where that is not to be had."""
    least, most = job.workers
    gpus, cpus = total.get("GPU", 0), total.get("CPU", 0)
    if job.device == "cuda" and gpus < least:
        raise EnvironmentProblem(
            f"--device cuda: {least} workers need as many GPUs, there are {gpus:g}"
        )
    use_gpu = job.device != "cpu" and gpus >= least
    at_once = min(most, max(least, int(gpus if use_gpu else cpus)))
    threads = plan.threads or max(1, int(cpus) // at_once)
    if least * threads > cpus:
        raise EnvironmentProblem(
            f"{least} workers of {threads} CPUs need {least * threads}, "
            f"there are {cpus:g}; lower --workers or --cpus-per-worker"
        )
    return {"CPU": threads, **({"GPU": 1} if use_gpu else {})}


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
        losses={name: lines[-1][name] for name in LOSS_NAMES},
        resumed_from_step=first_step,
        workers=lines[-1]["workers"],
        run_dir=str(plan.run_folder.path),
        photos=len(plan.photos),
        unreadable=[
            {"path": path, "error": error} for path, error in plan.run_folder.unreadable().items()
        ],
        rollbacks=sum(e["event"] == "rollback" for e in plan.run_folder.read_events()),
    )
