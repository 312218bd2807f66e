"""How much a network computes: the operations of its convolutions."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def operations(network: nn.Module, *, height: int, width: int, channels: int = 3) -> int:
    """Count multiplications and additions of the convolutions for one picture of that size.

    A multiply-add counts as two. Norms, activations and resizing are not counted: they are below
    a hundredth, and wait for memory. Nothing is computed: tensors have shapes only.
    """
    shapes_only = copy.deepcopy(network).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shapes_only(torch.empty(1, channels, height, width, device="meta"))
    return int(counter.get_total_flops())
