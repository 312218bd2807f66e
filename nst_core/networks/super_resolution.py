"""The super-resolution network of Johnson, Alahi and Fei-Fei 2016 (section 3.1, supplement)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from nst_core.networks.normalization import make_norm
from nst_core.networks.output_range import ScaledTanh, within_range
from nst_core.settings import NormName

SCALES = (4, 8)


class SuperResolutionNet(nn.Module):
    """N x 3 x H x W in [0, 1] to N x 3 x scale*H x scale*W, for any H and W.

    c9s1-64, four residual blocks of 64, a convolution of stride 1/2 for each doubling, c9s1-3,
    zero padding, normalisation and ReLU after all but the last, a scaled tanh: 401,859 parameters
    at scale 4, 438,915 at scale 8. The paper has ``batch`` normalisation; its running averages
    at test time keep the contrast of a picture, which ``instance`` would take out.
    """

    draws_noise = False
    output_layer = "tail"
    min_side = 1

    def __init__(self, scale: int = 4, width: int = 64, norm: NormName = "batch") -> None:
        super().__init__()
        if scale not in SCALES:
            raise ValueError(f"scale {scale}: 4 or 8 is allowed")
        if width < 1:
            raise ValueError(f"width {width}: at least 1 is needed; the paper has 64")
        self.scale = scale
        self.width = width
        self.norm = norm
        doublings = int(math.log2(scale))
        self.head = nn.Sequential(
            nn.Conv2d(3, width, 9, padding=4), make_norm(norm, width), nn.ReLU()
        )
        self.residual = nn.Sequential(*(PaddedResidualBlock(width, norm) for _ in range(4)))
        self.upsampling = nn.Sequential(
            *(layer for _ in range(doublings) for layer in _up(width, norm))
        )
        self.tail = nn.Conv2d(width, 3, 9, padding=4)
        self.picture_range = ScaledTanh()
        self.finish: nn.Module = nn.Identity()  # ``inference_form`` puts a PixelShuffle here

    def forward(self, image: Tensor) -> Tensor:
        """Enlarge N x 3 x H x W in [0, 1]."""
        features = self.residual(self.head(self.picture_range.centred(image) / 255))
        output = self.picture_range(self.finish(self.tail(self.upsampling(features))))
        return within_range(output, training=self.training)


class PaddedResidualBlock(nn.Module):
    """conv-norm-ReLU-conv-norm plus the identity, with zero padding; no ReLU after the sum."""

    def __init__(self, channels: int, norm: NormName) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            make_norm(norm, channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            make_norm(norm, channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        residual: Tensor = self.body(features)
        return features + residual


def _up(channels: int, norm: NormName) -> tuple[nn.Module, ...]:
    """Stride 1/2: exactly twice the size."""
    conv = nn.ConvTranspose2d(channels, channels, 3, stride=2, padding=1, output_padding=1)
    return conv, make_norm(norm, channels), nn.ReLU()
