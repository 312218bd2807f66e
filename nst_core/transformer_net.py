"""The image transformation network of Johnson, Alahi and Fei-Fei 2016, everyday variant.

Layers and widths are those of the paper's supplement (table 1). Departures, each common since:
every convolution pads by reflection by itself instead of 40 pixels once in front; a stride of 1/2
is a nearest-neighbour upsampling followed by a convolution (no checkerboard); instance instead of
batch normalisation (Ulyanov, Vedaldi and Lempitsky 2017); the output goes through a sigmoid.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_STRIDE = 4
MIN_SIDE = 16
"""Reflection by 4 pixels at full size and by 1 at a quarter of it both need some picture."""


class TransformerNet(nn.Module):
    """Feed-forward generator: N x 3 x H x W in [0, 1] to the same, for any H and W.

    ``width`` is the number of channels of the first convolution: 32 in the paper
    (1,679,235 parameters), 16 in the networks its authors released (424,899).

    No mean is subtracted on the way in: the first convolution is followed by an instance
    normalisation, which takes out any shift and scale of its input.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width {width}: at least 1 is needed; the paper has 32")
        self.width = width
        self.encoder = nn.Sequential(
            _conv_norm_relu(3, width, kernel_size=9),
            _conv_norm_relu(width, 2 * width, kernel_size=3, stride=2),
            _conv_norm_relu(2 * width, 4 * width, kernel_size=3, stride=2),
        )
        self.residual = nn.Sequential(*(ResidualBlock(4 * width) for _ in range(5)))
        self.decoder = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="nearest"),
            _conv_norm_relu(4 * width, 2 * width, kernel_size=3),
            nn.Upsample(scale_factor=2, mode="nearest"),
            _conv_norm_relu(2 * width, width, kernel_size=3),
            _conv(width, 3, kernel_size=9),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Stylize N x 3 x H x W in [0, 1]."""
        height, width = image.shape[-2:]
        padded = _pad_to_multiple(image)
        output = torch.sigmoid(self.decoder(self.residual(self.encoder(padded))))
        return output[..., :height, :width]


class ResidualBlock(nn.Module):
    """conv-norm-ReLU-conv-norm plus the identity; no ReLU after the sum (Gross and Wilber)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv_norm_relu(channels, channels, kernel_size=3),
            _conv(channels, channels, kernel_size=3),
            _norm(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        residual: Tensor = self.body(features)
        return features + residual


def _conv(inputs: int, outputs: int, *, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(
        inputs,
        outputs,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        padding_mode="reflect",
    )


def _norm(channels: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(channels, eps=1e-5, affine=True)


def _conv_norm_relu(
    inputs: int, outputs: int, *, kernel_size: int, stride: int = 1
) -> nn.Sequential:
    conv = _conv(inputs, outputs, kernel_size=kernel_size, stride=stride)
    return nn.Sequential(conv, _norm(outputs), nn.ReLU())


def _pad_to_multiple(image: Tensor) -> Tensor:
    """Repeat the last row and column until both sides are multiples of the network's stride.

    Branch-free in the size, so that a traced network (OpenVINO, ONNX) pads by the size it is
    given and not by the size it was traced with; only the minimum of 16 pixels is not traced.
    """
    height, width = image.shape[-2:]
    bottom, right = -height % _STRIDE, -width % _STRIDE
    if not torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
        bottom = max(bottom, MIN_SIDE - height)
        right = max(right, MIN_SIDE - width)
    return F.pad(image, (0, right, 0, bottom), mode="replicate")
