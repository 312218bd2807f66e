"""Filling a picture up to a size that a network can compute."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def pad_to_multiple(image: Tensor, multiple: int, *, least: int) -> Tensor:
    """Repeat the last row and column until both sides are multiples, and not under ``least``.

    A picture that is large enough is returned as it is. Branch-free in the size while a network is
    traced (ONNX), so that it pads by the size it is given and not by the size it was traced with;
    only ``least`` is not traced.
    """
    height, width = image.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if not torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
        bottom = max(bottom, least - height)
        right = max(right, least - width)
        if bottom == right == 0:
            return image
    return F.pad(image, (0, right, 0, bottom), mode="replicate")
