"""Options that the commands of `nst train` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.specs import DeviceChoice, LossNetworkChoice
from jobs.training_specs import EXTENSION_RATE, LoaderChoice, NormChoice
from nst_core.settings import Scaling, Schedule, TrainingPrecision, TrainingSettings

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
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in the run folder.")]
Seed = Annotated[int, typer.Option(rich_help_panel=RUN_PANEL)]
