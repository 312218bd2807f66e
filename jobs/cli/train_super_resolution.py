"""`nst train super-resolution`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.cli import options, train_options
from jobs.cli.training_run import run, workers_of
from jobs.training_specs import TrainSuperResolution
from nst_core.errors import InputError
from nst_core.settings import ReconstructionLoss, ReconstructionSettings, TrainingSettings

_SUPER_RESOLUTION = TrainSuperResolution(output=Path(), content=())
_TRAINING = TrainingSettings()


def super_resolution(
    ctx: typer.Context,
    content: train_options.Content,
    output: train_options.Output,
    scale: Annotated[int, typer.Option(help="4 or 8.")] = _SUPER_RESOLUTION.scale,
    loss: Annotated[
        ReconstructionLoss,
        typer.Option(help="feature: sharper to the eye; pixel: higher PSNR."),
    ] = _SUPER_RESOLUTION.objective.loss,
    norm: train_options.Norm = _SUPER_RESOLUTION.norm,
    width: train_options.Width = _SUPER_RESOLUTION.width,
    steps: train_options.Steps = _SUPER_RESOLUTION.training.steps,
    batch_size: train_options.BatchSize = _SUPER_RESOLUTION.training.batch_size,
    image_size: train_options.ImageSize = _SUPER_RESOLUTION.training.image_size,
    learning_rate: train_options.LearningRate = _SUPER_RESOLUTION.training.learning_rate,
    accumulate: train_options.Accumulate = _TRAINING.accumulate,
    schedule: train_options.ScheduleOption = _TRAINING.schedule,
    warmup_steps: train_options.WarmupSteps = _TRAINING.warmup_steps,
    decay: train_options.Decay = _TRAINING.decay,
    decay_every: train_options.DecayEvery = _TRAINING.decay_every,
    clip_norm: train_options.ClipNorm = None,
    average: train_options.Average = _TRAINING.average,
    precision: train_options.PrecisionOption = _TRAINING.precision,
    tv_weight: train_options.TvWeight = _SUPER_RESOLUTION.objective.tv_weight,
    loss_network: train_options.LossNetwork = _SUPER_RESOLUTION.loss_network,
    loss_network_weights: train_options.LossNetworkWeights = None,
    workers: train_options.Workers = "1",
    cpus_per_worker: train_options.CpusPerWorker = None,
    device: train_options.Device = _SUPER_RESOLUTION.device,
    address: options.Address = _SUPER_RESOLUTION.address,
    loader: train_options.Loader = "local",
    checkpoint_every: train_options.CheckpointEvery = _SUPER_RESOLUTION.checkpoint_every,
    run_dir: train_options.RunDir = None,
    resume: train_options.Resume = _SUPER_RESOLUTION.resume,
    overwrite: options.Overwrite = False,
    seed: train_options.Seed = _SUPER_RESOLUTION.training.seed,
    json: options.Json = False,
) -> None:
    """Train a network that enlarges pictures 4 or 8 times.

    Example: nst train super-resolution --content photos --scale 4 -o x4.safetensors
    """
    if scale not in (4, 8):
        raise InputError(f"--scale {scale}: 4 or 8 is allowed")
    job = TrainSuperResolution(
        content=tuple(content),
        output=output,
        training=TrainingSettings(
            steps=steps,
            batch_size=batch_size,
            image_size=image_size,
            learning_rate=learning_rate,
            accumulate=accumulate,
            schedule=schedule,
            warmup_steps=warmup_steps,
            decay=decay,
            decay_every=decay_every,
            clip_norm=clip_norm,
            average=average,
            precision=precision,
            seed=seed,
        ),
        objective=ReconstructionSettings(loss, tv_weight),
        norm=norm,
        scale=4 if scale == 4 else 8,
        width=width,
        loss_network=loss_network,
        loss_network_weights=loss_network_weights,
        device=device,
        workers=workers_of(workers),
        cpus_per_worker=cpus_per_worker,
        address=address,
        loader=loader,
        checkpoint_every=checkpoint_every,
        run_dir=run_dir,
        resume=resume,
        overwrite=overwrite,
    )
    run(ctx, job, json)
