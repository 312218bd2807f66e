"""Style weights that find themselves: every painting equally bold with one ``--style-weight``.

With the same weight one painting swallows the photograph where another barely colours it: how far
relative errors of two paintings can fall differs. So each style has a factor of its own, which
rises while its pictures are nearer to their photographs than is aimed at, and falls while they are
farther away. What is aimed at is a content error, the relative distance of activations; it grows
with the style weight.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nst_core.objectives.settings import BOLD_STYLE_WEIGHT

BOLD_CONTENT_ERROR = 0.75
"""What is aimed at with BOLD_STYLE_WEIGHT."""
_GROWTH = 0.25
"""Four times the style weight aims at 1.4 times the content error."""
_LARGEST_AIM = 0.95
_GAIN = 0.1
"""Change of a factor's logarithm for each picture and unit of error."""
_LARGEST_FACTOR = 6.0


def content_error_aimed_at(style_weight: float) -> float:
    """Relative content error that trainings with this style weight come to."""
    bolder: float = (style_weight / BOLD_STYLE_WEIGHT) ** _GROWTH
    return min(_LARGEST_AIM, BOLD_CONTENT_ERROR * bolder)


class StyleBalance:
    """A factor of the style weight for each of ``styles`` rows.

    ``observe`` takes in the content errors of a step, of all workers together.
    """

    def __init__(self, styles: int, style_weight: float, device: torch.device) -> None:
        self._aim = content_error_aimed_at(style_weight)
        self._log_factors = torch.zeros(styles, device=device)

    @property
    def factors(self) -> Tensor:
        """One number above 0 for each style."""
        return self._log_factors.exp()

    def observe(self, content_errors: Tensor, pictures: Tensor) -> None:
        """Move the factors: ``content_errors`` has the sum over each style's ``pictures``."""
        limit = torch.tensor(_LARGEST_FACTOR).log().item()
        steps = _GAIN * (self._aim * pictures - content_errors)
        self._log_factors = (self._log_factors + steps).clamp(-limit, limit)

    def state_dict(self) -> dict[str, Tensor]:
        """Return what going on needs."""
        return {"log_factors": self._log_factors}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from what ``state_dict`` returned."""
        self._log_factors = state["log_factors"].to(self._log_factors)
