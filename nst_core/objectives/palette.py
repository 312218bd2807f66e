"""The painting's colours: mean and covariance of a picture's pixels, as a term to lower.

Style layers see colours among much else, and a short fit leaves them dull. Here they are compared
by themselves, over all pictures of a batch together: a crop of sky need not have all colours.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

Moments = tuple[Tensor, Tensor]
"""Moments of N pictures: means of their colours, N x 3, and of the products of two, N x 3 x 3."""


def color_moments(pictures: Tensor) -> Moments:
    """Return the moments of N x 3 x H x W pictures in [0, 1], at half size: grain is no colour."""
    pixels = functional.avg_pool2d(pictures.float(), 2).flatten(2)
    return pixels.mean(dim=2), pixels @ pixels.transpose(1, 2) / pixels.shape[2]


def palette_loss(pictures: Tensor, wanted: Moments) -> Tensor:
    """Distance of the colours of N x 3 x H x W pictures from N ``wanted`` ones, a scalar.

    The squared error of the mean by the total variance, and the covariance's by its squared norm.
    """
    mean, covariance = _pooled(color_moments(pictures))
    wanted_mean, wanted_covariance = _pooled(wanted)
    of_mean = (mean - wanted_mean).square().sum() / (wanted_covariance.trace() + 1e-6)
    error = (covariance - wanted_covariance).square().sum()
    return of_mean + error / (wanted_covariance.square().sum() + 1e-6)


def _pooled(moments: Moments) -> Moments:
    """Mean, 3, and covariance, 3 x 3, of all pixels of all pictures."""
    mean, products = (each.mean(dim=0) for each in moments)
    return mean, products - torch.outer(mean, mean)
