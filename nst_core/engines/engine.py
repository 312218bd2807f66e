"""Engines: ways to compute one and the same generator, and the choice between them."""

from __future__ import annotations

import copy
from importlib.util import find_spec
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from nst_core.engines.eight_bit import EightBit
from nst_core.engines.names import (
    Device,
    DeviceChoice,
    EngineChoice,
    Precision,
    PrecisionChoice,
    torch_for_noise,
)
from nst_core.errors import EnvironmentProblem, InputError


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


class NoiseDrawing(Protocol):
    """A generator that draws noise, and says so by its attribute ``draws_noise``."""

    noise_factor: float
    """What the noise is multiplied by."""

    def seed_noise(self, seed: int) -> None:
        """Start a sequence of noise that depends on ``seed`` alone."""
        ...


class TorchEngine:
    """PyTorch as it is: the reference on the CPU, and what ``CudaEngine`` starts from.

    A generator that draws noise computes picture by picture, each time from the start of the
    noise of ``seed``: a picture's pixels depend neither on the batch nor on what came before.
    """

    def __init__(
        self, generator: nn.Module, *, device: Device, precision: Precision, seed: int = 0
    ) -> None:
        self.name = f"torch {device} {precision}"
        self.precision = precision
        self.device = torch.device(device)
        self._dtype: torch.dtype = getattr(torch, precision)
        self._generator = _in_precision(generator.eval(), self._dtype).to(self.device)
        # On CPUs channels apart are faster in float32, the usual precision there: by 13 % for a
        # texture network, by 3 % for a transformer network.
        is_gpu = self.device.type == "cuda"
        self._layout = torch.channels_last if is_gpu else torch.contiguous_format
        self._generator.to(memory_format=self._layout)
        self._seed = seed

    @torch.inference_mode()
    def run(self, images: Tensor) -> Tensor:
        """Map N x 3 x H x W float32 in [0, 1] to N x 3 x scale*H x scale*W."""
        images = images.to(self.device, self._dtype, memory_format=self._layout)
        if draws_noise(self._generator):
            numbers = range(len(images))
            return torch.cat([self._with_fresh_noise(images[n : n + 1]) for n in numbers])
        output: Tensor = self._generator(images)
        return output.float()

    def _with_fresh_noise(self, image: Tensor) -> Tensor:
        cast("NoiseDrawing", self._generator).seed_noise(self._seed)
        output: Tensor = self._generator(image)
        return output.float()


def _in_precision(generator: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Convert all but batch norms: a running variance may be beyond float16's 65504."""
    norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
    states = [copy.deepcopy(norm.state_dict()) for norm in norms]
    generator.to(dtype)
    for norm, state in zip(norms, states, strict=True):
        norm.float().load_state_dict(state)
    return generator


def draws_noise(generator: nn.Module) -> bool:
    """Whether the generator's pixels depend on noise beside its input."""
    return bool(getattr(generator, "draws_noise", False))


def make_engine(
    generator: nn.Module,
    *,
    engine: EngineChoice = "auto",
    device: DeviceChoice = "auto",
    precision: PrecisionChoice = "auto",
    eight_bit: EightBit | None = None,
    threads: int | None = None,
    seed: int = 0,
) -> Engine:
    """Choose and build an engine.

    ``auto`` is CUDA where there is a device, else OpenVINO where it is installed, else torch; in
    half precision where the device computes it, in 8 bits where a CPU does and ``eight_bit`` says
    that the picture stays close. ``threads`` bounds OpenVINO's threads (None: all); torch has its
    own setting. A generator that draws noise, from ``seed``, runs on torch: a traced graph would
    keep the noise that it was traced with.
    Raises EnvironmentProblem for what this machine lacks, InputError for what does not combine.
    """
    chosen_device = choose_device(device)
    if draws_noise(generator):
        engine = torch_for_noise(engine)
    if engine == "openvino" and chosen_device == "cuda":
        if device == "cuda":
            raise InputError(
                "--engine openvino runs on the CPU; use --device cpu or --engine torch"
            )
        chosen_device = "cpu"
    if engine == "auto":
        openvino = chosen_device == "cpu" and find_spec("openvino") is not None
        engine = "openvino" if openvino else "torch"
    if engine == "openvino":
        from nst_core.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(generator, precision=precision, eight_bit=eight_bit, threads=threads)
    if precision == "int8":
        raise InputError(
            f"--precision int8: torch on {chosen_device} does not compute it; use "
            "--engine openvino --device cpu, or --precision auto"
        )
    if precision == "auto":
        precision = "float16" if chosen_device == "cuda" else "float32"
    if chosen_device == "cuda":
        from nst_core.engines.cuda_engine import CudaEngine

        return CudaEngine(generator, precision=precision, seed=seed)
    return TorchEngine(generator, device=chosen_device, precision=precision, seed=seed)


def choose_device(device: DeviceChoice) -> Device:
    """``auto`` is CUDA where there is a device. Raises EnvironmentProblem."""
    if device == "cpu":
        return "cpu"
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise EnvironmentProblem(
            "--device cuda: torch sees no CUDA device here; use --device cpu, or see `nst doctor`"
        )
    return "cuda" if available else "cpu"
