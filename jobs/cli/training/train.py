"""`nst train style`, `nst train texture` and `nst train super-resolution`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from jobs.cli import options
from jobs.cli.options import panel
from jobs.cli.spec_options import Looks, from_specifications
from jobs.cli.training import recipes
from jobs.cli.training.options import TRAINING_LOOKS, WEIGHT, numbers
from jobs.cli.training.run import TrainCommand, run
from jobs.specs.flat import Given
from jobs.specs.training import (
    PresetChoice,
    TrainStyle,
    TrainSuperResolution,
    TrainTexture,
    checkpoint_to_extend,
    preset_values,
)
from nst_core.errors import InputError
from nst_core.objectives.settings import BOLD_STYLE_WEIGHT, ObjectiveSettings

app = typer.Typer(no_args_is_help=True, help="Train generators.")


@app.callback()
def group() -> None:
    """Train generators."""


_OF_PRESET = ("steps", "image_size", "learning_rate", "width", "style_size")
_STYLE_LOOKS: Looks = {
    **TRAINING_LOOKS,
    **{name: {**TRAINING_LOOKS.get(name, {}), "default": None} for name in _OF_PRESET},
    **panel(WEIGHT, "stability_from"),
    "style_images": {"metavar": "STYLE_IMAGE..."},
    "extend": {
        "kind": str,
        "default": None,
        "read": checkpoint_to_extend,
        "metavar": "NAME|CHECKPOINT",
    },
    "start": {"names": ("--from",), "metavar": "auto|none|CHECKPOINT"},
    "strokes": {
        "kind": str,
        "default": "",
        "read": partial(numbers, "--strokes"),
        "metavar": "SIZE,...",
    },
    "padding": {"help": "Of johnson's convolutions."},
    "upsampling": {"help": "Of lean: nearest has the finer grain, bilinear no small squares."},
    "style_rate": {"rich_help_panel": "The optimisation"},
    "style_weight": WEIGHT
    | {
        "default": None,
        "help": f"More is bolder; default {BOLD_STYLE_WEIGHT:g}, with a paper's --scaling "
        f"{ObjectiveSettings.style_weight:g}.",
    },
    "balanced": WEIGHT | {"names": ("--balance/--no-balance",), "default": None},
    "shading_weight": WEIGHT | {"help": "Of light and shade that the photograph does not have."},
    "palette_weight": WEIGHT | {"help": "Of colours that are not the painting's."},
    "lattice_weight": WEIGHT | {"help": "Of patterns that repeat with the network's strides."},
    "stability_weight": WEIGHT | {"help": "Of what flickers when a picture moves a little."},
    "calibrate": {"rich_help_panel": "The run"},
}


@app.command(cls=TrainCommand)
@from_specifications(_STYLE_LOOKS, argument="style_images", without="options final_rate")
def style(
    ctx: typer.Context,
    given: Given[TrainStyle],
    preset: Annotated[
        PresetChoice,
        typer.Option(
            help="Sets --width, --steps (a tenth of them with --extend), --image-size and "
            "--style-size."
        ),
    ] = "balanced",
    recipe: recipes.OfStyle = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Train a style from a picture, or several in one network, on photographs.

    Example: nst train style wave.jpg --content photos -o wave.safetensors
    """
    extends = given.values["extend"] is not None
    if extends and given.values["width"] is not None:
        raise InputError("--extend takes the width from the checkpoint; leave out --width")
    scaling = given.values["scaling"]
    job = given.build(
        **preset_values(
            preset,
            architecture=given.values["architecture"],
            scaling=scaling,
            extends=extends,
        )
    )
    if scaling != "relative":  # the option has a default of its own
        job = replace(job, objective=replace(job.objective, lattice_weight=0.0))
    run(ctx, job, dry_run=dry_run, json=json)


@app.command(cls=TrainCommand)
@from_specifications(
    {**TRAINING_LOOKS, "levels": {"names": ("--scales",)}},
    argument="texture_image",
    without="options loader style_rate final_rate stability_weight stability_from content_weight "
    "style_weight content_layers scales lattice_weight shading_weight palette_weight balanced",
)
def texture(
    ctx: typer.Context,
    job: TrainTexture,
    recipe: recipes.OfTexture = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Train a texture network: from one picture, textures of any size without a seam.

    Example: nst train texture bricks.png -o bricks.safetensors
    """
    run(ctx, job, dry_run=dry_run, json=json)


@app.command(name="super-resolution", cls=TrainCommand)
@from_specifications(
    {**TRAINING_LOOKS, "start": {"names": ("--from",), "metavar": "none|NAME|CHECKPOINT"}},
    without="options style_rate final_rate stability_weight stability_from",
)
def super_resolution(
    ctx: typer.Context,
    job: TrainSuperResolution,
    recipe: recipes.OfSuperResolution = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Train a network that enlarges pictures 4 or 8 times.

    Example: nst train super-resolution --content photos --scale 4 -o x4.safetensors
    """
    run(ctx, job, dry_run=dry_run, json=json)
