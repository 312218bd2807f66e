"""The choice of engine, device and precision for a generator."""

from __future__ import annotations

import copy
from importlib.util import find_spec
from typing import Literal

import torch

from nst_core.engines.cuda_engine import CudaEngine, probe_images
from nst_core.engines.eight_bit import LEAST_MEAN_DECIBELS, EightBit
from nst_core.engines.engine import Engine
from nst_core.engines.names import (
    Device,
    DeviceChoice,
    EngineChoice,
    Precision,
    PrecisionChoice,
    torch_for_noise,
)
from nst_core.engines.torch_engine import TorchEngine
from nst_core.errors import EnvironmentProblem, InputError
from nst_core.libraries import configure
from nst_core.networks.generator import Generator

_PROBE_SIDE = 256
_PROBED: tuple[Precision, Precision] = ("float32", "float16")


def make_engine(
    generator: Generator,
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
    half precision where the device computes it (see ``half_precision``), in 8 bits where a CPU does
    and ``eight_bit`` says that the picture stays close. ``threads`` bounds OpenVINO's threads
    (None: all); torch has its own setting. A generator that draws noise, from ``seed``, runs on
    torch: a traced graph would keep the noise that it was traced with.
    Raises EnvironmentProblem for what this machine lacks, InputError for what does not combine.
    """
    chosen_device = choose_device(device)
    if generator.draws_noise:
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
        configure()  # again, for whoever uses engines as a library: before OpenVINO is imported
        from nst_core.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(generator, precision=precision, eight_bit=eight_bit, threads=threads)
    if precision == "int8":
        raise InputError(
            f"--precision int8: torch on {chosen_device} does not compute it; use "
            "--engine openvino --device cpu, or --precision auto"
        )
    if precision == "auto":
        precision = half_precision(generator) if chosen_device == "cuda" else "float32"
    if chosen_device == "cuda":
        return CudaEngine(generator, precision=precision, seed=seed)
    return TorchEngine(generator, device=chosen_device, precision=precision, seed=seed)


def half_precision(generator: Generator, device: Device = "cuda") -> Literal["float16", "bfloat16"]:
    """Return float16, unless some layer of the generator has numbers beyond its 65504.

    Found by computing a picture in it and in float32. ``generator`` is not changed.
    """
    picture = probe_images((1, 3, _PROBE_SIDE, _PROBE_SIDE), torch.device(device))
    exact, half = (
        TorchEngine(copy.deepcopy(generator), device=device, precision=precision).run(picture)
        for precision in _PROBED
    )
    error = (half - exact).square().mean().item()
    return "float16" if error <= 10 ** (-LEAST_MEAN_DECIBELS / 10) else "bfloat16"


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
