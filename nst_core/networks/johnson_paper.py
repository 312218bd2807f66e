"""The image transformation network of Johnson, Alahi and Fei-Fei 2016, exactly.

Layer by layer the table 1 of the paper's supplement: 40 pixels of reflection in front, residual
blocks of unpadded convolutions whose identity is cropped at the centre (10 pixels a side over
five blocks at a quarter of the size: the 40 in front), fractionally strided convolutions, and a
scaled tanh. ``nst_core/networks/transformer.py`` has the everyday variant.
"""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from nst_core.networks.generator import Generator, ResidualBlock, checked_width
from nst_core.networks.normalization import initialize_as_authors, make_norm
from nst_core.networks.output_range import ScaledTanh
from nst_core.networks.registry import NormName

_REFLECTION = 40


class JohnsonNet(Generator):
    """Feed-forward generator: N x 3 x H x W in [0, 1] to the same, for any H and W.

    ``width`` is the number of channels of the first convolution: 32 in the paper (1,679,235
    parameters), 16 in the networks its authors released (424,899). ``norm`` is ``batch`` in the
    paper; its authors' later models and Ulyanov, Vedaldi and Lempitsky 2017 have ``instance``.

    Sizes that are no multiple of 4 are filled up by repeating the last row and column, and the
    output is cropped: the paper is silent about them.
    """

    output_layer = "decoder.6"
    multiple = 4
    min_side = _REFLECTION + multiple
    """Reflection of 40 pixels needs more than 40 of them, in a multiple of 4."""

    def __init__(self, width: int = 32, norm: NormName = "batch") -> None:
        super().__init__()
        self.width = checked_width(width, "the paper has 32")
        self.norm = norm
        self.encoder = nn.Sequential(
            *(nn.Conv2d(3, width, 9, padding=4), make_norm(norm, width), nn.ReLU()),
            *_down(width, 2 * width, norm),
            *_down(2 * width, 4 * width, norm),
        )
        self.residual = nn.Sequential(*(_residual(4 * width, norm) for _ in range(5)))
        self.decoder = nn.Sequential(
            *_up(4 * width, 2 * width, norm),
            *_up(2 * width, width, norm),
            nn.Conv2d(width, 3, 9, padding=4),
        )
        self.picture_range = ScaledTanh()
        self.finish = nn.Identity()
        initialize_as_authors(self)

    def forward_padded(self, padded: Tensor) -> Tensor:
        """Stylize sides that are multiples of 4, and ``min_side`` at least."""
        padded = F.pad(self.picture_range.centred(padded), (_REFLECTION,) * 4, mode="reflect")
        output = self.finish(self.decoder(self.residual(self.encoder(padded))))
        return cast("Tensor", self.picture_range(output))


def _residual(channels: int, norm: NormName) -> ResidualBlock:
    """Two convolutions without padding, 2 pixels a side."""
    return ResidualBlock(
        *(nn.Conv2d(channels, channels, 3), make_norm(norm, channels), nn.ReLU()),
        *(nn.Conv2d(channels, channels, 3), make_norm(norm, channels)),
        cropped=2,
    )


def _down(inputs: int, outputs: int, norm: NormName) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
    return conv, make_norm(norm, outputs), nn.ReLU()


def _up(inputs: int, outputs: int, norm: NormName) -> tuple[nn.Module, ...]:
    """Stride 1/2: exactly twice the size."""
    conv = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
    return conv, make_norm(norm, outputs), nn.ReLU()
