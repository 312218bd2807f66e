"""What every Ray Train worker runs: read pictures, step, record, keep checkpoints."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from jobs.training_plan import TrainingPlan, build_trainer, training_pictures
from jobs.training_records import TrainingRecords
from nst_core.objective import Losses
from nst_core.training import GeneratorTrainer
from nst_core.training_photos import StepSampler, picture_loader

if TYPE_CHECKING:
    from ray.train import Checkpoint

CHECKPOINT_FILE = "trainer.pt"


def training_loop(config: dict[str, Any]) -> None:
    """Entry point for Ray Train; ``config["plan"]`` is the TrainingPlan."""
    import ray.train
    import ray.train.torch

    plan: TrainingPlan = config["plan"]
    context = ray.train.get_context()
    device = ray.train.torch.get_device()
    if device.type == "cpu" and plan.threads is not None:
        torch.set_num_threads(plan.threads)
    trainer = build_trainer(plan, device, rank=context.get_world_rank())
    resumed = ray.train.get_checkpoint()
    if resumed is not None:
        trainer.load_state_dict(_read_checkpoint(resumed))
    if context.get_world_size() > 1:
        trainer.data_parallel(ray.train.torch.prepare_model)
    records = TrainingRecords(plan) if context.get_world_rank() == 0 else None
    if records:
        records.begin(trainer.steps_done)
    sampler = StepSampler(
        first_step=trainer.steps_done,
        last_step=plan.settings.steps,
        batch_size=plan.settings.batch_size,
        rank=context.get_world_rank(),
        world_size=context.get_world_size(),
    )
    pictures = training_pictures(plan)
    processes = _loader_processes(device) if plan.photos else 0
    for batch in picture_loader(pictures, sampler, processes=processes):
        losses = _mean_over_workers(trainer.step(batch), context.get_world_size())
        if records:
            records.step(trainer.steps_done - 1, losses, len(batch) * context.get_world_size())
        done = trainer.steps_done
        if done % plan.checkpoint_every == 0 or done == plan.settings.steps:
            if records:
                records.preview(done, trainer.generator)
            _report(trainer, keep=records is not None)


def _loader_processes(device: torch.device) -> int:
    """A GPU waits for crops unless others cut them; on a CPU they would fight for its cores."""
    return min(8, os.cpu_count() or 1) if device.type == "cuda" else 0


def _mean_over_workers(losses: Losses, world_size: int) -> dict[str, float]:
    values = losses.as_floats()
    if world_size == 1:
        return values
    stacked: Tensor = torch.stack(list(vars(losses).values())) / world_size
    torch.distributed.all_reduce(stacked)
    return dict(zip(values, stacked.tolist(), strict=True))


def _report(trainer: GeneratorTrainer, *, keep: bool) -> None:
    import ray.train

    metrics = {"steps_done": trainer.steps_done}
    if not keep:
        ray.train.report(metrics)
        return
    with tempfile.TemporaryDirectory() as folder:
        torch.save(trainer.state_dict(), Path(folder) / CHECKPOINT_FILE)
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def _read_checkpoint(checkpoint: Checkpoint) -> dict[str, Any]:
    with checkpoint.as_directory() as folder:
        return read_trainer_state(Path(folder))


def read_trainer_state(folder: Path) -> dict[str, Any]:
    """Read what GeneratorTrainer.state_dict returned from a checkpoint folder."""
    state: dict[str, Any] = torch.load(
        folder / CHECKPOINT_FILE, map_location="cpu", weights_only=True
    )
    return state
