"""What every Ray Train worker runs: read pictures, step, record, keep checkpoints."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from jobs.training_plan import TrainingPlan, build_trainer, training_pictures
from jobs.training_records import TrainingRecords
from nst_core.errors import NstError, TrainingDiverged, TrainingFailed
from nst_core.training import GeneratorTrainer
from nst_core.training_photos import StepSampler, batches_of_steps

if TYPE_CHECKING:
    from ray.train import Checkpoint

CHECKPOINT_FILE = "trainer.pt"

_ROLLBACKS_ALLOWED = 5
_RATE_AFTER_ROLLBACK = 0.5
_STARTS_ALLOWED = 5
"""Of worker groups in a row from the same checkpoint."""


@dataclass(frozen=True)
class Worker:
    """One of the processes that train together."""

    rank: int
    world_size: int
    device: torch.device


def training_loop(config: dict[str, Any]) -> None:
    """Entry point for Ray Train; ``config["plan"]`` is the TrainingPlan.

    Ray Train begins it anew, on all workers, whenever one of them is lost or fails. What would
    only fail again is written down instead: all of them return, and the driver tells of it.
    """
    import ray.train
    import ray.train.torch

    plan: TrainingPlan = config["plan"]
    context = ray.train.get_context()
    device = ray.train.torch.get_device()
    worker = Worker(context.get_world_rank(), context.get_world_size(), device)
    if device.type == "cpu" and plan.threads is not None:
        torch.set_num_threads(plan.threads)
    state = _read_checkpoint(ray.train.get_checkpoint())
    if not _may_start(plan, worker, state):
        return
    try:
        _train(plan, worker, state)
    except Exception as error:
        is_final = isinstance(error, NstError | torch.OutOfMemoryError)
        plan.run_folder.note_error(_words(error), is_final=is_final)
        if not isinstance(error, TrainingFailed):  # which all workers come to together
            raise


def _may_start(plan: TrainingPlan, worker: Worker, state: dict[str, Any] | None) -> bool:
    """Let worker 0 decide for all of them whether another try makes sense."""
    verdict = torch.ones((), device=worker.device)
    if worker.rank == 0:
        starts = plan.run_folder.note_start(state["steps_done"] if state else 0)
        if starts > _STARTS_ALLOWED:
            plan.run_folder.give_up(f"{_STARTS_ALLOWED} starts in a row came to no checkpoint")
        verdict *= plan.run_folder.failure() is None
    if worker.world_size > 1:
        torch.distributed.broadcast(verdict, src=0)
    return bool(verdict)


def _words(error: Exception) -> str:
    if isinstance(error, torch.OutOfMemoryError):
        return (
            f"out of memory ({str(error).splitlines()[0]}); try half the --batch-size with "
            "--accumulate 2, or a smaller --image-size"
        )
    return str(error) if isinstance(error, NstError) else f"{type(error).__name__}: {error}"


def _train(plan: TrainingPlan, worker: Worker, state: dict[str, Any] | None) -> None:
    import ray.train.torch

    trainer = build_trainer(plan, worker.device, world_size=worker.world_size)
    if state is not None:
        trainer.load_state_dict(state)
    if worker.world_size > 1:
        trainer.data_parallel(ray.train.torch.prepare_model)
    records = TrainingRecords(plan, worker.world_size) if worker.rank == 0 else None
    if records:
        records.begin(trainer.steps_done)
    good = copy.deepcopy(trainer.state_dict())
    rollbacks = 0
    while trainer.steps_done < plan.settings.steps:
        before = good["steps_done"]
        try:
            for state in _steps_to_checkpoints(plan, trainer, records, worker):
                good = copy.deepcopy(state)
        except TrainingDiverged as error:
            rollbacks = 1 if good["steps_done"] > before else rollbacks + 1
            if rollbacks > _ROLLBACKS_ALLOWED:
                raise TrainingFailed(
                    f"{error}; {_ROLLBACKS_ALLOWED} times a lower learning rate did not help: "
                    "try --clip-norm 1, a lower --style-weight or another --learning-rate"
                ) from error
            good["rate_factor"] = trainer.rate_factor * _RATE_AFTER_ROLLBACK
            trainer.load_state_dict(copy.deepcopy(good))
            if records:
                records.rolled_back(str(error), trainer)


def _steps_to_checkpoints(
    plan: TrainingPlan, trainer: GeneratorTrainer, records: TrainingRecords | None, worker: Worker
) -> Iterator[dict[str, Any]]:
    """Train to the end; yield the trainer's state with each checkpoint."""
    sampler = StepSampler(
        first_step=trainer.steps_done,
        last_step=plan.settings.steps,
        samples_per_step=plan.samples_per_step,
        batch_size=plan.settings.batch_size,
        rank=worker.rank,
        world_size=worker.world_size,
    )
    processes = _loader_processes(trainer.device) if plan.photos else 0
    unreadable: dict[str, str] = {}
    for batches in batches_of_steps(training_pictures(plan), sampler, processes=processes):
        rate = trainer.learning_rate
        losses = trainer.step(batches)
        for batch in batches:
            new = {p: error for p, error in batch.unreadable.items() if p not in unreadable}
            unreadable |= new
            plan.run_folder.note_unreadable(worker.rank, new)
        if records:
            records.step(trainer.steps_done - 1, losses, rate)
        done = trainer.steps_done
        if done % plan.checkpoint_every == 0 or done == plan.settings.steps:
            if records:
                records.preview(done, trainer.trained)
            state = trainer.state_dict()
            _report(state, keep=records is not None)
            yield state


def _loader_processes(device: torch.device) -> int:
    """A GPU waits for crops unless others cut them; on a CPU they would fight for its cores."""
    return min(8, os.cpu_count() or 1) if device.type == "cuda" else 0


def _report(state: dict[str, Any], *, keep: bool) -> None:
    import ray.train

    metrics = {"steps_done": state["steps_done"]}
    if not keep:
        ray.train.report(metrics)
        return
    with tempfile.TemporaryDirectory() as folder:
        torch.save(state, Path(folder) / CHECKPOINT_FILE)
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def _read_checkpoint(checkpoint: Checkpoint | None) -> dict[str, Any] | None:
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        return read_trainer_state(Path(folder))


def read_trainer_state(folder: Path) -> dict[str, Any]:
    """Read what GeneratorTrainer.state_dict returned from a checkpoint folder."""
    state: dict[str, Any] = torch.load(
        folder / CHECKPOINT_FILE, map_location="cpu", weights_only=True
    )
    return state
