"""Light where the photograph is light: what keeps a style's dark strokes off lit, smooth things.

The content layers see edges and forms. Within a smooth form a network may draw the painting's
contrasts as blotches of light and shade that the photograph does not have, and what was round looks
flat and stained. Here areas wider than a stroke are to be lighter and darker in the photograph's
order; which colours they have, and how much contrast, is the painting's.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_AREA = 8
"""Side in pixels of the areas whose light is compared: strokes are narrower."""
_FLAT = 1e-3
"""Variance of light, of pictures in [0, 1], that is added: a flat picture has no order."""


def shading_loss(pictures: Tensor, contents: Tensor) -> Tensor:
    """1 minus the correlation of light in areas of 8 x 8 pixels, a scalar: 0 to 2.

    Both are N x 3 x H x W in [0, 1], of one size and no smaller than an area.
    """
    made, wanted = _centred(pictures), _centred(contents)
    spread = (made.square().mean(dim=1) + _FLAT) * (wanted.square().mean(dim=1) + _FLAT)
    return (1 - (made * wanted).mean(dim=1) / spread.sqrt()).mean()


def _centred(pictures: Tensor) -> Tensor:
    """Light of each area, less the picture's mean: N x areas."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=pictures.device).view(1, 3, 1, 1)
    light = (pictures.float() * weights).sum(dim=1, keepdim=True)
    areas = functional.avg_pool2d(light, _AREA).flatten(1)
    return areas - areas.mean(dim=1, keepdim=True)
