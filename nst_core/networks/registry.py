"""The networks by the names that checkpoints give them, and choices in them; light to import."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from nst_core.networks.generator import Generator

NormName = Literal["instance", "batch"]
Padding = Literal["reflect", "zeros"]
Upsampling = Literal["nearest", "bilinear"]

ARCHITECTURES: Mapping[str, str] = {
    "lean": "lean.LeanNet",
    "johnson": "transformer.TransformerNet",
    "johnson-paper": "johnson_paper.JohnsonNet",
    "texture": "texture.TextureNet",
    "super-resolution": "super_resolution.SuperResolutionNet",
    "pytorch-examples": "pytorch_examples.PytorchExamplesNet",
    "fast-style-transfer": "fast_style_transfer.FastStyleTransferNet",
}
"""File and class of each network, by its name in checkpoints."""


def generator_class(architecture: str) -> type[Generator]:
    """Import the class of a network, one of ARCHITECTURES."""
    module, _, name = ARCHITECTURES[architecture].partition(".")
    found: type[Generator] = getattr(import_module(f"nst_core.networks.{module}"), name)
    return found
