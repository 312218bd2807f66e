"""`nst train style`, `nst train texture` and `nst train super-resolution`."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.cli import console, options, train_options
from jobs.training_specs import (
    EXTENSION_RATE,
    EXTENSION_STEPS,
    PRESETS,
    STYLE_OBJECTIVE,
    ArchitectureChoice,
    PaddingChoice,
    Preset,
    PresetChoice,
    TrainGenerator,
    TrainStyle,
    TrainSuperResolution,
    TrainTexture,
)
from nst_core.errors import InputError
from nst_core.settings import (
    BOLD_STYLE_WEIGHT,
    ObjectiveSettings,
    ReconstructionLoss,
    ReconstructionSettings,
    TrainingSettings,
)
from nst_core.wording import counted

app = typer.Typer(no_args_is_help=True, help="Train generators.")

_TEXTURE = TrainTexture(output=Path(), texture_image=Path())
_SUPER_RESOLUTION = TrainSuperResolution(output=Path(), content=())
_TRAINING = TrainingSettings()


@app.callback()
def group() -> None:
    """Train generators."""


@app.command()
def style(
    style_images: Annotated[
        list[Path],
        typer.Argument(
            metavar="STYLE_IMAGE...",
            help="The picture whose style is learnt; several: one network for all of them.",
        ),
    ],
    content: train_options.Content,
    output: train_options.Output,
    preset: Annotated[
        PresetChoice,
        typer.Option(
            help="Sets --width, --steps (a tenth of them with --extend), --image-size and "
            "--style-size."
        ),
    ] = "balanced",
    extend: Annotated[
        Path | None,
        typer.Option(
            metavar="CHECKPOINT",
            help="Add to this style network: only the new styles' own few parameters are fitted.",
        ),
    ] = None,
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="auto|none|CHECKPOINT",
            help="Trained weights to start from; auto: the bundled ones where they are of the "
            "same kind, with the nearest of their styles.",
        ),
    ] = TrainStyle.start,
    strokes: Annotated[
        str,
        typer.Option(
            metavar="SIZE,...",
            help="Sizes of strokes to learn beside each other, for --stroke; such as 0.5,1,2.",
        ),
    ] = "",
    architecture: Annotated[
        ArchitectureChoice,
        Preset,
        typer.Option(
            help="lean: the fastest; johnson: the everyday variant of the paper's; "
            "johnson-paper: the paper's own network; texture: multi-scale g(y, z)."
        ),
    ] = TrainStyle.architecture,
    norm: train_options.Norm = TrainStyle.norm,
    padding: Annotated[
        PaddingChoice, typer.Option(help="Of johnson's convolutions.")
    ] = TrainStyle.padding,
    width: train_options.PresetWidth = None,
    steps: train_options.PresetSteps = None,
    batch_size: train_options.BatchSize = TrainingSettings.batch_size,
    image_size: train_options.PresetImageSize = None,
    learning_rate: train_options.StyleLearningRate = None,
    style_rate: Annotated[
        float,
        typer.Option(
            help="Rate of what tells several styles apart, in learning rates.",
            rich_help_panel=train_options.FIT_PANEL,
        ),
    ] = TrainingSettings.style_rate,
    accumulate: train_options.Accumulate = _TRAINING.accumulate,
    schedule: train_options.ScheduleOption = _TRAINING.schedule,
    warmup_steps: train_options.WarmupSteps = _TRAINING.warmup_steps,
    decay: train_options.Decay = _TRAINING.decay,
    decay_every: train_options.DecayEvery = _TRAINING.decay_every,
    clip_norm: train_options.ClipNorm = None,
    average: train_options.Average = _TRAINING.average,
    precision: train_options.PrecisionOption = _TRAINING.precision,
    style_size: Annotated[
        int | None,
        typer.Option(help="Shorter side of the style image: larger, broader strokes."),
    ] = None,
    content_weight: train_options.ContentWeight = ObjectiveSettings.content_weight,
    style_weight: Annotated[
        float | None,
        typer.Option(
            help=f"More is bolder; default {BOLD_STYLE_WEIGHT:g}, with a paper's --scaling "
            f"{ObjectiveSettings.style_weight:g}.",
            rich_help_panel=train_options.WEIGHTS_PANEL,
        ),
    ] = None,
    balance: Annotated[
        bool | None,
        typer.Option(
            "--balance/--no-balance",
            help="Let each style's weight find itself, so that all are equally bold; default but "
            "with a paper's --scaling.",
            rich_help_panel=train_options.WEIGHTS_PANEL,
        ),
    ] = None,
    scales: train_options.Scales = "",
    style_layers: train_options.StyleLayers = "",
    content_layers: train_options.ContentLayers = "",
    style_statistic: train_options.StyleStatisticOption = "gram",
    lattice_weight: Annotated[
        float,
        typer.Option(
            help="Of patterns that repeat with the network's strides.",
            rich_help_panel=train_options.WEIGHTS_PANEL,
        ),
    ] = STYLE_OBJECTIVE.lattice_weight,
    tv_weight: train_options.TvWeight = ObjectiveSettings.tv_weight,
    stability_weight: Annotated[
        float,
        typer.Option(
            help="Of what flickers when a picture moves a little.",
            rich_help_panel=train_options.WEIGHTS_PANEL,
        ),
    ] = TrainingSettings.stability_weight,
    stability_from: Annotated[
        float,
        typer.Option(
            help="Part of the steps after which it counts.",
            rich_help_panel=train_options.WEIGHTS_PANEL,
        ),
    ] = TrainingSettings.stability_from,
    scaling: train_options.ScalingOption = ObjectiveSettings.scaling,
    loss_network: train_options.LossNetwork = TrainStyle.loss_network,
    loss_network_weights: train_options.LossNetworkWeights = None,
    workers: train_options.Workers = "1",
    cpus_per_worker: train_options.CpusPerWorker = None,
    device: train_options.Device = TrainStyle.device,
    address: options.Address = TrainStyle.address,
    loader: train_options.Loader = "local",
    checkpoint_every: train_options.CheckpointEvery = TrainStyle.checkpoint_every,
    run_dir: train_options.RunDir = None,
    resume: train_options.Resume = TrainStyle.resume,
    overwrite: options.Overwrite = False,
    seed: train_options.Seed = TrainingSettings.seed,
    json: options.Json = False,
) -> None:
    """Train a style from a picture, or several in one network, on photographs.

    Example: nst train style wave.jpg --content photos -o wave.safetensors
    """
    values = PRESETS[preset]
    if extend is not None:
        if width is not None:
            raise InputError("--extend takes the width from the checkpoint; leave out --width")
        values = replace(values, steps=round(values.steps * EXTENSION_STEPS))
        learning_rate = EXTENSION_RATE if learning_rate is None else learning_rate
    job = TrainStyle(
        style_images=tuple(style_images),
        content=tuple(content),
        output=output,
        training=TrainingSettings(
            steps=values.steps if steps is None else steps,
            batch_size=batch_size,
            image_size=values.image_size if image_size is None else image_size,
            learning_rate=(
                TrainingSettings.learning_rate if learning_rate is None else learning_rate
            ),
            style_rate=style_rate,
            accumulate=accumulate,
            schedule=schedule,
            warmup_steps=warmup_steps,
            decay=decay,
            decay_every=decay_every,
            clip_norm=clip_norm,
            average=average,
            precision=precision,
            stability_weight=stability_weight,
            stability_from=stability_from,
            seed=seed,
        ),
        objective=train_options.objective(
            STYLE_OBJECTIVE if scaling == "relative" else ObjectiveSettings(),
            scales=scales,
            style_layers=style_layers,
            content_layers=content_layers,
            statistics=style_statistic,
            balance=balance,
            style_weight=style_weight,
            content_weight=content_weight,
            tv_weight=tv_weight,
            lattice_weight=lattice_weight if scaling == "relative" else 0.0,
            scaling=scaling,
        ),
        architecture=architecture,
        norm=norm,
        padding=padding,
        strokes=train_options.numbers("--strokes", strokes),
        start=start,
        width=width or _preset_width(values, architecture),
        style_size=values.style_size if style_size is None else style_size,
        extend=extend,
        loss_network=loss_network,
        loss_network_weights=loss_network_weights,
        device=device,
        workers=_workers(workers),
        cpus_per_worker=cpus_per_worker,
        address=address,
        loader=loader,
        checkpoint_every=checkpoint_every,
        run_dir=run_dir,
        resume=resume,
        overwrite=overwrite,
    )
    _train(job, json)


@app.command()
def texture(
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
        workers=_workers(workers),
        cpus_per_worker=cpus_per_worker,
        address=address,
        checkpoint_every=checkpoint_every,
        run_dir=run_dir,
        resume=resume,
        overwrite=overwrite,
    )
    _train(job, json)


@app.command(name="super-resolution")
def super_resolution(
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
        workers=_workers(workers),
        cpus_per_worker=cpus_per_worker,
        address=address,
        loader=loader,
        checkpoint_every=checkpoint_every,
        run_dir=run_dir,
        resume=resume,
        overwrite=overwrite,
    )
    _train(job, json)


def _preset_width(values: Preset, architecture: ArchitectureChoice) -> int:
    if architecture == "texture":
        return TrainStyle.width  # theirs are fixed
    return values.width if architecture == "lean" else values.johnson_width


def _workers(text: str) -> tuple[int, int]:
    """``2`` or ``1:4``. Raises InputError."""
    least, _, most = text.partition(":")
    try:
        return int(least), int(most or least)
    except ValueError as error:
        raise InputError(
            f"--workers {text}: a number, or at least and at most, is needed; try 1:4"
        ) from error


def _train(job: TrainGenerator, json: bool) -> None:
    from jobs.train import train

    with console.shown_progress() as show:
        report = train(job, show)
    fields: dict[str, Any] = asdict(report)
    console.report(fields, as_json=json)
    if json:
        return
    losses = ", ".join(f"{name} {value:.4g}" for name, value in report.losses.items())
    console.say(
        f"{report.checkpoint}: {counted(report.steps, 'steps')}, {losses}; run in {report.run_dir}"
    )
    if report.rollbacks:
        console.say(
            f"it diverged {report.rollbacks} times and went back to a checkpoint with a lower "
            "learning rate; see events.jsonl there"
        )
    for photo in report.unreadable:
        console.say(f"skipped: {photo['error']}")
