"""Filling a picture up to a size that a network can compute."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def pad_to_multiple(image: Tensor, multiple: int, *, least: int) -> Tensor:
    """Repeat the last row and column until both sides are multiples, and not under ``least``.

    Branch-free in the size, so that a traced network (OpenVINO, ONNX) pads by the size it is
    given and not by the size it was traced with; only ``least`` is not traced.
    """
    height, width = image.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if not torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
        bottom = max(bottom, least - height)
        right = max(right, least - width)
    return F.pad(image, (0, right, 0, bottom), mode="replicate")
