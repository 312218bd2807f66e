"""Options that the commands of `nst train` share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from jobs.cli import options
from jobs.cli.option_groups import OptionGroup
from jobs.cli.spec_options import Look, Looks
from jobs.cli.training.run import workers_of
from jobs.specs.training import EXTENSION_RATE, LoaderChoice, NormChoice, TrainGenerator
from nst_core.engines.names import DeviceChoice
from nst_core.errors import InputError
from nst_core.settings import (
    LossNetworkName,
    ObjectiveSettings,
    Pooling,
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
Steps = Annotated[int | None, typer.Option(help="Optimisation steps.")]
BatchSize = Annotated[int, typer.Option(help="Pictures at once, for each worker.")]
Accumulate = Annotated[
    int,
    typer.Option(help="Batches of each worker that one step adds up.", rich_help_panel=FIT_PANEL),
]
ImageSize = Annotated[int | None, typer.Option(help="Side of the training pictures, pixels.")]
LearningRate = Annotated[
    float | None,
    typer.Option(
        help=f"Of Adam; {TrainingSettings.learning_rate:g} for styles, {EXTENSION_RATE:g} with "
        "--extend.",
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
DecayFrom = Annotated[
    int | None,
    typer.Option(
        metavar="STEP",
        help="Step of the first of them; default --decay-every.",
        rich_help_panel=FIT_PANEL,
    ),
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
ContentWeight = Annotated[float | None, typer.Option(rich_help_panel=WEIGHTS_PANEL)]
TvWeight = Annotated[
    float | None, typer.Option(help="Of total variation.", rich_help_panel=WEIGHTS_PANEL)
]
Scales = Annotated[
    str,
    typer.Option(
        metavar="SCALE,...",
        help="Sizes at which the loss network sees the picture, such as 1,0.5,0.25.",
        rich_help_panel=WEIGHTS_PANEL,
    ),
]
StyleLayers = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[@SCALE][=WEIGHT],...",
        help="Such as relu1_1@1,relu4_1@0.5=15; without @SCALE at each of --scales. Repeatable.",
        rich_help_panel=WEIGHTS_PANEL,
    ),
]
ContentLayers = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[@SCALE][=WEIGHT],...",
        help="As --style-layers; several are summed.",
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
    Scaling | None,
    typer.Option(
        help="How the terms are scaled, and so whose weights they take: see docs/training.md.",
        rich_help_panel=WEIGHTS_PANEL,
    ),
]
PoolingOption = Annotated[
    Pooling | None,
    typer.Option(
        help="What halves pictures within the loss network; average as in Gatys et al.",
        rich_help_panel=WEIGHTS_PANEL,
    ),
]
NormalizeGradients = Annotated[
    bool,
    typer.Option(
        "--normalize-gradients",
        help="Divide the gradient of each term by its L1 norm, as Texture Networks do.",
        rich_help_panel=WEIGHTS_PANEL,
    ),
]
LossNetwork = Annotated[
    LossNetworkName, typer.Option(help="The VGG that judges.", rich_help_panel=WEIGHTS_PANEL)
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
    defaults: ObjectiveSettings, *groups: StyleTerms | ContentTerms, **others: Any
) -> ObjectiveSettings:
    """Build an objective from options; what is None stays as ``defaults`` has it.

    Raises InputError.
    """
    return replace(defaults, **objective_changes(*groups, **others))


def objective_changes(*groups: StyleTerms | ContentTerms, **others: Any) -> dict[str, Any]:
    """Fields of ObjectiveSettings that options give; ``others`` where they are not None.

    Raises InputError.
    """
    chosen = {name: value for name, value in others.items() if value is not None}
    for group in groups:
        chosen |= group.settings
    return chosen


def numbers(option: str, text: str) -> tuple[float, ...]:
    """Read ``1,0.5``. Raises InputError."""
    try:
        read = tuple(float(item) for item in _items(text))
    except ValueError:
        read = (math.nan,)
    if not all(map(math.isfinite, read)):
        raise InputError(f"{option} {text}: numbers with commas are needed; try 1,0.5")
    return read


def _all_items(texts: Sequence[str] | None) -> tuple[str, ...]:
    """Items of an option that is given several times, or with commas, or both."""
    return tuple(item for text in texts or () for item in _items(text))


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


@dataclass(frozen=True)
class Fitting(OptionGroup):
    """Fields of TrainingSettings."""

    steps: Steps
    batch_size: BatchSize
    image_size: ImageSize
    learning_rate: LearningRate
    accumulate: Accumulate
    schedule: ScheduleOption
    warmup_steps: WarmupSteps
    decay: Decay
    decay_every: DecayEvery
    decay_from: DecayFrom
    clip_norm: ClipNorm
    average: Average
    precision: PrecisionOption
    seed: Seed

    def settings(self, defaults: TrainingSettings, **others: Any) -> TrainingSettings:
        """Return the settings that are asked for. Raises InputError."""
        return replace(defaults, **self.given, **others)


@dataclass(frozen=True)
class Running(OptionGroup):
    """Fields of TrainGenerator: where a training runs, what it keeps, whether it goes on."""

    workers: Workers = "1"
    cpus_per_worker: CpusPerWorker = None
    device: Device = TrainGenerator.device
    address: options.Address = TrainGenerator.address
    checkpoint_every: CheckpointEvery = TrainGenerator.checkpoint_every
    run_dir: RunDir = None
    resume: Resume = TrainGenerator.resume
    overwrite: options.Overwrite = TrainGenerator.overwrite

    @property
    def fields(self) -> dict[str, Any]:
        """As the job has them. Raises InputError."""
        return super().fields | {"workers": workers_of(self.workers)}


@dataclass(frozen=True)
class Judge(OptionGroup):
    """The loss network."""

    loss_network: LossNetwork = TrainGenerator.loss_network
    loss_network_weights: LossNetworkWeights = None


@dataclass(frozen=True)
class StyleTerms(OptionGroup):
    """Fields of ObjectiveSettings: those that do not need a content."""

    scaling: ScalingOption = ObjectiveSettings.scaling
    style_layers: StyleLayers = None
    style_statistic: StyleStatisticOption = "gram"
    tv_weight: TvWeight = ObjectiveSettings.tv_weight
    pooling: PoolingOption = ObjectiveSettings.pooling

    @property
    def settings(self) -> dict[str, Any]:
        """Those that are given, as the settings have them. Raises InputError."""
        found = {
            "scaling": self.scaling,
            "style_layers": _all_items(self.style_layers) or None,
            "statistics": tuple(map(_statistic, _items(self.style_statistic))) or None,
            "tv_weight": self.tv_weight,
            "pooling": self.pooling,
        }
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class ContentTerms(OptionGroup):
    """Fields of ObjectiveSettings: those of the content."""

    content_layers: ContentLayers = None
    content_weight: ContentWeight = ObjectiveSettings.content_weight

    @property
    def settings(self) -> dict[str, Any]:
        """Those that are given, as the settings have them."""
        layers = _all_items(self.content_layers)
        weight = {} if self.content_weight is None else {"content_weight": self.content_weight}
        return weight | ({"content_layers": layers} if layers else {})


JUDGE, RUNNING, STYLE_TERMS, CONTENT_TERMS = Judge(), Running(), StyleTerms(), ContentTerms()
"""With the program's own defaults."""
NO_STYLE_TERMS = StyleTerms(scaling=None, style_statistic="", tv_weight=None, pooling=None)
NO_CONTENT_TERMS = ContentTerms(content_weight=None)
"""Where something else has the defaults, such as a checkpoint."""


def _items_of_all(texts: Sequence[str] | None) -> tuple[str, ...]:
    """Items of an option that is given several times, or with commas, or both."""
    return tuple(item for text in texts or () for item in _items(text))


def _statistics(text: str) -> tuple[StyleStatistic, ...]:
    return tuple(map(_statistic, _items(text)))


WEIGHT: Look = {"rich_help_panel": WEIGHTS_PANEL}
_LAYERS: Look = WEIGHT | {
    "kind": list[str],
    "default": None,
    "read": _items_of_all,
    "metavar": "NAME[@SCALE][=WEIGHT],...",
}
OBJECTIVE_LOOKS: Looks = {
    "output": options.OUTPUT,
    "style_weight": WEIGHT,
    "content_weight": WEIGHT,
    "tv_weight": WEIGHT | {"help": "Of total variation."},
    "scaling": WEIGHT
    | {"help": "How the terms are scaled, and so whose weights they take: see docs/training.md."},
    "style_layers": _LAYERS
    | {"help": "Such as relu1_1@1,relu4_1@0.5=15; without @SCALE at each of --scales. Repeatable."},
    "content_layers": _LAYERS | {"help": "As --style-layers; several are summed."},
    "scales": WEIGHT
    | {
        "kind": str,
        "default": "",
        "read": partial(numbers, "--scales"),
        "metavar": "SCALE,...",
        "help": "Sizes at which the loss network sees the picture, such as 1,0.5,0.25.",
    },
    "statistics": WEIGHT
    | {
        "names": ("--style-statistic",),
        "kind": str,
        "default": "gram",
        "read": _statistics,
        "metavar": "gram|mean-covariance,...",
        "help": "What is to be the painting's: one for all style images, or one for each.",
    },
    "pooling": WEIGHT
    | {"help": "What halves pictures within the loss network; average as in Gatys et al."},
    "loss_network": WEIGHT,
    "loss_network_weights": WEIGHT | {"envvar": "NST_LOSS_NETWORK_WEIGHTS"},
}
"""How the options of an objective and its loss network look."""
