"""Options that the commands of `nst train` share."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from jobs.specs import DeviceChoice, LossNetworkChoice
from jobs.training_specs import EXTENSION_RATE, LoaderChoice, NormChoice
from nst_core.errors import InputError
from nst_core.settings import (
    ObjectiveSettings,
    Scaling,
    Schedule,
    StyleStatistic,
    TrainingPrecision,
    TrainingSettings,
)

FIT_PANEL = "The optimisation"
WEIGHTS_PANEL = "The objective"
RUN_PANEL = "The run"

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
    int,
    typer.Option(help="Batches of each worker that one step adds up.", rich_help_panel=FIT_PANEL),
]
ImageSize = Annotated[int, typer.Option(help="Side of the training pictures, pixels.")]
PresetImageSize = Annotated[int | None, typer.Option(help="Side of the training pictures, pixels.")]
LearningRate = Annotated[float, typer.Option(help="Of Adam.", rich_help_panel=FIT_PANEL)]
StyleLearningRate = Annotated[
    float | None,
    typer.Option(
        help=f"Of Adam; default {TrainingSettings.learning_rate:g}, "
        f"with --extend {EXTENSION_RATE:g}.",
        rich_help_panel=FIT_PANEL,
    ),
]
ScheduleOption = Annotated[
    Schedule, typer.Option(help="Of the rate after the warm-up.", rich_help_panel=FIT_PANEL)
]
Decay = Annotated[float, typer.Option(help="Factor of --schedule step.", rich_help_panel=FIT_PANEL)]
DecayEvery = Annotated[
    int, typer.Option(help="Steps between its decays.", rich_help_panel=FIT_PANEL)
]
WarmupSteps = Annotated[
    int, typer.Option(help="Steps in which the rate rises.", rich_help_panel=FIT_PANEL)
]
ClipNorm = Annotated[
    float | None,
    typer.Option(help="Longest gradient (Euclidean norm); default any.", rich_help_panel=FIT_PANEL),
]
Average = Annotated[
    float,
    typer.Option(help="Decay of the weights' moving average; 0: none.", rich_help_panel=FIT_PANEL),
]
PrecisionOption = Annotated[
    TrainingPrecision,
    typer.Option(help="auto: bfloat16 where the processor has it.", rich_help_panel=FIT_PANEL),
]
ContentWeight = Annotated[float, typer.Option(rich_help_panel=WEIGHTS_PANEL)]
StyleWeight = Annotated[float, typer.Option(rich_help_panel=WEIGHTS_PANEL)]
TvWeight = Annotated[float, typer.Option(help="Of total variation.", rich_help_panel=WEIGHTS_PANEL)]
Scales = Annotated[
    str,
    typer.Option(
        metavar="SCALE,...",
        help="Sizes at which the loss network sees the picture, such as 1,0.5,0.25.",
        rich_help_panel=WEIGHTS_PANEL,
    ),
]
StyleLayers = Annotated[
    str,
    typer.Option(
        metavar="NAME[@SCALE][=WEIGHT],...",
        help="Such as relu1_1@1,relu4_1@0.5=15; without @SCALE at each of --scales.",
        rich_help_panel=WEIGHTS_PANEL,
    ),
]
ContentLayers = Annotated[
    str,
    typer.Option(
        metavar="NAME[@SCALE][=WEIGHT],...",
        help="As --style-layers.",
        rich_help_panel=WEIGHTS_PANEL,
    ),
]
StyleStatisticOption = Annotated[
    str,
    typer.Option(
        metavar="gram|mean-covariance,...",
        help="What is to be the painting's: one for all style images, or one for each.",
        rich_help_panel=WEIGHTS_PANEL,
    ),
]
ScalingOption = Annotated[
    Scaling, typer.Option(help="What the weights belong to.", rich_help_panel=WEIGHTS_PANEL)
]
LossNetwork = Annotated[
    LossNetworkChoice, typer.Option(help="The VGG that judges.", rich_help_panel=WEIGHTS_PANEL)
]
LossNetworkWeights = Annotated[
    Path | None,
    typer.Option(
        envvar="NST_LOSS_NETWORK_WEIGHTS",
        help="Its weights; default torchvision's download.",
        rich_help_panel=WEIGHTS_PANEL,
    ),
]


def objective(
    defaults: ObjectiveSettings,
    *,
    scales: str = "",
    style_layers: str = "",
    content_layers: str = "",
    statistics: str = "",
    balance: bool | None = None,
    style_weight: float | None = None,
    **weights: Any,
) -> ObjectiveSettings:
    """Build an objective from options; what is empty or None stays as ``defaults`` has it.

    Raises InputError.
    """
    given: dict[str, Any] = {
        "scales": numbers("--scales", scales),
        "style_layers": _items(style_layers),
        "content_layers": _items(content_layers),
        "statistics": tuple(map(_statistic, _items(statistics))),
    }
    chosen = {name: value for name, value in given.items() if value}
    if balance is not None:
        chosen["balanced"] = balance
    if style_weight is not None:
        chosen["style_weight"] = style_weight
    return replace(defaults, **chosen, **weights)


def numbers(option: str, text: str) -> tuple[float, ...]:
    """Read ``1,0.5``. Raises InputError."""
    try:
        read = tuple(float(item) for item in _items(text))
    except ValueError:
        read = (math.nan,)
    if not all(map(math.isfinite, read)):
        raise InputError(f"{option} {text}: numbers with commas are needed; try 1,0.5")
    return read


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _statistic(text: str) -> StyleStatistic:
    for known in get_args(StyleStatistic):
        if text == known:
            statistic: StyleStatistic = known
            return statistic
    raise InputError(
        f"--style-statistic {text}: {' or '.join(get_args(StyleStatistic))} is allowed"
    )


Workers = Annotated[
    str,
    typer.Option(
        metavar="N|MIN:MAX",
        help="MIN:MAX goes on with fewer, and takes in more, as nodes go and come.",
        rich_help_panel=RUN_PANEL,
    ),
]
CpusPerWorker = Annotated[
    int | None, typer.Option(help="Default: an equal share.", rich_help_panel=RUN_PANEL)
]
Device = Annotated[DeviceChoice, typer.Option(rich_help_panel=RUN_PANEL)]
Loader = Annotated[
    LoaderChoice,
    typer.Option(
        help="ray-data reads photographs on any machine of the cluster.", rich_help_panel=RUN_PANEL
    ),
]
CheckpointEvery = Annotated[
    int, typer.Option(help="Steps between checkpoints.", rich_help_panel=RUN_PANEL)
]
RunDir = Annotated[
    Path | None,
    typer.Option(
        help="Metrics, previews, checkpoints; default OUTPUT.run.", rich_help_panel=RUN_PANEL
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with the run in the run folder; its options need not be repeated, more --steps "
        "make it longer.",
    ),
]
Seed = Annotated[int, typer.Option(rich_help_panel=RUN_PANEL)]
