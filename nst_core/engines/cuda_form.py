"""The form in which Inductor makes the fewest kernels of a generator: the same function.

Changes on a copy, beside the last convolution of twelve channels (see inference_form.py):

- What a convolution is padded by is gathered in one go, ``x[:, :, rows, columns]``, by what
  normalises before it; a doubling in front of it is folded into the same places. Torch's own
  reflection is written to memory first, in float32, and the doubled picture before that (counted in
  what Inductor makes for an H200: 4.4 GB a frame of 1080p at width 16 instead of 2.6).
- A picture's three channels become eight, of which five are zeros: tensor cores take no fewer.

Computed without a compiler it is slower: each place is then computed at every run.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nst_core.engines.inference_form import inference_form
from nst_core.networks.generator import Generator
from nst_core.networks.pytorch_examples import ReflectedConv

_LEAST_CHANNELS = 8


def cuda_form(generator: Generator) -> Generator:
    """Return an equal generator for Inductor; ``generator`` is not changed."""
    form = inference_form(generator)
    doubled = _fold_doublings(form)
    for name, conv in [*form.named_modules()]:
        if not isinstance(conv, nn.Conv2d):
            continue
        is_narrow = conv.in_channels < _LEAST_CHANNELS and conv.padding_mode == "zeros"
        if is_narrow or _is_reflected(conv):
            form.set_submodule(name, GatheringConv2d(conv, doubles=conv in doubled))
    return form


def _fold_doublings(form: Generator) -> set[nn.Conv2d]:
    """Take doublings in front of reflected convolutions out; returns these convolutions."""
    found: set[nn.Conv2d] = set()
    for module in form.modules():
        if isinstance(module, ReflectedConv) and module.doubles:
            module.doubles = False
            found.add(module.conv2d)
        if isinstance(module, nn.Sequential):
            for place, (layer, following) in enumerate(pairwise(module)):
                conv = following[0] if isinstance(following, nn.Sequential) else following
                if isinstance(layer, nn.Upsample) and _is_reflected(conv):
                    module[place] = nn.Identity()
                    found.add(cast("nn.Conv2d", conv))
    return found


def _is_reflected(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.padding_mode == "reflect"


class GatheringConv2d(nn.Module):
    """``conv``, whose reflection and, if it ``doubles``, whose doubled input are gathered."""

    def __init__(self, conv: nn.Conv2d, *, doubles: bool) -> None:
        super().__init__()
        self.doubles = doubles
        padding = cast("tuple[int, int]", conv.padding)
        assert padding[0] == padding[1]
        self.reflected = padding[0] if _is_reflected(conv) else 0
        self.more_channels = max(0, _LEAST_CHANNELS - conv.in_channels)
        weight = F.pad(conv.weight.detach(), (0, 0, 0, 0, 0, self.more_channels))
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.bias = conv.bias
        self.stride = conv.stride
        self.padding = 0 if self.reflected else padding

    def forward(self, features: Tensor) -> Tensor:
        """N x C x H x W to what the convolution gives of it."""
        if self.reflected:
            rows, columns = (self._places(side, features.device) for side in features.shape[-2:])
            features = features[:, :, rows[:, None], columns]
        if self.more_channels:
            features = F.pad(features, (0, 0, 0, 0, 0, self.more_channels))
        return F.conv2d(features, self.weight, self.bias, self.stride, self.padding)

    def _places(self, side: int, device: torch.device) -> Tensor:
        """Which row or column of ``side`` each one of the padded picture is."""
        last = side * (2 if self.doubles else 1) - 1
        places = torch.arange(-self.reflected, last + 1 + self.reflected, device=device)
        places = last - (last - places.abs()).abs()
        return places // 2 if self.doubles else places
