"""`nst optimize`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli import console, options, train_options
from jobs.specs import (
    OPTIMIZE_OBJECTIVE,
    DeviceChoice,
    LossNetworkChoice,
    Optimize,
)
from nst_core.settings import Scaling
from nst_core.wording import counted

_OBJECTIVE = "The objective"


def optimize(
    content: Annotated[Path, typer.Argument(help="The picture to stylize.")],
    style: Annotated[
        Path, typer.Option("--style", metavar="IMAGE", help="The picture whose style is taken.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.")],
    steps: Annotated[int, typer.Option(help="Iterations of L-BFGS.")] = Optimize.steps,
    init: Annotated[
        str,
        typer.Option(
            metavar="content|noise|generator[:STYLE]",
            help="What the picture is before the first of them; generator: what a style makes of "
            "it, without a name the bundled one that comes nearest.",
        ),
    ] = Optimize.init,
    image_size: Annotated[
        int, typer.Option(help="Longer side of the result, pixels.")
    ] = Optimize.image_size,
    style_size: Annotated[
        int | None,
        typer.Option(help="Shorter side of the style image: larger, broader strokes."),
    ] = Optimize.style_size,
    content_weight: Annotated[float, typer.Option(rich_help_panel=_OBJECTIVE)] = (
        OPTIMIZE_OBJECTIVE.content_weight
    ),
    style_weight: Annotated[float, typer.Option(rich_help_panel=_OBJECTIVE)] = (
        OPTIMIZE_OBJECTIVE.style_weight
    ),
    tv_weight: Annotated[
        float, typer.Option(rich_help_panel=_OBJECTIVE)
    ] = OPTIMIZE_OBJECTIVE.tv_weight,
    scaling: Annotated[
        Scaling,
        typer.Option(
            help="How the terms are scaled: what weights mean depends on it; gatys needs a style "
            "weight of 1000 or more.",
            rich_help_panel=_OBJECTIVE,
        ),
    ] = OPTIMIZE_OBJECTIVE.scaling,
    scales: train_options.Scales = "",
    style_layers: train_options.StyleLayers = "",
    content_layers: train_options.ContentLayers = "",
    style_statistic: train_options.StyleStatisticOption = "gram",
    loss_network: Annotated[
        LossNetworkChoice, typer.Option(help="The VGG that judges.", rich_help_panel=_OBJECTIVE)
    ] = Optimize.loss_network,
    loss_network_weights: Annotated[
        Path | None,
        typer.Option(
            envvar="NST_LOSS_NETWORK_WEIGHTS",
            help="Its weights; default torchvision's download.",
            rich_help_panel=_OBJECTIVE,
        ),
    ] = None,
    device: Annotated[DeviceChoice, typer.Option(help="Where it computes.")] = Optimize.device,
    seed: Annotated[int, typer.Option(help="Of the noise that --init noise begins with.")] = (
        Optimize.seed
    ),
    overwrite: options.Overwrite = Optimize.overwrite,
    json: options.Json = False,
) -> None:
    """Stylize one picture by optimising its pixels: slow, for any style (Gatys et al. 2016).

    Example: nst optimize photo.jpg --style wave.jpg -o photo-wave.png
    """
    job = Optimize(
        content=content,
        style_image=style,
        output=output,
        steps=steps,
        init=init,
        objective=train_options.objective(
            OPTIMIZE_OBJECTIVE,
            scales=scales,
            style_layers=style_layers,
            content_layers=content_layers,
            statistics=style_statistic,
            style_weight=style_weight,
            content_weight=content_weight,
            tv_weight=tv_weight,
            scaling=scaling,
        ),
        image_size=image_size,
        style_size=style_size,
        loss_network=loss_network,
        loss_network_weights=loss_network_weights,
        device=device,
        seed=seed,
        overwrite=overwrite,
    )
    _optimize(job, json)


def _optimize(job: Optimize, json: bool) -> None:
    from jobs.optimize import optimize as run

    with console.shown_progress() as show:
        report = run(job, show)
    console.report(asdict(report), as_json=json)
    if json:
        return
    losses = ", ".join(
        f"{name} {report.losses_before[name]:.4g} -> {value:.4g}"
        for name, value in report.losses.items()
    )
    console.say(
        f"{report.output}: {report.method} from {report.init}, {counted(report.steps, 'steps')}, "
        f"{report.seconds:.1f} s, {losses}"
    )
