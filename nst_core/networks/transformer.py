"""The image transformation network of Johnson, Alahi and Fei-Fei 2016, everyday variant.

Layers and widths are those of the paper's supplement (table 1). Departures, each common since:
every convolution pads by reflection by itself instead of 40 pixels once in front; a stride of 1/2
is a nearest-neighbour upsampling followed by a convolution (no checkerboard); instance instead of
batch normalisation (Ulyanov, Vedaldi and Lempitsky 2017); the output goes through a sigmoid.
``nst_core/networks/johnson_paper.py`` has the network of the paper itself.
"""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from nst_core.networks.generator import Generator, ResidualBlock, checked_width, padded_conv
from nst_core.networks.normalization import make_norm
from nst_core.networks.registry import NormName, Padding


class TransformerNet(Generator):
    """Feed-forward generator: N x 3 x H x W in [0, 1] to the same, for any H and W.

    ``width`` is the number of channels of the first convolution: 32 in the paper
    (1,679,235 parameters), 16 in the networks its authors released (424,899).

    ``norm`` ``batch`` and ``padding`` ``zeros`` are there to be compared with.

    No mean is subtracted on the way in: the first convolution is followed by a normalisation,
    which takes out any shift and scale of its input.
    """

    output_layer = "decoder.4"
    is_bounded = True
    multiple = 4
    min_side = 16
    """Reflection by 4 pixels at full size and by 1 at a quarter of it both need some picture."""

    def __init__(
        self, width: int = 32, norm: NormName = "instance", padding: Padding = "reflect"
    ) -> None:
        super().__init__()
        self.width = checked_width(width, "the paper has 32")
        if padding not in ("reflect", "zeros"):
            raise ValueError(f"padding {padding!r}: reflect or zeros is needed")
        conv = partial(padded_conv, mode=padding)

        def conv_norm_relu(
            inputs: int, outputs: int, kernel_size: int = 3, stride: int = 1
        ) -> nn.Sequential:
            first = conv(inputs, outputs, kernel_size=kernel_size, stride=stride)
            return nn.Sequential(first, make_norm(norm, outputs), nn.ReLU())

        def residual(channels: int) -> ResidualBlock:
            first, second = conv_norm_relu(channels, channels), conv(channels, channels)
            return ResidualBlock(first, second, make_norm(norm, channels))

        self.encoder = nn.Sequential(
            conv_norm_relu(3, width, kernel_size=9),
            conv_norm_relu(width, 2 * width, stride=2),
            conv_norm_relu(2 * width, 4 * width, stride=2),
        )
        self.residual = nn.Sequential(*(residual(4 * width) for _ in range(5)))
        self.decoder = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="nearest"),
            conv_norm_relu(4 * width, 2 * width),
            nn.Upsample(scale_factor=2, mode="nearest"),
            conv_norm_relu(2 * width, width),
            conv(width, 3, kernel_size=9),
        )
        self.finish = nn.Identity()

    def forward_padded(self, padded: Tensor) -> Tensor:
        """Stylize sides that are multiples of ``multiple``, and ``min_side`` at least."""
        output = torch.sigmoid(self.decoder(self.residual(self.encoder(padded))))
        return cast("Tensor", self.finish(output))
