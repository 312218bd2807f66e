"""`nst train style`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.cli import options
from jobs.cli.option_groups import expanded
from jobs.cli.training import options as train_options
from jobs.cli.training import recipes
from jobs.cli.training.options import ContentTerms, Fitting, Judge, Running, StyleTerms
from jobs.cli.training.run import run
from jobs.specs.training import (
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

_FITTING = Fitting.of(TrainingSettings(), steps=None, image_size=None, learning_rate=None)


@expanded
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
    recipe: recipes.OfStyle = None,
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
    fitting: Fitting = _FITTING,
    style_rate: Annotated[
        float,
        typer.Option(
            help="Rate of what tells several styles apart, in learning rates.",
            rich_help_panel=train_options.FIT_PANEL,
        ),
    ] = TrainingSettings.style_rate,
    style_size: Annotated[
        int | None,
        typer.Option(help="Shorter side of the style image: larger, broader strokes."),
    ] = None,
    contents: ContentTerms = train_options.CONTENT_TERMS,
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
    terms: StyleTerms = train_options.STYLE_TERMS,
    scales: train_options.Scales = "",
    normalize_gradients: train_options.NormalizeGradients = False,
    lattice_weight: Annotated[
        float,
        typer.Option(
            help="Of patterns that repeat with the network's strides.",
            rich_help_panel=train_options.WEIGHTS_PANEL,
        ),
    ] = STYLE_OBJECTIVE.lattice_weight,
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
    judge: Judge = train_options.JUDGE,
    running: Running = train_options.RUNNING,
    loader: train_options.Loader = TrainStyle.loader,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate/--no-calibrate",
            help="Calibrate for 8 bits at the end, so that CPUs compute it faster.",
            rich_help_panel=train_options.RUN_PANEL,
        ),
    ] = TrainStyle.calibrate,
    json: options.Json = False,
) -> None:
    """Train a style from a picture, or several in one network, on photographs.

    Example: nst train style wave.jpg --content photos -o wave.safetensors
    """
    if extend is not None and width is not None:
        raise InputError("--extend takes the width from the checkpoint; leave out --width")
    values = PRESETS[preset]
    is_relative = terms.scaling == "relative"
    job = TrainStyle(
        style_images=tuple(style_images),
        content=tuple(content),
        output=output,
        training=fitting.settings(
            _preset_training(values, extends=extend is not None),
            style_rate=style_rate,
            stability_weight=stability_weight,
            stability_from=stability_from,
        ),
        objective=train_options.objective(
            STYLE_OBJECTIVE if is_relative else ObjectiveSettings(),
            terms,
            contents,
            scales=train_options.numbers("--scales", scales) or None,
            balanced=balance,
            style_weight=style_weight,
            normalized_gradients=normalize_gradients,
            lattice_weight=lattice_weight if is_relative else 0.0,
        ),
        architecture=architecture,
        norm=norm,
        padding=padding,
        strokes=train_options.numbers("--strokes", strokes),
        start=start,
        width=width or _preset_width(values, architecture),
        style_size=values.style_size if style_size is None else style_size,
        extend=_checkpoint_to_extend(extend),
        loader=loader,
        calibrate=calibrate,
        **judge.fields,
        **running.fields,
    )
    run(ctx, job, json)


def _preset_training(values: Preset, *, extends: bool) -> TrainingSettings:
    steps, size = values.steps, values.image_size
    if extends:
        steps = round(steps * EXTENSION_STEPS)
        return TrainingSettings(steps=steps, image_size=size, learning_rate=EXTENSION_RATE)
    return TrainingSettings(steps=steps, image_size=size)


def _checkpoint_to_extend(name: str | None) -> Path | None:
    if name is None:
        return None
    if Path(name).suffix or Path(name).exists():
        return Path(name)
    from nst_core.checkpoints.library import find_checkpoint

    found = find_checkpoint(name)
    if found.path is None:
        raise InputError(f"--extend {name}: there is no network in it; name a checkpoint")
    return found.path


def _preset_width(values: Preset, architecture: ArchitectureChoice) -> int:
    if architecture == "texture":
        return TrainStyle.width  # theirs are fixed
    return values.width if architecture == "lean" else values.johnson_width
