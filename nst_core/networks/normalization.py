"""Instance and batch normalisation, the choice that Ulyanov, Vedaldi and Lempitsky 2017 is about.

Both are affine with eps 1e-5. Instance normalisation takes mean and variance from each picture
and channel, in training and at test time alike (their section 2). Batch normalisation takes them
from the batch in training; at test time from running averages in the residual generators (Johnson
et al. 2016), and from the batch again in texture networks (Ulyanov et al. 2016, authors' code).
"""

from __future__ import annotations

import math

from torch import nn

from nst_core.networks.registry import NormName


def make_norm(name: NormName, channels: int, *, running_statistics: bool = True) -> nn.Module:
    """Build the layer for N x ``channels`` x H x W.

    ``running_statistics`` False lets batch normalisation use the batch at test time too.
    Raises ValueError for an unknown name.
    """
    if name == "instance":
        return nn.InstanceNorm2d(channels, eps=1e-5, affine=True)
    if name == "batch":
        return nn.BatchNorm2d(channels, eps=1e-5, track_running_stats=running_statistics)
    raise ValueError(f"norm {name!r}: instance or batch is needed")


def initialize_as_authors(network: nn.Module) -> None:
    """Start as the papers' released code does: norm weights U(0, 1), norm biases 0.

    Convolutions keep torch's own start, which is theirs: U(+-1/sqrt(fan_in)). For transposed ones
    torch counts the outputs instead of the inputs; they are drawn here.
    """
    for module in network.modules():
        if isinstance(module, nn.InstanceNorm2d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight)
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.ConvTranspose2d):
            inputs, _, *kernel = module.weight.shape
            bound = 1 / math.sqrt(inputs * math.prod(kernel))
            nn.init.uniform_(module.weight, -bound, bound)
            assert module.bias is not None
            nn.init.uniform_(module.bias, -bound, bound)
