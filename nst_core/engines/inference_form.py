"""The form in which a generator is computed fastest: the same function, written otherwise.

Two changes, on a copy:

- The last convolution has three output channels, where processors compute 16 or more at a time. It
  becomes one of four times as many, with stride 2 and a kernel one larger: each output channel is
  the original's at one of the four places of a 2 x 2 square, and ``nn.PixelShuffle`` lays them out.
  The sums are the same ones, but for zeros (measured, 16 to 3 channels, 9x9: 3.4 times faster).
- Convolutions whose inputs' ranges are known compute in 8 bits: inputs are rounded to 256 steps of
  their range, weights to 255 steps of each output channel's own (Jacob et al. 2018, section 2.1).
  Everything between convolutions keeps its precision: rounding in front of an instance
  normalisation costs most of the picture's quality, for it enlarges what has little contrast.
  In torch this is simulated with float32; an engine that recognises it has integers multiplied.
  A convolution in front of a pixel shuffle whose kernels have equal sums keeps them equal in whole
  numbers: rounded one by one they would draw a grid into flat areas (measured, ``LeanNet``: 1.2 of
  255; leaving the convolution out of 8 bits costs 3 % of the time).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nst_core.errors import CheckpointError
from nst_core.networks.generator import Generator

ActivationRanges = Mapping[str, tuple[float, float]]
"""Least and largest input of convolutions, by the names of these modules in the generator."""

_INPUT_STEPS = 255
_WEIGHT_STEPS = 127
"""On either side of zero."""
_SQUARE = 4
"""Places of a 2 x 2 square."""


def inference_form(generator: Generator, ranges: ActivationRanges | None = None) -> Generator:
    """Return an equal generator that is faster to compute; with ``ranges``, one in 8 bits.

    ``generator`` is not changed. One that names no ``output_layer`` keeps its last convolution.
    Raises CheckpointError for ranges of what is no convolution of it.
    """
    form = copy.deepcopy(generator).eval()
    if form.output_layer is not None:
        _widen_output(form, form.output_layer)
    for name, (low, high) in (ranges or {}).items():
        conv = dict(form.named_modules()).get(name)
        if not isinstance(conv, nn.Conv2d):
            raise CheckpointError(
                f"8-bit range of {name}: the generator has no such convolution; calibrate the "
                "checkpoint anew with `nst styles calibrate`"
            )
        places = _SQUARE if name == form.sub_pixel_layer else 1
        _replace(form, name, QuantizedConv2d(conv, low, high, places=places))
    return form


class QuantizedConv2d(nn.Module):
    """A convolution of 8-bit inputs and weights; N x C x H x W to what ``conv`` gives of it.

    ``low`` and ``high`` bound the inputs; what lies beyond is clipped. Zero is one of the 256
    steps, so that padding with it stays exact.

    ``places`` consecutive output channels are one colour at the places of a square, and their
    kernels for each input have equal sums: rounded, they still have.
    """

    scale: Tensor
    zero_point: Tensor

    def __init__(self, conv: nn.Conv2d, low: float, high: float, *, places: int = 1) -> None:
        super().__init__()
        self.conv = conv
        low, high = min(low, 0.0), max(high, 1e-6)
        self.input_scale = (high - low) / _INPUT_STEPS
        self.input_zero = round(-low / self.input_scale)
        largest = conv.weight.detach().abs().amax(dim=(1, 2, 3)).clamp(min=1e-12)
        scale = largest / _WEIGHT_STEPS
        if places > 1:
            # One step remains for what is moved to make sums equal.
            largest = largest.view(-1, places).amax(dim=1).repeat_interleave(places)
            scale = largest / (_WEIGHT_STEPS - 1)
            self.conv = copy.deepcopy(conv)
            self.conv.weight.data = _rounded_with_equal_sums(conv.weight.detach(), scale, places)
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", torch.zeros(len(largest), dtype=torch.int32))

    def forward(self, features: Tensor) -> Tensor:
        """Round, pad, convolve."""
        conv = self.conv
        rounded = torch.fake_quantize_per_tensor_affine(
            features, self.input_scale, self.input_zero, 0, _INPUT_STEPS
        )
        weight = torch.fake_quantize_per_channel_affine(
            conv.weight, self.scale, self.zero_point, 0, -_WEIGHT_STEPS, _WEIGHT_STEPS
        )
        rows, columns = cast("tuple[int, int]", conv.padding)
        if rows or columns:
            mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
            rounded = F.pad(rounded, (columns, columns, rows, rows), mode=mode)
        return F.conv2d(rounded, weight, conv.bias, conv.stride, 0, conv.dilation, conv.groups)

    def extra_repr(self) -> str:
        """Tell forms apart that differ in their ranges."""
        return f"input_scale={self.input_scale}, input_zero={self.input_zero}"


def _rounded_with_equal_sums(weight: Tensor, scale: Tensor, places: int) -> Tensor:
    """Round to multiples of ``scale`` so that the kernels of all places keep equal sums.

    Those weights move to their other neighbour that are nearest to it.
    """
    exact = (weight / scale[:, None, None, None]).flatten(2)  # outputs x inputs x taps
    codes = exact.round()
    taps = exact.shape[-1]
    wanted = exact.sum(dim=-1).view(-1, places, exact.shape[1]).mean(dim=1).round()
    surplus = codes.sum(dim=-1, keepdim=True) - wanted.repeat_interleave(places, dim=0)[..., None]
    rank = (exact - codes).argsort(dim=-1).argsort(dim=-1)  # from rounded up to rounded down
    codes = codes - (rank < surplus).to(codes) + (rank >= taps + surplus).to(codes)
    return codes.view_as(weight) * scale[:, None, None, None]


def _widen_output(generator: Generator, name: str) -> None:
    """Replace the last convolution, and let the generator lay out what it gives."""
    conv = generator.get_submodule(name)
    assert isinstance(conv, nn.Conv2d)
    assert conv.stride == (1, 1)
    outputs, inputs, side, _ = conv.weight.shape
    wide = nn.Conv2d(
        inputs,
        4 * outputs,
        side + 1,
        stride=2,
        padding=cast("tuple[int, int]", conv.padding),
        padding_mode=conv.padding_mode,
    )
    weight = conv.weight.new_zeros(outputs, 2, 2, inputs, side + 1, side + 1)
    for row in range(2):
        for column in range(2):
            weight[:, row, column, :, row : row + side, column : column + side] = conv.weight
    assert conv.bias is not None
    assert wide.bias is not None
    with torch.no_grad():
        wide.weight.copy_(weight.flatten(0, 2))
        wide.bias.copy_(conv.bias.repeat_interleave(4))
    _replace(generator, name, wide.eval().to(conv.weight.device, conv.weight.dtype))
    generator.finish = nn.PixelShuffle(2)


def _replace(generator: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(generator.get_submodule(parent), last, module.eval())
