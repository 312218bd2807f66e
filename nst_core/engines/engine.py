"""What an engine is: one of the ways to compute a generator."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from nst_core.engines.names import Precision


class Engine(Protocol):
    """Computes a generator. Any engine stays within 40 dB PSNR of float32 torch."""

    name: str
    """Engine, device and precision, such as ``openvino cpu bfloat16``."""
    precision: Precision
    """Precision of all layers that are not computed in 8 bits."""
    device: torch.device
    """Where the tensors go in and come out."""

    def run(self, images: Tensor) -> Tensor:
        """Map N x 3 x H x W float32 in [0, 1] to N x 3 x scale*H x scale*W of the same."""
        ...
