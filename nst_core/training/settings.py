"""How a generator is fitted: plain values with their defaults, light to import."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from nst_core.checks import check_at_least, check_seed, check_weight, option_of
from nst_core.errors import InputError

Schedule = Literal["constant", "step", "cosine"]
TrainingPrecision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast a generator is fitted."""

    steps: int = 2000
    """Optimisation steps."""
    batch_size: int = 4
    """Pictures at once, for each worker."""
    accumulate: int = 1
    """Batches of each worker that one step adds up.

    Larger steps without more memory."""
    image_size: int = 256
    """Side of the training pictures, pixels.

    They are square crops."""
    learning_rate: float = 1e-3
    """Adam's rate after the warm-up (Johnson et al., section 4.1)."""
    style_rate: float = 4.0
    """Rate of what tells several styles apart, in learning rates.

    These are the parameters that each style has of its own; each style has but a part of the
    pictures."""
    schedule: Schedule = "cosine"
    """What follows the warm-up: the same rate on (Johnson et al. 2016), times ``decay`` at step
    ``decay_from`` and every ``decay_every`` steps from there (both papers of Ulyanov et al.), or a
    cosine down to ``final_rate``."""
    warmup_steps: int = 20
    """Steps in which the rate rises.

    From 0; a quarter of all steps at most."""
    final_rate: float = 0.05
    """Fraction of the learning rate that the cosine ends at."""
    decay: float = 0.8
    """Factor of --schedule step."""
    decay_every: int = 2000
    """Steps between its decays."""
    decay_from: int | None = None
    """Step of the first of them; default --decay-every."""
    clip_norm: float | None = None
    """Longest gradient (Euclidean norm); default any."""
    average: float = 0.999
    """Decay of the weights' moving average; 0: none.

    The average is what is kept in the end, else the last weights themselves."""
    stability_weight: float = 0.0
    """Weight of the stability loss (see stability.py); 0: it is not computed."""
    stability_from: float = 0.0
    """Part of the steps after which it counts.

    Strokes are found first."""
    seed: int = 0
    precision: TrainingPrecision = "auto"
    """auto: bfloat16 where the processor has it.

    ``bfloat16``: autocast of generator and loss network; Gram matrices and losses stay float32."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulate", "decay_every"):
            check_at_least(1, option_of(name), getattr(self, name))
        check_seed(self.seed)
        clip, first = self.clip_norm, self.decay_from
        for field, is_allowed, allowed in (
            ("decay_from", first is None or first >= 1, "a step of 1 or more is needed"),
            ("image_size", self.image_size >= 32, "at least 32 pixels are needed"),
            ("learning_rate", 0 < self.learning_rate < 1, "between 0 and 1; try 0.001"),
            ("style_rate", 0 < self.style_rate <= 100, "above 0, and 100 at most; try 4"),
            ("warmup_steps", self.warmup_steps >= 0, "0 or more are needed"),
            ("final_rate", 0 < self.final_rate <= 1, "above 0, and 1 at most"),
            ("decay", 0 < self.decay <= 1, "above 0, and 1 at most"),
            ("average", 0 <= self.average < 1, "from 0 to below 1; try 0.999"),
            ("clip_norm", clip is None or 0 < clip < math.inf, "a number above 0 is needed"),
            ("stability_from", 0 <= self.stability_from <= 1, "0 to 1 is allowed"),
        ):
            if not is_allowed:
                raise InputError(f"{option_of(field)} {getattr(self, field)}: {allowed}")
        check_weight("--stability-weight", self.stability_weight)
