"""Specifications of the commands that make a single picture: values checked, nothing looked up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from jobs.specs.applying import WRITTEN_SUFFIXES
from nst_core.checks import check_at_least, check_pixels, check_seed
from nst_core.engines.names import DeviceChoice
from nst_core.errors import InputError
from nst_core.objectives.settings import (
    GATYS_CONTENT_LAYER,
    GATYS_STYLE_LAYERS,
    LossNetworkName,
    ObjectiveSettings,
)

InitChoice = Literal["content", "noise", "generator"]


@dataclass(frozen=True)
class Synthesize:
    """Make a picture of a learnt texture, of any size."""

    checkpoint: str
    """A bundled texture (see `nst styles list`), or what `nst train texture` wrote."""
    output: Path
    """The picture: .png, .jpg or .webp."""
    size: tuple[int, int]
    """Height x width in pixels, or one number for both."""
    seed: int = 0
    """Seed of the noise: each gives another picture."""
    device: DeviceChoice = "auto"
    """Where it computes."""
    overwrite: bool = False
    """Replace an existing output."""

    def __post_init__(self) -> None:
        height, width = self.size
        if not all(16 <= side <= 8192 for side in self.size):
            raise InputError(f"--size {height}x{width}: sides of 16 to 8192 pixels are allowed")
        _check_picture_suffix(self.output)
        check_seed(self.seed)


OPTIMIZE_OBJECTIVE = ObjectiveSettings(
    style_weight=20.0, content_layers=(GATYS_CONTENT_LAYER,), style_layers=GATYS_STYLE_LAYERS
)
"""Gatys et al.'s layers. 20 keeps the content in sight; 100 leaves little of it."""


@dataclass(frozen=True)
class Optimize:
    """Optimise the pixels of one picture: Gatys, Ecker and Bethge's own method."""

    content: Path
    """The picture to stylize."""
    style_image: Path
    """The picture whose style is taken."""
    output: Path
    """The picture to write."""
    steps: int = 500
    """Iterations of L-BFGS."""
    init: str = "content"
    """What the picture is before the first of them; generator: what a style makes of it, without a
    name the bundled one that comes nearest.

    Nearest is the style whose picture has the lowest objective."""
    objective: ObjectiveSettings = OPTIMIZE_OBJECTIVE
    image_size: int = 512
    """Longer side of the result, pixels."""
    style_size: int | None = None
    """Shorter side of the style image: larger, broader strokes.

    In pixels; None: that of the result."""
    loss_network: LossNetworkName = "vgg19"
    """The VGG that judges."""
    loss_network_weights: Path | None = None
    """Its weights; default torchvision's download."""
    device: DeviceChoice = "auto"
    """Where it computes."""
    seed: int = 0
    """Seed of the noise that --init noise begins with."""
    overwrite: bool = False
    """Replace an existing output."""

    def __post_init__(self) -> None:
        check_at_least(1, "--steps", self.steps)
        kind, separator, style = self.init.partition(":")
        if kind not in get_args(InitChoice) or (separator and (kind != "generator" or not style)):
            raise InputError(
                f"--init {self.init}: content, noise, generator or generator:STYLE is allowed"
            )
        check_pixels("--image-size", self.image_size)
        if self.style_size is not None:
            check_pixels("--style-size", self.style_size)
        _check_picture_suffix(self.output)
        check_seed(self.seed)


def _check_picture_suffix(output: Path) -> None:
    if output.suffix.lower() not in WRITTEN_SUFFIXES:
        raise InputError(
            f"-o {output}: the ending says the format; use one of {', '.join(WRITTEN_SUFFIXES)}"
        )
