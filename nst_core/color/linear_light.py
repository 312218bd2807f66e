"""Linear light, as EXR holds it, to what displays show and networks see, and back.

The curve is sRGB's (IEC 61966-2-1). Light below 0 and above 1, which no display shows, is clipped.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LINEAR_BELOW = 0.0031308


def to_display(light: Tensor) -> Tensor:
    """Encode light for displays: any numbers to [0, 1]; what is no number becomes 0."""
    light = light.nan_to_num(0.0).clamp_(0, 1)
    curve = light.pow(1 / 2.4).mul_(1.055).sub_(0.055)
    return torch.where(light <= _LINEAR_BELOW, light * 12.92, curve)


def to_light(encoded: Tensor) -> Tensor:
    """Decode [0, 1] to light."""
    curve = ((encoded + 0.055) / 1.055).pow_(2.4)
    return torch.where(encoded <= _LINEAR_BELOW * 12.92, encoded / 12.92, curve)


def straight(light: Tensor, alpha: Tensor | None) -> Tensor:
    """Undo the multiplication of N x 3 x H x W light by N x H x W alpha."""
    if alpha is None:
        return light
    shows = alpha[:, None]
    return torch.where(shows > 0, light / shows, light)


def clips(light: Tensor, alpha: Tensor | None) -> bool:
    """Whether any of N x C x H x W light, multiplied by its alpha, is brighter than displays show.

    By more than the rounding of half floats.
    """
    most = 1.0 if alpha is None else alpha[:, None].clamp(min=0)
    return bool((light > most + 1e-3).any())
