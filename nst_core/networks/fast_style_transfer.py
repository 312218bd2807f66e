"""The generator of Logan Engstrom's fast-style-transfer, a program in TensorFlow.

What its weights need to give the same picture in torch: TensorFlow's "SAME" padding, which at a
stride of 2 is not the same on both sides; transposed convolutions that give exactly twice the
size; an instance normalisation with eps 1e-3, after the last convolution too.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nst_core.networks.generator import Generator, checked_width

_EPS = 1e-3
_INITIAL_DEVIATION = 0.1


class FastStyleTransferNet(Generator):
    """Feed-forward generator: N x 3 x H x W in [0, 1] to the same, for any H and W.

    ``width`` is the number of channels of the first convolution, 32 in the original.

    The original's picture is larger than its input where a side is no multiple of 4; this is its
    upper left part. Sides under 5 are filled up by repeating the last row and column.
    """

    min_side = 5
    """Leaves 2 pixels at a quarter of the size: of one alone there is no variance."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.width = checked_width(width, "the original has 32")
        self.conv1 = ConvNorm(3, width, kernel_size=9)
        self.conv2 = ConvNorm(width, 2 * width, kernel_size=3, stride=2)
        self.conv3 = ConvNorm(2 * width, 4 * width, kernel_size=3, stride=2)
        self.res1 = _residual_pair(4 * width)
        self.res2 = _residual_pair(4 * width)
        self.res3 = _residual_pair(4 * width)
        self.res4 = _residual_pair(4 * width)
        self.res5 = _residual_pair(4 * width)
        self.up1 = DoublingConvNorm(4 * width, 2 * width)
        self.up2 = DoublingConvNorm(2 * width, width)
        self.conv_out = ConvNorm(width, 3, kernel_size=9)

    def forward_padded(self, padded: Tensor) -> Tensor:
        """Stylize sides of ``min_side`` or more."""
        features = padded * 255
        for layer in (self.conv1, self.conv2, self.conv3):
            features = F.relu(layer(features))
        for pair in (self.res1, self.res2, self.res3, self.res4, self.res5):
            features = features + pair["2"](F.relu(pair["1"](features)))
        for doubling in (self.up1, self.up2):
            features = F.relu(doubling(features))
        return (150 * torch.tanh(self.conv_out(features)) + 127.5) / 255


class ConvNorm(nn.Module):
    """A convolution without bias, padded as "SAME", then instance normalisation.

    The convolution is a module of its own, which ``inference_form`` may replace; in files its
    weight has no name but that of this one.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel_size: int, stride: int = 1) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride
        self.conv = nn.Conv2d(inputs, outputs, kernel_size, stride=stride, bias=False)
        self.conv.weight = _initial_weight(outputs, inputs, kernel_size)
        self.in_shift = nn.Parameter(torch.zeros(outputs))
        self.in_scale = nn.Parameter(torch.ones(outputs))
        self.register_state_dict_post_hook(_drop_name_of_conv)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_add_name_of_conv)  # type: ignore[no-untyped-call]

    def forward(self, features: Tensor) -> Tensor:
        """N x C x H x W to ceil(H / stride)."""
        padded = _pad_same(features, self.kernel_size, self.stride)
        return _normalized(self.conv(padded), self.in_scale, self.in_shift)


def _drop_name_of_conv(_: nn.Module, state: dict[str, Any], prefix: str, *rest: object) -> None:
    if f"{prefix}conv.weight" in state:
        state[f"{prefix}weight"] = state.pop(f"{prefix}conv.weight")


def _add_name_of_conv(_: nn.Module, state: dict[str, Any], prefix: str, *rest: object) -> None:
    if f"{prefix}weight" in state:
        state[f"{prefix}conv.weight"] = state.pop(f"{prefix}weight")


class DoublingConvNorm(nn.Module):
    """A transposed 3x3 convolution of stride 2 without bias, then instance normalisation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = _initial_weight(inputs, outputs, 3)
        self.in_shift = nn.Parameter(torch.zeros(outputs))
        self.in_scale = nn.Parameter(torch.ones(outputs))

    def forward(self, features: Tensor) -> Tensor:
        """N x C x H x W to 2 H x 2 W: of 2 H + 1 rows "SAME" drops the last one."""
        output = F.conv_transpose2d(features, self.weight, stride=2)[..., :-1, :-1]
        return _normalized(output, self.in_scale, self.in_shift)


def _residual_pair(channels: int) -> nn.ModuleDict:
    """The two convolutions of a block, under the names that they have in files."""
    return nn.ModuleDict({name: ConvNorm(channels, channels, kernel_size=3) for name in "12"})


def _initial_weight(first: int, second: int, kernel_size: int) -> nn.Parameter:
    weight = torch.empty(first, second, kernel_size, kernel_size)
    return nn.Parameter(nn.init.trunc_normal_(weight, std=_INITIAL_DEVIATION))


def _normalized(features: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return F.instance_norm(features, weight=scale, bias=shift, eps=_EPS)


def _pad_same(features: Tensor, kernel_size: int, stride: int) -> Tensor:
    """Pad with zeros as TensorFlow's "SAME": what is odd of it goes to the right and the bottom.

    Branch-free in the size, so that a traced network pads by the size it is given.
    """
    height, width = features.shape[-2:]
    # (ceil(H / stride) - 1) * stride + kernel_size - H
    vertical = -height % stride + kernel_size - stride
    horizontal = -width % stride + kernel_size - stride
    top, left = vertical // 2, horizontal // 2
    return F.pad(features, (left, horizontal - left, top, vertical - top))
