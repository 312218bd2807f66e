"""A lean image transformation network: as much picture for less time (not from a paper).

Johnson et al.'s network spends half of its time in layers at full size, which wait for memory. Here
the first convolution halves the sides already, the residual blocks work at an eighth of them, where
a 3x3 kernel spans 24 pixels of the picture, and nothing of many channels is at full size: strokes
come out broader, in two thirds of the time. One connection from the encoder to the decoder, at a
quarter of the sides, carries what an eighth is too coarse for.

Its last convolution has twelve channels at half size, laid out as 2 x 2 squares of three colours
(sub-pixel convolution, Shi et al. 2016). Such a layer can draw a grid of its own into flat areas:
all four places of a square answer a constant input alike only when their kernels have equal sums.
``constrain_weights`` keeps the kernels so, in training; no period of 2 pixels can then come from
what is flat. In front of a normalisation that would not do, for it enlarges a mere rounding error:
the other two enlargements repeat pixels, and all places share one kernel.

Repeated pixels are squares still, of 4 and 8 pixels of the picture, where what they show is not
flat. With bilinear upsampling there are none; then what is as fine as a painting's grain has to be
learnt with more effort, or is left out.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nst_core.networks.generator import Generator, ResidualBlock, checked_width, padded_conv
from nst_core.networks.normalization import make_norm
from nst_core.networks.registry import NormName, Upsampling


class LeanNet(Generator):
    """Feed-forward generator: N x 3 x H x W in [0, 1] to the same, for any H and W.

    ``width`` is the number of channels at half size; there are twice as many at a quarter of the
    sides and four times as many at an eighth. ``upsampling`` has no parameters: a network can be
    computed with another one than it was trained with. Raises ValueError for a width below 1.
    """

    sub_pixel_layer = "to_full.0"
    is_bounded = True
    multiple = 8
    min_side = 16
    """Reflection by a pixel at an eighth of the sides needs two there."""

    def __init__(
        self,
        width: int = 24,
        norm: NormName = "instance",
        upsampling: Upsampling = "nearest",
    ) -> None:
        super().__init__()
        self.width = checked_width(width, "the bundled styles have 24")
        half, quarter, eighth = width, 2 * width, 4 * width
        self.at_half = _down(3, half, norm, kernel_size=5)
        self.at_quarter = _down(half, quarter, norm)
        self.at_eighth = _down(quarter, eighth, norm)
        self.residual = nn.Sequential(*(_residual(eighth, norm) for _ in range(4)))
        self.to_quarter = _up(eighth, quarter, upsampling)
        self.quarter_norm = make_norm(norm, quarter)
        self.strokes = nn.Sequential(*(_residual(quarter, norm) for _ in range(2)))
        self.to_half = _up(quarter, half, upsampling)
        self.half_norm = make_norm(norm, half)
        self.to_full = nn.Sequential(padded_conv(half, 4 * 3), nn.PixelShuffle(2))
        self.constrain_weights()

    @property
    def full_size_width(self) -> int:
        """Channels at full size that would take as much memory.

        A quarter of ``width``, which is at half size; a third, as twice as many are enlarged to it.
        """
        return -(-self.width // 3)

    def forward_padded(self, padded: Tensor) -> Tensor:
        """Stylize sides that are multiples of ``multiple``, and ``min_side`` at least."""
        encoded = self.at_quarter(self.at_half(padded))
        quarter = self.to_quarter(self.residual(self.at_eighth(encoded))) + encoded
        quarter = self.strokes(functional.relu(self.quarter_norm(quarter)))
        half = functional.relu(self.half_norm(self.to_half(quarter)))
        return torch.sigmoid(self.to_full(half))

    @torch.no_grad()
    def constrain_weights(self) -> None:
        """Give the last kernels of each 2 x 2 square equal sums, and equal biases: see above.

        The nearest such kernels to those there are, so that calling it again changes nothing.
        """
        conv = cast("nn.Conv2d", self.to_full[0])
        kernels = conv.weight.view(
            3, 4, *conv.weight.shape[1:]
        )  # colours x places x inputs x 3 x 3
        sums = kernels.sum(dim=(3, 4), keepdim=True)
        surplus = sums - sums.mean(dim=1, keepdim=True)
        kernels.sub_(surplus / conv.weight[0, 0].numel())
        assert conv.bias is not None
        biases = conv.bias.view(3, 4)
        biases.copy_(biases.mean(dim=1, keepdim=True).expand_as(biases))


class Binomial(nn.Module):
    """The mean of 3 x 3 pixels, the nearer ones with more weight; N x C x H x W to the same.

    Behind nearest-neighbour upsampling it makes it bilinear, but for the borders. It and a
    convolution may change places: behind it are fewer channels.
    """

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        line = torch.tensor([0.25, 0.5, 0.25])
        kernel = torch.outer(line, line).expand(channels, 1, 3, 3).contiguous()
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Smooth each channel; borders are reflected."""
        padded = functional.pad(features, (1, 1, 1, 1), mode="reflect")
        return functional.conv2d(padded, self.kernel, groups=len(self.kernel))


def _down(inputs: int, outputs: int, norm: NormName, *, kernel_size: int = 3) -> nn.Sequential:
    conv = padded_conv(inputs, outputs, kernel_size=kernel_size, stride=2)
    return nn.Sequential(conv, make_norm(norm, outputs), nn.ReLU())


def _up(inputs: int, outputs: int, upsampling: Upsampling) -> nn.Sequential:
    nearest = (nn.Upsample(scale_factor=2, mode="nearest"), padded_conv(inputs, outputs))
    return nn.Sequential(*nearest, *([Binomial(outputs)] if upsampling == "bilinear" else []))


def _residual(channels: int, norm: NormName) -> ResidualBlock:
    return ResidualBlock(
        *(padded_conv(channels, channels), make_norm(norm, channels), nn.ReLU()),
        *(padded_conv(channels, channels), make_norm(norm, channels)),
    )
