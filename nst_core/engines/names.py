"""Engines, devices and precisions by name, without torch."""

from __future__ import annotations

from typing import Literal

from nst_core.errors import InputError

EngineName = Literal["torch", "openvino"]
Device = Literal["cpu", "cuda"]
Precision = Literal["float32", "bfloat16", "float16"]
PrecisionName = Literal["auto", "float32", "bfloat16", "float16", "int8"]


def torch_for_noise(engine: Literal["auto", "torch", "openvino"]) -> Literal["torch"]:
    """Choose the one engine that draws noise. Raises InputError where another is asked for."""
    if engine == "openvino":
        raise InputError(
            "--engine openvino: it cannot draw the noise that a texture network needs; "
            "use --engine auto or torch"
        )
    return "torch"
