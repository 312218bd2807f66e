"""Patterns that repeat with a generator's strides: the grid in flat skies, as a term to lower.

A generator that computes at an eighth of the sides can draw whatever repeats every 8 pixels at no
cost, in each place of an 8 x 8 square something else; where a sky has no structure of its own, that
is the cheapest texture there is (periods of 8, 4 and 2 pixels). Averaging all squares of a window
keeps that part of a picture and hardly anything else: strokes lie differently in each of them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

PERIOD = 8
"""Pixels: the largest stride of this project's generators."""
_SQUARES = 8
"""Along each side of a window. Fewer, and strokes look like a pattern; more, and a small sky has no
window of its own."""
_SMOOTHED = 9
"""Side of the blur that is taken away first: slopes of light are no pattern."""


def lattice_ratio(pictures: Tensor) -> Tensor:
    """How much of each window repeats every 8 pixels: N x 3 x H x W to N x windows.

    The energy of the mean square, times the number of squares it is a mean of, over the window's
    own energy: 1 to 3 where nothing repeats, ``_SQUARES`` squared where everything does.
    Windows are 64 pixels wide; what is left over at the right and below is not looked at.
    """
    light = pictures.float().mean(dim=1, keepdim=True)
    window, margin = PERIOD * _SQUARES, _SMOOTHED // 2
    rows, columns = (side // window for side in light.shape[-2:])
    if not (rows and columns):
        return light.new_zeros(len(light), 0)
    smooth = functional.avg_pool2d(light, _SMOOTHED, stride=1)
    detail = light[..., margin:-margin, margin:-margin] - smooth
    detail = functional.pad(detail, [margin] * 4)[..., : rows * window, : columns * window]
    squares = detail.reshape(len(light), rows, _SQUARES, PERIOD, columns, _SQUARES, PERIOD)
    mean_square = squares.mean(dim=(2, 5))
    pattern = mean_square - mean_square.mean(dim=(2, 4), keepdim=True)
    energy = squares.square().mean(dim=(2, 3, 5, 6))
    ratio = _SQUARES**2 * pattern.square().mean(dim=(2, 4)) / (energy + 1e-6)
    return ratio.flatten(1)


def lattice_loss(pictures: Tensor) -> Tensor:
    """Mean of log(1 + ratio) over all windows, a scalar; 0 for pictures smaller than a window.

    The logarithm lets a faint grid in a sky count beside a strong one.
    """
    ratios = lattice_ratio(pictures)
    return torch.log1p(ratios).mean() if ratios.numel() else pictures.new_zeros(())
