"""Every engine and precision that this machine has for a generator."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import torch

from jobs.benchmark.material.generators import MeasuredGenerator
from nst_core.engines.choice import make_engine
from nst_core.engines.engine import Engine
from nst_core.errors import NstError
from nst_core.wording import first_line

REFERENCE = "torch cpu float32"
"""The engine that the others are compared with."""
_ON_CPU = (
    ("torch", "float32"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("openvino", "int8"),
)
_ON_CUDA = (("torch", "float32"), ("torch", "bfloat16"), ("torch", "float16"))


@dataclass
class Engines:
    """Those that could be built, and why others could not."""

    built: list[Engine] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """A line each."""


def build_engines(generator: MeasuredGenerator) -> Engines:
    """Try every engine; the reference comes first."""
    engines = Engines()
    choices = [(name, "cpu", precision) for name, precision in _ON_CPU]
    if torch.cuda.is_available():
        choices += [(name, "cuda", precision) for name, precision in _ON_CUDA]
    for name, device, precision in choices:
        try:
            engines.built.append(build_engine(generator, name, device, precision))
        except (NstError, ValueError, ImportError) as error:
            engines.left_out.append(
                f"{generator.name}: no {name} {device} {precision} ({first_line(error)})"
            )
    return engines


def build_engine(
    generator: MeasuredGenerator,
    name: str,
    device: str,
    precision: str,
    *,
    threads: int | None = None,
) -> Engine:
    """Build one; ``threads`` None: all. Raises ImportError, and what make_engine raises."""
    options: dict[str, Any] = {"engine": name, "device": device, "precision": precision}
    options |= {"threads": threads, "eight_bit": generator.eight_bit}
    if name == "openvino" and find_spec("openvino") is None:
        raise ImportError("openvino is not installed")
    return make_engine(generator.load(), **options)
