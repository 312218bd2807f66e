"""`nst train style`, `nst train texture` and `nst train super-resolution`."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.cli import console, options
from jobs.specs import DeviceChoice, LossNetworkChoice
from jobs.training_specs import (
    EXTENSION_RATE,
    EXTENSION_STEPS,
    PRESETS,
    ArchitectureChoice,
    LoaderChoice,
    NormChoice,
    PaddingChoice,
    PresetChoice,
    TrainGenerator,
    TrainStyle,
    TrainSuperResolution,
    TrainTexture,
)
from nst_core.errors import InputError
from nst_core.settings import (
    ObjectiveSettings,
    ReconstructionLoss,
    ReconstructionSettings,
    Scaling,
    Schedule,
    TrainingPrecision,
    TrainingSettings,
)

app = typer.Typer(no_args_is_help=True, help="Train generators.")

_FIT = "The optimisation"
_WEIGHTS = "The objective"
_RUN = "The run"

Output = Annotated[Path, typer.Option("--output", "-o", help="The checkpoint to write.")]
Content = Annotated[
    list[str],
    typer.Option(help="Photographs to learn on: folder, glob, list (.txt), URI. Repeatable."),
]
Norm = Annotated[NormChoice, typer.Option(help="Normalisation in the generator.")]
Width = Annotated[int, typer.Option(help="Channels of the first layer.")]
PresetWidth = Annotated[int | None, typer.Option(help="Channels of the first layer.")]
Steps = Annotated[int, typer.Option(help="Optimisation steps.")]
PresetSteps = Annotated[int | None, typer.Option(help="Optimisation steps.")]
BatchSize = Annotated[int, typer.Option(help="Pictures at once, for each worker.")]
Accumulate = Annotated[
    int, typer.Option(help="Batches of each worker that one step adds up.", rich_help_panel=_FIT)
]
ImageSize = Annotated[int, typer.Option(help="Side of the training pictures, pixels.")]
PresetImageSize = Annotated[int | None, typer.Option(help="Side of the training pictures, pixels.")]
LearningRate = Annotated[float, typer.Option(help="Of Adam.", rich_help_panel=_FIT)]
StyleLearningRate = Annotated[
    float | None,
    typer.Option(
        help=f"Of Adam; default {TrainingSettings.learning_rate:g}, "
        f"with --extend {EXTENSION_RATE:g}.",
        rich_help_panel=_FIT,
    ),
]
ScheduleOption = Annotated[
    Schedule, typer.Option(help="Of the rate after the warm-up.", rich_help_panel=_FIT)
]
Decay = Annotated[float, typer.Option(help="Factor of --schedule step.", rich_help_panel=_FIT)]
DecayEvery = Annotated[int, typer.Option(help="Steps between its decays.", rich_help_panel=_FIT)]
WarmupSteps = Annotated[
    int, typer.Option(help="Steps in which the rate rises.", rich_help_panel=_FIT)
]
ClipNorm = Annotated[
    float | None,
    typer.Option(help="Longest gradient (Euclidean norm); default any.", rich_help_panel=_FIT),
]
Average = Annotated[
    float,
    typer.Option(help="Decay of the weights' moving average; 0: none.", rich_help_panel=_FIT),
]
PrecisionOption = Annotated[
    TrainingPrecision,
    typer.Option(help="auto: bfloat16 where the processor has it.", rich_help_panel=_FIT),
]
ContentWeight = Annotated[float, typer.Option(rich_help_panel=_WEIGHTS)]
StyleWeight = Annotated[float, typer.Option(rich_help_panel=_WEIGHTS)]
TvWeight = Annotated[float, typer.Option(help="Of total variation.", rich_help_panel=_WEIGHTS)]
ScalingOption = Annotated[
    Scaling, typer.Option(help="What the weights belong to.", rich_help_panel=_WEIGHTS)
]
LossNetwork = Annotated[
    LossNetworkChoice, typer.Option(help="The VGG that judges.", rich_help_panel=_WEIGHTS)
]
LossNetworkWeights = Annotated[
    Path | None,
    typer.Option(
        envvar="NST_LOSS_NETWORK_WEIGHTS",
        help="Its weights; default torchvision's download.",
        rich_help_panel=_WEIGHTS,
    ),
]
Workers = Annotated[
    str,
    typer.Option(
        metavar="N|MIN:MAX",
        help="MIN:MAX goes on with fewer, and takes in more, as nodes go and come.",
        rich_help_panel=_RUN,
    ),
]
CpusPerWorker = Annotated[
    int | None, typer.Option(help="Default: an equal share.", rich_help_panel=_RUN)
]
Device = Annotated[DeviceChoice, typer.Option(rich_help_panel=_RUN)]
Loader = Annotated[
    LoaderChoice,
    typer.Option(
        help="ray-data reads photographs on any machine of the cluster.", rich_help_panel=_RUN
    ),
]
CheckpointEvery = Annotated[
    int, typer.Option(help="Steps between checkpoints.", rich_help_panel=_RUN)
]
RunDir = Annotated[
    Path | None,
    typer.Option(help="Metrics, previews, checkpoints; default OUTPUT.run.", rich_help_panel=_RUN),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in the run folder.")]
Seed = Annotated[int, typer.Option(rich_help_panel=_RUN)]

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
    content: Content,
    output: Output,
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
    architecture: Annotated[
        ArchitectureChoice,
        typer.Option(
            help="johnson: the everyday variant; johnson-paper: the paper's own network; "
            "texture: multi-scale g(y, z)."
        ),
    ] = TrainStyle.architecture,
    norm: Norm = TrainStyle.norm,
    padding: Annotated[
        PaddingChoice, typer.Option(help="Of johnson's convolutions.")
    ] = TrainStyle.padding,
    width: PresetWidth = None,
    steps: PresetSteps = None,
    batch_size: BatchSize = TrainingSettings.batch_size,
    image_size: PresetImageSize = None,
    learning_rate: StyleLearningRate = None,
    accumulate: Accumulate = _TRAINING.accumulate,
    schedule: ScheduleOption = _TRAINING.schedule,
    warmup_steps: WarmupSteps = _TRAINING.warmup_steps,
    decay: Decay = _TRAINING.decay,
    decay_every: DecayEvery = _TRAINING.decay_every,
    clip_norm: ClipNorm = None,
    average: Average = _TRAINING.average,
    precision: PrecisionOption = _TRAINING.precision,
    style_size: Annotated[
        int | None,
        typer.Option(help="Shorter side of the style image: larger, broader strokes."),
    ] = None,
    content_weight: ContentWeight = ObjectiveSettings.content_weight,
    style_weight: StyleWeight = ObjectiveSettings.style_weight,
    tv_weight: TvWeight = ObjectiveSettings.tv_weight,
    stability_weight: Annotated[
        float,
        typer.Option(
            help="Of what flickers when a picture moves a little.", rich_help_panel=_WEIGHTS
        ),
    ] = TrainingSettings.stability_weight,
    scaling: ScalingOption = ObjectiveSettings.scaling,
    loss_network: LossNetwork = TrainStyle.loss_network,
    loss_network_weights: LossNetworkWeights = None,
    workers: Workers = "1",
    cpus_per_worker: CpusPerWorker = None,
    device: Device = TrainStyle.device,
    address: options.Address = TrainStyle.address,
    loader: Loader = "local",
    checkpoint_every: CheckpointEvery = TrainStyle.checkpoint_every,
    run_dir: RunDir = None,
    resume: Resume = TrainStyle.resume,
    overwrite: options.Overwrite = False,
    seed: Seed = TrainingSettings.seed,
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
            accumulate=accumulate,
            schedule=schedule,
            warmup_steps=warmup_steps,
            decay=decay,
            decay_every=decay_every,
            clip_norm=clip_norm,
            average=average,
            precision=precision,
            stability_weight=stability_weight,
            seed=seed,
        ),
        objective=ObjectiveSettings(content_weight, style_weight, tv_weight, scaling),
        architecture=architecture,
        norm=norm,
        padding=padding,
        width=values.width if width is None else width,
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
    output: Output,
    norm: Norm = _TEXTURE.norm,
    scales: Annotated[
        int, typer.Option(help="Levels of noise; more for larger patterns.")
    ] = _TEXTURE.scales,
    texture_size: Annotated[
        int | None,
        typer.Option(help="Shorter side of the texture image; default its own, 512 at most."),
    ] = None,
    steps: Steps = _TEXTURE.training.steps,
    batch_size: BatchSize = _TEXTURE.training.batch_size,
    image_size: ImageSize = _TEXTURE.training.image_size,
    learning_rate: LearningRate = _TEXTURE.training.learning_rate,
    accumulate: Accumulate = _TRAINING.accumulate,
    schedule: ScheduleOption = _TRAINING.schedule,
    warmup_steps: WarmupSteps = _TRAINING.warmup_steps,
    decay: Decay = _TRAINING.decay,
    decay_every: DecayEvery = _TRAINING.decay_every,
    clip_norm: ClipNorm = None,
    average: Average = _TRAINING.average,
    precision: PrecisionOption = _TRAINING.precision,
    tv_weight: TvWeight = _TEXTURE.objective.tv_weight,
    loss_network: LossNetwork = _TEXTURE.loss_network,
    loss_network_weights: LossNetworkWeights = None,
    workers: Workers = "1",
    cpus_per_worker: CpusPerWorker = None,
    device: Device = _TEXTURE.device,
    address: options.Address = _TEXTURE.address,
    checkpoint_every: CheckpointEvery = _TEXTURE.checkpoint_every,
    run_dir: RunDir = None,
    resume: Resume = _TEXTURE.resume,
    overwrite: options.Overwrite = False,
    seed: Seed = _TEXTURE.training.seed,
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
        objective=ObjectiveSettings(
            content_weight=0.0,
            style_weight=_TEXTURE.objective.style_weight,
            tv_weight=tv_weight,
            style_layers=_TEXTURE.objective.style_layers,
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
    content: Content,
    output: Output,
    scale: Annotated[int, typer.Option(help="4 or 8.")] = _SUPER_RESOLUTION.scale,
    loss: Annotated[
        ReconstructionLoss,
        typer.Option(help="feature: sharper to the eye; pixel: higher PSNR."),
    ] = _SUPER_RESOLUTION.objective.loss,
    norm: Norm = _SUPER_RESOLUTION.norm,
    width: Width = _SUPER_RESOLUTION.width,
    steps: Steps = _SUPER_RESOLUTION.training.steps,
    batch_size: BatchSize = _SUPER_RESOLUTION.training.batch_size,
    image_size: ImageSize = _SUPER_RESOLUTION.training.image_size,
    learning_rate: LearningRate = _SUPER_RESOLUTION.training.learning_rate,
    accumulate: Accumulate = _TRAINING.accumulate,
    schedule: ScheduleOption = _TRAINING.schedule,
    warmup_steps: WarmupSteps = _TRAINING.warmup_steps,
    decay: Decay = _TRAINING.decay,
    decay_every: DecayEvery = _TRAINING.decay_every,
    clip_norm: ClipNorm = None,
    average: Average = _TRAINING.average,
    precision: PrecisionOption = _TRAINING.precision,
    tv_weight: TvWeight = _SUPER_RESOLUTION.objective.tv_weight,
    loss_network: LossNetwork = _SUPER_RESOLUTION.loss_network,
    loss_network_weights: LossNetworkWeights = None,
    workers: Workers = "1",
    cpus_per_worker: CpusPerWorker = None,
    device: Device = _SUPER_RESOLUTION.device,
    address: options.Address = _SUPER_RESOLUTION.address,
    loader: Loader = "local",
    checkpoint_every: CheckpointEvery = _SUPER_RESOLUTION.checkpoint_every,
    run_dir: RunDir = None,
    resume: Resume = _SUPER_RESOLUTION.resume,
    overwrite: options.Overwrite = False,
    seed: Seed = _SUPER_RESOLUTION.training.seed,
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
    if json:
        fields: dict[str, Any] = asdict(report)
        console.print_json(fields)
        return
    losses = ", ".join(f"{name} {value:.4g}" for name, value in report.losses.items())
    console.say(f"{report.checkpoint}: {report.steps} steps, {losses}; run in {report.run_dir}")
    if report.rollbacks:
        console.say(
            f"it diverged {report.rollbacks} times and went back to a checkpoint with a lower "
            "learning rate; see events.jsonl there"
        )
    for photo in report.unreadable:
        console.say(f"skipped: {photo['error']}")
