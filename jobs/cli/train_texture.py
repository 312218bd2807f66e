"""`nst train texture`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.cli import options, train_options
from jobs.cli.training_run import run, workers_of
from jobs.training_specs import TrainTexture
from nst_core.settings import TrainingSettings

_TEXTURE = TrainTexture(output=Path(), texture_image=Path())
_TRAINING = TrainingSettings()


def texture(
    ctx: typer.Context,
    texture_image: Annotated[Path, typer.Argument(help="The picture of the texture.")],
    output: train_options.Output,
    norm: train_options.Norm = _TEXTURE.norm,
    scales: Annotated[
        int, typer.Option(help="Levels of noise; more for larger patterns.")
    ] = _TEXTURE.scales,
    texture_size: Annotated[
        int | None,
        typer.Option(help="Shorter side of the texture image; default its own, 512 at most."),
    ] = None,
    steps: train_options.Steps = _TEXTURE.training.steps,
    batch_size: train_options.BatchSize = _TEXTURE.training.batch_size,
    image_size: train_options.ImageSize = _TEXTURE.training.image_size,
    learning_rate: train_options.LearningRate = _TEXTURE.training.learning_rate,
    accumulate: train_options.Accumulate = _TRAINING.accumulate,
    schedule: train_options.ScheduleOption = _TRAINING.schedule,
    warmup_steps: train_options.WarmupSteps = _TRAINING.warmup_steps,
    decay: train_options.Decay = _TRAINING.decay,
    decay_every: train_options.DecayEvery = _TRAINING.decay_every,
    clip_norm: train_options.ClipNorm = None,
    average: train_options.Average = _TRAINING.average,
    precision: train_options.PrecisionOption = _TRAINING.precision,
    style_layers: train_options.StyleLayers = "",
    style_statistic: train_options.StyleStatisticOption = "gram",
    tv_weight: train_options.TvWeight = _TEXTURE.objective.tv_weight,
    loss_network: train_options.LossNetwork = _TEXTURE.loss_network,
    loss_network_weights: train_options.LossNetworkWeights = None,
    workers: train_options.Workers = "1",
    cpus_per_worker: train_options.CpusPerWorker = None,
    device: train_options.Device = _TEXTURE.device,
    address: options.Address = _TEXTURE.address,
    checkpoint_every: train_options.CheckpointEvery = _TEXTURE.checkpoint_every,
    run_dir: train_options.RunDir = None,
    resume: train_options.Resume = _TEXTURE.resume,
    overwrite: options.Overwrite = False,
    seed: train_options.Seed = _TEXTURE.training.seed,
    json: options.Json = False,
) -> None:
    """Train a texture network: from one picture, textures of any size without a seam.

    Example: nst train texture bricks.png -o bricks.safetensors
    """
    job = TrainTexture(
        texture_image=texture_image,
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
        objective=train_options.objective(
            _TEXTURE.objective,
            style_layers=style_layers,
            statistics=style_statistic,
            tv_weight=tv_weight,
        ),
        norm=norm,
        scales=scales,
        texture_size=texture_size,
        loss_network=loss_network,
        loss_network_weights=loss_network_weights,
        device=device,
        workers=workers_of(workers),
        cpus_per_worker=cpus_per_worker,
        address=address,
        checkpoint_every=checkpoint_every,
        run_dir=run_dir,
        resume=resume,
        overwrite=overwrite,
    )
    run(ctx, job, json)
