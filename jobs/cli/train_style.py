"""`nst train style`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli import options, train_options
from jobs.cli.training_run import run, workers_of
from jobs.training_specs import (
    EXTENSION_RATE,
    EXTENSION_STEPS,
    PRESETS,
    STYLE_OBJECTIVE,
    ArchitectureChoice,
    PaddingChoice,
    Preset,
    PresetChoice,
    TrainStyle,
)
from nst_core.errors import InputError
from nst_core.settings import BOLD_STYLE_WEIGHT, ObjectiveSettings, TrainingSettings

_TRAINING = TrainingSettings()


def style(
    ctx: typer.Context,
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
        str | None,
        typer.Option(
            metavar="NAME|CHECKPOINT",
            help="Add to this style network, a bundled pack or a file: only the new styles' own "
            "few parameters are fitted.",
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
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate/--no-calibrate",
            help="Calibrate for 8 bits at the end, so that CPUs compute it faster.",
            rich_help_panel=train_options.RUN_PANEL,
        ),
    ] = TrainStyle.calibrate,
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
        extend=_checkpoint_to_extend(extend),
        loss_network=loss_network,
        loss_network_weights=loss_network_weights,
        device=device,
        workers=workers_of(workers),
        cpus_per_worker=cpus_per_worker,
        address=address,
        loader=loader,
        checkpoint_every=checkpoint_every,
        run_dir=run_dir,
        calibrate=calibrate,
        resume=resume,
        overwrite=overwrite,
    )
    run(ctx, job, json)


def _checkpoint_to_extend(name: str | None) -> Path | None:
    if name is None:
        return None
    if Path(name).suffix or Path(name).exists():
        return Path(name)
    from nst_core.style_library import find_checkpoint

    found = find_checkpoint(name)
    if found.path is None:
        raise InputError(f"--extend {name}: there is no network in it; name a checkpoint")
    return found.path


def _preset_width(values: Preset, architecture: ArchitectureChoice) -> int:
    if architecture == "texture":
        return TrainStyle.width  # theirs are fixed
    return values.width if architecture == "lean" else values.johnson_width
