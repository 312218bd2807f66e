"""The super-resolution network of Johnson, Alahi and Fei-Fei 2016 (section 3.1, supplement)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from nst_core.networks.generator import Generator, ResidualBlock, checked_width
from nst_core.networks.normalization import make_norm
from nst_core.networks.output_range import ScaledTanh
from nst_core.networks.registry import NormName

SCALES = (4, 8)


class SuperResolutionNet(Generator):
    """N x 3 x H x W in [0, 1] to N x 3 x scale*H x scale*W, for any H and W.

    c9s1-64, four residual blocks of 64, a convolution of stride 1/2 for each doubling, c9s1-3,
    zero padding, normalisation and ReLU after all but the last, a scaled tanh: 401,859 parameters
    at scale 4, 438,915 at scale 8. The paper has ``batch`` normalisation; its running averages
    at test time keep the contrast of a picture, which ``instance`` would take out.
    """

    output_layer = "tail"

    def __init__(self, scale: int = 4, width: int = 64, norm: NormName = "batch") -> None:
        super().__init__()
        if scale not in SCALES:
            raise ValueError(f"scale {scale}: 4 or 8 is allowed")
        self.scale = scale
        self.width = checked_width(width, "the paper has 64")
        self.tiles = norm == "batch"  # at test time its norms are constants
        doublings = int(math.log2(scale))
        self.head = nn.Sequential(
            nn.Conv2d(3, width, 9, padding=4), make_norm(norm, width), nn.ReLU()
        )
        self.residual = nn.Sequential(*(_residual(width, norm) for _ in range(4)))
        self.upsampling = nn.Sequential(
            *(layer for _ in range(doublings) for layer in _up(width, norm))
        )
        self.tail = nn.Conv2d(width, 3, 9, padding=4)
        self.picture_range = ScaledTanh()
        self.finish = nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        """Enlarge N x 3 x H x W in [0, 1]."""
        features = self.residual(self.head(self.picture_range.centred(image) / 255))
        output: Tensor = self.picture_range(self.finish(self.tail(self.upsampling(features))))
        return output if self.training else output.clamp(0, 1)


def _residual(channels: int, norm: NormName) -> ResidualBlock:
    return ResidualBlock(
        *(nn.Conv2d(channels, channels, 3, padding=1), make_norm(norm, channels), nn.ReLU()),
        *(nn.Conv2d(channels, channels, 3, padding=1), make_norm(norm, channels)),
    )


def _up(channels: int, norm: NormName) -> tuple[nn.Module, ...]:
    """Stride 1/2: exactly twice the size."""
    conv = nn.ConvTranspose2d(channels, channels, 3, stride=2, padding=1, output_padding=1)
    return conv, make_norm(norm, channels), nn.ReLU()
