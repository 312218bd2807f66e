"""`nst train super-resolution`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.cli import options
from jobs.cli.option_groups import expanded
from jobs.cli.training import options as train_options
from jobs.cli.training import recipes
from jobs.cli.training.options import Fitting, Judge, Running
from jobs.cli.training.run import run
from jobs.specs.training import TrainSuperResolution
from nst_core.errors import InputError
from nst_core.settings import Degradation, ReconstructionLoss, ReconstructionSettings

_SUPER_RESOLUTION = TrainSuperResolution(output=Path(), content=())
_FITTING = Fitting.of(_SUPER_RESOLUTION.training)


@expanded
def super_resolution(
    ctx: typer.Context,
    content: train_options.Content,
    output: train_options.Output,
    recipe: recipes.OfSuperResolution = None,
    scale: Annotated[int, typer.Option(help="4 or 8.")] = _SUPER_RESOLUTION.scale,
    loss: Annotated[
        ReconstructionLoss,
        typer.Option(help="feature: sharper to the eye; pixel: higher PSNR."),
    ] = _SUPER_RESOLUTION.objective.loss,
    degradation: Annotated[
        Degradation,
        typer.Option(
            help="How the small pictures are made: antialiased bicubic, or blurred by a Gaussian "
            "and sampled, the paper's."
        ),
    ] = _SUPER_RESOLUTION.objective.degradation,
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="none|NAME|CHECKPOINT",
            help="Trained weights to start from, such as x4: the feature loss begins where the "
            "pixel loss ended.",
        ),
    ] = _SUPER_RESOLUTION.start,
    norm: train_options.Norm = _SUPER_RESOLUTION.norm,
    width: train_options.Width = _SUPER_RESOLUTION.width,
    fitting: Fitting = _FITTING,
    tv_weight: train_options.TvWeight = _SUPER_RESOLUTION.objective.tv_weight,
    judge: Judge = train_options.JUDGE,
    running: Running = train_options.RUNNING,
    loader: train_options.Loader = _SUPER_RESOLUTION.loader,
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
        training=fitting.settings(_SUPER_RESOLUTION.training),
        objective=ReconstructionSettings(loss, tv_weight or 0.0, degradation),
        norm=norm,
        scale=4 if scale == 4 else 8,
        width=width,
        start=start,
        loader=loader,
        **judge.fields,
        **running.fields,
    )
    run(ctx, job, json)
