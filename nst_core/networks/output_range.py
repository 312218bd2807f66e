"""Between the generators' numbers and pictures in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_MEAN = (123.68, 116.779, 103.939)
"""ImageNet's mean colour, RGB, 0 to 255, as in the papers' code."""
_AMPLITUDE = 150.0


class ScaledTanh(nn.Module):
    """150 tanh(x) around ImageNet's mean (Johnson et al. 2016, authors' code), on the scale [0, 1].

    The range is a little wider than a picture's, so that black and white can be reached.
    """

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        mean = torch.tensor(_MEAN).view(1, 3, 1, 1)
        self.register_buffer("mean", mean / 255, persistent=False)

    def centred(self, image: Tensor) -> Tensor:
        """What a generator of that code takes in: [0, 1] to 0..255 around the mean."""
        return (image - self.mean) * 255

    def forward(self, output: Tensor) -> Tensor:
        """Any number to about [0, 1]."""
        return torch.tanh(output) * (_AMPLITUDE / 255) + self.mean
