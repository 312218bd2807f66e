"""Numbers that colours are multiplied by, on the device that computes."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


@cache
def constant(values: tuple[object, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return a tensor of (nested) numbers, made once: sending one to a GPU waits for the GPU."""
    with torch.inference_mode(mode=False):
        return torch.tensor(values, device=device, dtype=dtype)
