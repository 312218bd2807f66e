"""`nst train style`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli import console, options
from jobs.specs import DeviceChoice, LossNetworkChoice, TrainStyle
from nst_core.settings import ObjectiveSettings, TrainingSettings

app = typer.Typer(no_args_is_help=True, help="Train generators.")

_WEIGHTS = "Weights of the objective"
_RUN = "The run"


@app.callback()
def group() -> None:
    """Train generators."""


@app.command()
def style(
    style_image: Annotated[Path, typer.Argument(help="The picture whose style is learnt.")],
    content: Annotated[Path, typer.Option(help="Folder of photographs to learn on.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The checkpoint to write.")],
    width: Annotated[int, typer.Option(help="Channels of the first layer.")] = TrainStyle.width,
    steps: Annotated[int, typer.Option(help="Optimisation steps.")] = TrainingSettings.steps,
    batch_size: Annotated[
        int, typer.Option(help="Photographs a step, for each worker.")
    ] = TrainingSettings.batch_size,
    image_size: Annotated[
        int, typer.Option(help="Side of the training crops, pixels.")
    ] = TrainingSettings.image_size,
    learning_rate: Annotated[float, typer.Option(help="Of Adam.")] = TrainingSettings.learning_rate,
    style_size: Annotated[
        int, typer.Option(help="Shorter side of the style image: larger, broader strokes.")
    ] = TrainStyle.style_size,
    content_weight: Annotated[float, typer.Option(rich_help_panel=_WEIGHTS)] = (
        ObjectiveSettings.content_weight
    ),
    style_weight: Annotated[float, typer.Option(rich_help_panel=_WEIGHTS)] = (
        ObjectiveSettings.style_weight
    ),
    tv_weight: Annotated[
        float, typer.Option(rich_help_panel=_WEIGHTS)
    ] = ObjectiveSettings.tv_weight,
    loss_network: Annotated[
        LossNetworkChoice, typer.Option(help="The VGG that judges.")
    ] = TrainStyle.loss_network,
    loss_network_weights: Annotated[
        Path | None,
        typer.Option(
            envvar="NST_LOSS_NETWORK_WEIGHTS", help="Its weights; default torchvision's download."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(rich_help_panel=_RUN)] = TrainStyle.workers,
    cpus_per_worker: Annotated[
        int | None, typer.Option(help="Default: an equal share.", rich_help_panel=_RUN)
    ] = None,
    device: Annotated[DeviceChoice, typer.Option(rich_help_panel=_RUN)] = TrainStyle.device,
    address: options.Address = TrainStyle.address,
    checkpoint_every: Annotated[
        int, typer.Option(help="Steps between checkpoints.", rich_help_panel=_RUN)
    ] = TrainStyle.checkpoint_every,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            help="Metrics, previews, checkpoints; default OUTPUT.run.", rich_help_panel=_RUN
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the run folder.")
    ] = TrainStyle.resume,
    overwrite: options.Overwrite = False,
    seed: Annotated[int, typer.Option(rich_help_panel=_RUN)] = TrainingSettings.seed,
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
        objective=ObjectiveSettings(content_weight, style_weight, tv_weight),
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


def _train(job: TrainStyle, json: bool) -> None:
    from jobs.train_style import train_style

    with console.shown_progress() as show:
        report = train_style(job, show)
    if json:
        console.print_json(asdict(report))
        return
    losses = ", ".join(f"{name} {value:.4g}" for name, value in report.losses.items())
    console.say(f"{report.checkpoint}: {report.steps} steps, {losses}; run in {report.run_dir}")
