"""`nst train texture`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.cli import options
from jobs.cli.option_groups import expanded
from jobs.cli.training import options as train_options
from jobs.cli.training import recipes
from jobs.cli.training.options import Fitting, Judge, Running, StyleTerms
from jobs.cli.training.run import run
from jobs.specs.training import TrainTexture

_TEXTURE = TrainTexture(output=Path(), texture_image=Path())
_FITTING = Fitting.of(_TEXTURE.training)


@expanded
def texture(
    ctx: typer.Context,
    texture_image: Annotated[Path, typer.Argument(help="The picture of the texture.")],
    output: train_options.Output,
    recipe: recipes.OfTexture = None,
    norm: train_options.Norm = _TEXTURE.norm,
    scales: Annotated[
        int, typer.Option(help="Levels of noise; more for larger patterns.")
    ] = _TEXTURE.scales,
    texture_size: Annotated[
        int | None,
        typer.Option(help="Shorter side of the texture image; default its own, 512 at most."),
    ] = None,
    fitting: Fitting = _FITTING,
    terms: StyleTerms = train_options.STYLE_TERMS,
    normalize_gradients: train_options.NormalizeGradients = False,
    judge: Judge = train_options.JUDGE,
    running: Running = train_options.RUNNING,
    json: options.Json = False,
) -> None:
    """Train a texture network: from one picture, textures of any size without a seam.

    Example: nst train texture bricks.png -o bricks.safetensors
    """
    job = TrainTexture(
        texture_image=texture_image,
        output=output,
        training=fitting.settings(_TEXTURE.training),
        objective=train_options.objective(
            _TEXTURE.objective, terms, normalized_gradients=normalize_gradients
        ),
        norm=norm,
        scales=scales,
        texture_size=texture_size,
        **judge.fields,
        **running.fields,
    )
    run(ctx, job, json)
