"""The choice of engine, device and precision for a generator."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
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
_PROBED: tuple[Precision, Precision] = ("float16", "float32")
_GPUS: Mapping[str, tuple[Callable[[], bool], str]] = {
    "cuda": (lambda: torch.cuda.is_available(), "CUDA device"),
    "rocm": (lambda: torch.cuda.is_available() and torch.version.hip is not None, "GPU of AMD's"),
    "mps": (lambda: torch.backends.mps.is_available(), "GPU of Apple's"),
    "xpu": (lambda: torch.xpu.is_available(), "GPU of Intel's"),
}
"""Whether torch can use one, and what it is."""


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

    ``auto`` is what ``choose_engine`` says, in half precision where the device computes it (see
    ``half_precision``), in 8 bits where a CPU does and ``eight_bit`` says that the picture stays
    close. ``threads`` bounds OpenVINO's threads (None: all); torch has its own setting. A
    generator that draws noise, from ``seed``, runs on torch: a traced graph would keep the noise
    that it was traced with.
    Raises EnvironmentProblem for what this machine lacks, InputError for what does not combine.
    """
    if generator.draws_noise:
        engine = torch_for_noise(engine)
    engine, chosen_device = choose_engine(engine, device)
    if engine == "openvino":
        configure()  # again, for whoever uses engines as a library: before OpenVINO is imported
        from nst_core.engines.openvino_engine import OpenVinoEngine

        def build(precision: PrecisionChoice) -> Engine:
            return OpenVinoEngine(
                generator,
                precision=precision,
                eight_bit=eight_bit,
                threads=threads,
                on_gpu=chosen_device == "xpu",
            )

        if precision == "auto" and chosen_device == "xpu":
            half, exact = build("float16"), build("float32")
            return half if _are_close(half, exact) else exact
        return build(precision)
    if precision == "int8":
        raise InputError(
            f"--precision int8: torch on {chosen_device} does not compute it; use "
            "--engine openvino --device cpu, or --precision auto"
        )
    if precision == "auto":
        on_gpu = chosen_device != "cpu"
        precision = half_precision(generator, chosen_device) if on_gpu else "float32"
    if chosen_device == "cuda":
        return CudaEngine(generator, precision=precision, seed=seed)
    return TorchEngine(generator, device=chosen_device, precision=precision, seed=seed)


def half_precision(generator: Generator, device: Device = "cuda") -> Precision:
    """Return float16, unless some layer of the generator has numbers beyond its 65504.

    Then it is bfloat16, or float32 on Apple's GPUs, the older of which have no bfloat16.
    ``generator`` is not changed.
    """
    half, exact = (
        TorchEngine(copy.deepcopy(generator), device=device, precision=precision)
        for precision in _PROBED
    )
    if _are_close(half, exact):
        return "float16"
    return "float32" if device == "mps" else "bfloat16"


def _are_close(half: Engine, exact: Engine) -> bool:
    """Whether two engines make the same picture, as far as anybody sees."""
    picture = probe_images((1, 3, _PROBE_SIDE, _PROBE_SIDE), torch.device("cpu"))
    error = (half.run(picture) - exact.run(picture)).square().mean().item()
    return bool(error <= 10 ** (-LEAST_MEAN_DECIBELS / 10))


def choose_engine(
    engine: EngineChoice, device: DeviceChoice
) -> tuple[Literal["torch", "openvino"], Device]:
    """Choose what computes, and where.

    ``auto`` is torch on a GPU, else OpenVINO where it is installed, else torch. On a GPU of Intel's
    it is torch where torch is built for it, else OpenVINO. Raises EnvironmentProblem for what
    this machine lacks, InputError for what does not combine.
    """
    if device == "xpu" and engine != "torch" and (engine == "openvino" or not _sees("xpu")):
        if _openvino_sees_gpu():
            return "openvino", "xpu"
        if engine == "openvino":
            raise EnvironmentProblem(
                "--engine openvino --device xpu: OpenVINO sees no GPU of Intel's here; use "
                "--device cpu, or see `nst doctor`"
            )
    chosen = choose_device(device)
    if engine == "openvino" and chosen != "cpu":
        if device != "auto":
            raise InputError(
                "--engine openvino runs on the CPU; use --device cpu or --engine torch"
            )
        chosen = "cpu"
    if engine == "auto":
        openvino = chosen == "cpu" and find_spec("openvino") is not None
        engine = "openvino" if openvino else "torch"
    return engine, chosen


def choose_device(device: DeviceChoice) -> Device:
    """Choose where torch computes: ``auto`` is CUDA where there is a device, or AMD's ROCm.

    Raises EnvironmentProblem.
    """
    if device == "cpu":
        return "cpu"
    if device == "auto":
        return "cuda" if _sees("cuda") else "cpu"
    if not _sees(device):
        raise EnvironmentProblem(
            f"--device {device}: torch sees no {_GPUS[device][1]} here; use --device cpu, or see "
            "`nst doctor`"
        )
    return "cuda" if device == "rocm" else device


def untested_gpus() -> list[tuple[EngineChoice, DeviceChoice]]:
    """Engines and GPUs of this machine on which nobody has run the program yet."""
    others: tuple[DeviceChoice, ...] = ("rocm", "mps", "xpu")
    found: list[tuple[EngineChoice, DeviceChoice]] = [
        ("torch", device) for device in others if _sees(device)
    ]
    return [*found, ("openvino", "xpu")] if _openvino_sees_gpu() else found


def _sees(device: DeviceChoice) -> bool:
    return _GPUS[device][0]()


def _openvino_sees_gpu() -> bool:
    if find_spec("openvino") is None:
        return False
    configure()
    try:
        from nst_core.engines.openvino_engine import sees_gpu
    except ImportError:
        return False
    return sees_gpu()
