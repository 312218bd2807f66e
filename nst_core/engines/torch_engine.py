"""PyTorch as it is: the reference on the CPU, and what ``CudaEngine`` starts from."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from nst_core.engines.names import Device, Precision
from nst_core.networks.generator import Generator


class TorchEngine:
    """Computes a generator in torch, layer by layer.

    A generator that draws noise computes picture by picture, each time from the start of the
    noise of ``seed``: a picture's pixels depend neither on the batch nor on what came before.
    """

    def __init__(
        self, generator: Generator, *, device: Device, precision: Precision, seed: int = 0
    ) -> None:
        self.name = f"torch {device} {precision}"
        self.precision = precision
        self.device = torch.device(device)
        self._dtype: torch.dtype = getattr(torch, precision)
        self._generator = _in_precision(generator.eval(), self._dtype).to(self.device)
        # On CPUs channels apart are faster in float32, the usual precision there: by 13 % for a
        # texture network, by 3 % for a transformer network.
        in_pixels = device in ("cuda", "xpu")
        self._layout = torch.channels_last if in_pixels else torch.contiguous_format
        self._generator.to(memory_format=self._layout)
        self._seed = seed

    @torch.inference_mode()
    def run(self, images: Tensor) -> Tensor:
        """Map N x 3 x H x W float32 in [0, 1] to N x 3 x scale*H x scale*W."""
        images = images.to(self.device, self._dtype, memory_format=self._layout)
        if not self._generator.draws_noise:
            return self._computed(images)
        return torch.cat([self._computed(image) for image in torch.split(images, 1)])

    def _computed(self, images: Tensor) -> Tensor:
        self._generator.seed_noise(self._seed)
        output: Tensor = self._generator(images)
        return output.float()


def _in_precision(generator: Generator, dtype: torch.dtype) -> Generator:
    """Convert all but batch norms: a running variance may be beyond float16's 65504."""
    norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
    states = [copy.deepcopy(norm.state_dict()) for norm in norms]
    generator.to(dtype)
    for norm, state in zip(norms, states, strict=True):
        norm.float().load_state_dict(state)
    return generator
