"""`nst optimize`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli import console, options
from jobs.cli.option_groups import expanded
from jobs.cli.training import options as train_options
from jobs.cli.training import recipes
from jobs.cli.training.options import ContentTerms, Judge, StyleTerms
from jobs.specs.single import OPTIMIZE_OBJECTIVE, Optimize
from nst_core.engines.names import DeviceChoice
from nst_core.wording import counted

COMMAND = recipes.RecipeCommand


@expanded
def optimize(
    content: Annotated[Path, typer.Argument(help="The picture to stylize.")],
    style: Annotated[
        Path, typer.Option("--style", metavar="IMAGE", help="The picture whose style is taken.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.")],
    recipe: recipes.OfOptimize = None,
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
    style_weight: Annotated[
        float,
        typer.Option(
            help="With --scaling gatys 1000 or more is needed.",
            rich_help_panel=train_options.WEIGHTS_PANEL,
        ),
    ] = OPTIMIZE_OBJECTIVE.style_weight,
    contents: ContentTerms = train_options.CONTENT_TERMS,
    terms: StyleTerms = train_options.STYLE_TERMS,
    scales: train_options.Scales = "",
    judge: Judge = train_options.JUDGE,
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
            terms,
            contents,
            scales=train_options.numbers("--scales", scales) or None,
            style_weight=style_weight,
        ),
        image_size=image_size,
        style_size=style_size,
        **judge.fields,
        device=device,
        seed=seed,
        overwrite=overwrite,
    )
    _optimize(job, json)


def _optimize(job: Optimize, json: bool) -> None:
    from jobs.applying.optimize import optimize as run

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
