"""How the options of trainings and of their objectives look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import get_args

from jobs.cli.options import OUTPUT, panel
from jobs.cli.spec_options import Look, Looks
from jobs.specs.training import EXTENSION_RATE
from nst_core.errors import InputError
from nst_core.objectives.settings import StyleStatistic
from nst_core.training.settings import TrainingSettings


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


def _statistics(text: str) -> tuple[str, ...]:
    for item in _items(text):
        if item not in get_args(StyleStatistic):
            raise InputError(
                f"--style-statistic {item}: {' or '.join(get_args(StyleStatistic))} is allowed"
            )
    return _items(text)


def _workers(text: str) -> tuple[int, int]:
    """Read ``2`` or ``1:4``. Raises InputError."""
    least, _, most = text.partition(":")
    try:
        return int(least), int(most or least)
    except ValueError as error:
        raise InputError(
            f"--workers {text}: a number, or at least and at most, is needed; try 1:4"
        ) from error


WEIGHT: Look = {"rich_help_panel": "The objective"}
_FIT: Look = {"rich_help_panel": "The optimisation"}
_RUN: Look = {"rich_help_panel": "The run"}
_LAYERS: Look = WEIGHT | {
    "kind": list[str],
    "default": None,
    "read": _all_items,
    "metavar": "NAME[@SCALE][=WEIGHT],...",
}
OBJECTIVE_LOOKS: Looks = {
    **panel(WEIGHT, "style_weight content_weight pooling loss_network"),
    "output": OUTPUT,
    "tv_weight": WEIGHT | {"help": "Of total variation."},
    "scaling": WEIGHT
    | {"help": "How the terms are scaled, and so whose weights they take: see docs/training.md."},
    "style_layers": _LAYERS
    | {"help": "Such as relu1_1@1,relu4_1@0.5=15; without @SCALE at each of --scales. Repeatable."},
    "content_layers": _LAYERS | {"help": "As --style-layers; several are summed."},
    "scales": WEIGHT
    | {"kind": str, "default": "", "read": partial(numbers, "--scales"), "metavar": "SCALE,..."},
    "statistics": WEIGHT
    | {
        "names": ("--style-statistic",),
        "kind": str,
        "default": "gram",
        "read": _statistics,
        "metavar": "gram|mean-covariance,...",
    },
    "loss_network_weights": WEIGHT | {"envvar": "NST_LOSS_NETWORK_WEIGHTS"},
}
TRAINING_LOOKS: Looks = {
    **OBJECTIVE_LOOKS,
    **panel(_FIT, "accumulate warmup_steps decay decay_every clip_norm average precision"),
    **panel(_RUN, "cpus_per_worker device loader checkpoint_every run_dir seed"),
    "learning_rate": _FIT
    | {
        "help": f"Of Adam; {TrainingSettings.learning_rate:g} for styles, {EXTENSION_RATE:g} with "
        "--extend."
    },
    "schedule": _FIT | {"help": "Of the rate after the warm-up."},
    "decay_from": _FIT | {"metavar": "STEP"},
    "workers": _RUN | {"kind": str, "default": "1", "read": _workers, "metavar": "N|MIN:MAX"},
    "address": {"envvar": "NST_ADDRESS", "rich_help_panel": "Where it runs"},
    "normalized_gradients": WEIGHT | {"names": ("--normalize-gradients",)},
}
