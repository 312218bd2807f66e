"""`nst train style`, `nst train texture` and `nst train super-resolution`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.cli import console, options
from jobs.specs import DeviceChoice, LossNetworkChoice
from jobs.training_specs import (
    ArchitectureChoice,
    NormChoice,
    PaddingChoice,
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
    TrainingSettings,
)

app = typer.Typer(no_args_is_help=True, help="Train generators.")

_WEIGHTS = "The objective"
_RUN = "The run"

Output = Annotated[Path, typer.Option("--output", "-o", help="The checkpoint to write.")]
Content = Annotated[Path, typer.Option(help="Folder of photographs to learn on.")]
Norm = Annotated[NormChoice, typer.Option(help="Normalisation in the generator.")]
Width = Annotated[int, typer.Option(help="Channels of the first layer.")]
Steps = Annotated[int, typer.Option(help="Optimisation steps.")]
BatchSize = Annotated[int, typer.Option(help="Pictures a step, for each worker.")]
ImageSize = Annotated[int, typer.Option(help="Side of the training pictures, pixels.")]
LearningRate = Annotated[float, typer.Option(help="Of Adam.")]
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
Workers = Annotated[int, typer.Option(rich_help_panel=_RUN)]
CpusPerWorker = Annotated[
    int | None, typer.Option(help="Default: an equal share.", rich_help_panel=_RUN)
]
Device = Annotated[DeviceChoice, typer.Option(rich_help_panel=_RUN)]
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
_SUPER_RESOLUTION = TrainSuperResolution(output=Path(), content=Path())


@app.callback()
def group() -> None:
    """Train generators."""


@app.command()
def style(
    style_image: Annotated[Path, typer.Argument(help="The picture whose style is learnt.")],
    content: Content,
    output: Output,
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
    width: Width = TrainStyle.width,
    steps: Steps = TrainingSettings.steps,
    batch_size: BatchSize = TrainingSettings.batch_size,
    image_size: ImageSize = TrainingSettings.image_size,
    learning_rate: LearningRate = TrainingSettings.learning_rate,
    style_size: Annotated[
        int, typer.Option(help="Shorter side of the style image: larger, broader strokes.")
    ] = TrainStyle.style_size,
    content_weight: ContentWeight = ObjectiveSettings.content_weight,
    style_weight: StyleWeight = ObjectiveSettings.style_weight,
    tv_weight: TvWeight = ObjectiveSettings.tv_weight,
    scaling: ScalingOption = ObjectiveSettings.scaling,
    loss_network: LossNetwork = TrainStyle.loss_network,
    loss_network_weights: LossNetworkWeights = None,
    workers: Workers = TrainStyle.workers,
    cpus_per_worker: CpusPerWorker = None,
    device: Device = TrainStyle.device,
    address: options.Address = TrainStyle.address,
    checkpoint_every: CheckpointEvery = TrainStyle.checkpoint_every,
    run_dir: RunDir = None,
    resume: Resume = TrainStyle.resume,
    overwrite: options.Overwrite = False,
    seed: Seed = TrainingSettings.seed,
    json: options.Json = False,
) -> None:
    """Train a style from one picture on a folder of photographs.

    Example: nst train style wave.jpg --content photos -o wave.safetensors
    """
    job = TrainStyle(
        style_image=style_image,
        content=content,
        output=output,
        training=TrainingSettings(
            steps=steps,
            batch_size=batch_size,
            image_size=image_size,
            learning_rate=learning_rate,
            seed=seed,
        ),
        objective=ObjectiveSettings(content_weight, style_weight, tv_weight, scaling),
        architecture=architecture,
        norm=norm,
        padding=padding,
        width=width,
        style_size=style_size,
        loss_network=loss_network,
        loss_network_weights=loss_network_weights,
        device=device,
        workers=workers,
        cpus_per_worker=cpus_per_worker,
        address=address,
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
    tv_weight: TvWeight = _TEXTURE.objective.tv_weight,
    loss_network: LossNetwork = _TEXTURE.loss_network,
    loss_network_weights: LossNetworkWeights = None,
    workers: Workers = _TEXTURE.workers,
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
        workers=workers,
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
    tv_weight: TvWeight = _SUPER_RESOLUTION.objective.tv_weight,
    loss_network: LossNetwork = _SUPER_RESOLUTION.loss_network,
    loss_network_weights: LossNetworkWeights = None,
    workers: Workers = _SUPER_RESOLUTION.workers,
    cpus_per_worker: CpusPerWorker = None,
    device: Device = _SUPER_RESOLUTION.device,
    address: options.Address = _SUPER_RESOLUTION.address,
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
        content=content,
        output=output,
        training=TrainingSettings(
            steps=steps,
            batch_size=batch_size,
            image_size=image_size,
            learning_rate=learning_rate,
            seed=seed,
        ),
        objective=ReconstructionSettings(loss, tv_weight),
        norm=norm,
        scale=4 if scale == 4 else 8,
        width=width,
        loss_network=loss_network,
        loss_network_weights=loss_network_weights,
        device=device,
        workers=workers,
        cpus_per_worker=cpus_per_worker,
        address=address,
        checkpoint_every=checkpoint_every,
        run_dir=run_dir,
        resume=resume,
        overwrite=overwrite,
    )
    _train(job, json)


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
