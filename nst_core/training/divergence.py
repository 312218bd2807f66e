"""Noticing that a training has gone wrong."""

from __future__ import annotations

import math
from copy import copy
from statistics import fmean, median
from typing import Any

_SMOOTHING = 0.95
"""Decay of the moving average of the loss: some twenty steps. With 0.9 a batch of one photograph,
whose loss may well be twice another's, would look like a divergence once in thousands of steps."""
_FIRST_STEPS = 10
"""Steps whose losses are the start, those after an explosion left out."""
_TIMES_LOWEST = 3.0
_PART_OF_FIRST = 0.8
_EXPLOSION = 10.0
"""Times the median of the first losses."""
_STEPS_TO_RECOVER = 50


class DivergenceWatch:
    """Tells a training that has diverged from one whose loss merely goes up and down.

    Diverged is what is no finite number; a smoothed loss that is three times as high as it was at
    its lowest and about as high as at the start again, so that all that was learnt is lost; and a
    loss that has leapt to ten times that of the start and does not come back below it.
    """

    def __init__(self) -> None:
        self._first_losses: list[float] = []
        self._smooth = 0.0
        self._lowest = 0.0
        self._steps_since_explosion: int | None = None

    @property
    def is_in_doubt(self) -> bool:
        """Whether the loss has leapt up and not come back yet: no state to return to."""
        return self._steps_since_explosion is not None

    def accept_loss(self, loss: float, gradient_norm: float) -> bool:
        """Take in the loss of a step; False when it must not be taken."""
        if not (math.isfinite(loss) and math.isfinite(gradient_norm)):
            return False
        self._watch_for_explosion(loss)
        if (self._steps_since_explosion or 0) >= _STEPS_TO_RECOVER:
            return False
        if len(self._first_losses) < _FIRST_STEPS:  # too few to be judged by
            if not self.is_in_doubt:
                self._first_losses.append(loss)
                self._smooth = self._lowest = fmean(self._first_losses)
            return True
        self._smooth = _SMOOTHING * self._smooth + (1 - _SMOOTHING) * loss
        self._lowest = min(self._lowest, self._smooth)
        return not (
            self._smooth > _TIMES_LOWEST * self._lowest
            and self._smooth > _PART_OF_FIRST * fmean(self._first_losses)
        )

    def _watch_for_explosion(self, loss: float) -> None:
        if not self._first_losses:
            return
        begin = median(self._first_losses)
        if loss <= begin:
            self._steps_since_explosion = None
        elif self._steps_since_explosion is not None:
            self._steps_since_explosion += 1
        elif loss > _EXPLOSION * begin:
            self._steps_since_explosion = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what going on needs."""
        return {name.removeprefix("_"): copy(value) for name, value in vars(self).items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned."""
        vars(self).update({f"_{name}": copy(value) for name, value in state.items()})
