"""Noticing that a training has gone wrong."""

from __future__ import annotations

import math

_SMOOTHING = 0.95
"""Decay of the moving average of the loss: some twenty steps. With 0.9 a batch of one photograph,
whose loss may well be twice another's, would look like a divergence once in thousands of steps."""
_FIRST_STEPS = 10
"""Steps whose mean is the loss at the start."""
_TIMES_LOWEST = 3.0
_PART_OF_FIRST = 0.8


class DivergenceWatch:
    """Tells a training that has diverged from one whose loss merely goes up and down.

    Diverged is what is no finite number, and a smoothed loss that is three times as high as it
    was at its lowest and about as high as at the start again: all that was learnt is lost.
    """

    def __init__(self) -> None:
        self._steps = 0
        self._first = 0.0
        self._smooth = 0.0
        self._lowest = math.inf

    def is_well(self, loss: float, gradient_norm: float) -> bool:
        """Take in the loss of a step; False when it must not be taken."""
        if not (math.isfinite(loss) and math.isfinite(gradient_norm)):
            return False
        self._steps += 1
        if self._steps <= _FIRST_STEPS:  # too few to be judged by
            self._first += (loss - self._first) / self._steps
            self._smooth = self._lowest = self._first
            return True
        self._smooth = _SMOOTHING * self._smooth + (1 - _SMOOTHING) * loss
        self._lowest = min(self._lowest, self._smooth)
        return not (
            self._smooth > _TIMES_LOWEST * self._lowest
            and self._smooth > _PART_OF_FIRST * self._first
        )

    def state_dict(self) -> dict[str, float]:
        """Return what going on needs."""
        return {
            "steps": self._steps,
            "first": self._first,
            "smooth": self._smooth,
            "lowest": self._lowest,
        }

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from what ``state_dict`` returned."""
        self._steps = int(state["steps"])
        self._first = state["first"]
        self._smooth = state["smooth"]
        self._lowest = state["lowest"]
