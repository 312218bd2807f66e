"""Engines, devices and precisions by name, without torch."""

from __future__ import annotations

from typing import Literal

from nst_core.errors import InputError

EngineChoice = Literal["auto", "torch", "openvino"]
DeviceChoice = Literal["auto", "cpu", "cuda", "rocm", "mps", "xpu"]
PrecisionChoice = Literal["auto", "float32", "bfloat16", "float16", "int8"]
Device = Literal["cpu", "cuda", "mps", "xpu"]
"""As torch calls them: AMD's GPUs are its ``cuda``, too."""
Precision = Literal["float32", "bfloat16", "float16"]
Tile = Literal["auto", "off"] | int


def torch_for_noise(engine: EngineChoice) -> Literal["torch"]:
    """Choose the one engine that draws noise. Raises InputError where another is asked for."""
    if engine == "openvino":
        raise InputError(
            "--engine openvino: it cannot draw the noise that a texture network needs; "
            "use --engine auto or torch"
        )
    return "torch"
