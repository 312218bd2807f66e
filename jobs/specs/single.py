"""Specifications of the commands that make a single picture: values checked, nothing looked up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from jobs.specs.applying import WRITTEN_SUFFIXES, InitChoice, LossNetworkChoice
from nst_core.checks import check_at_least, check_pixels, check_seed
from nst_core.engines.names import DeviceChoice
from nst_core.errors import InputError
from nst_core.settings import GATYS_CONTENT_LAYER, GATYS_STYLE_LAYERS, ObjectiveSettings


@dataclass(frozen=True)
class Synthesize:
    """Make a picture of a learnt texture, of any size."""

    checkpoint: str
    """Name of a bundled texture, or the path of a checkpoint."""
    output: Path
    """Its ending says the format: one of WRITTEN_SUFFIXES."""
    height: int
    """In pixels, as ``width``."""
    width: int
    seed: int = 0
    """Seed of the noise; each gives another picture."""
    device: DeviceChoice = "auto"
    overwrite: bool = False

    def __post_init__(self) -> None:
        for side in (self.height, self.width):
            if not 16 <= side <= 8192:
                raise InputError(
                    f"--size {self.height}x{self.width}: sides of 16 to 8192 pixels are allowed"
                )
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
    style_image: Path
    output: Path
    steps: int = 500
    """Iterations of L-BFGS."""
    init: str = "content"
    """What the picture is before the first step: ``content``, ``noise``, or what a style makes of
    the content, ``generator:STYLE``; ``generator`` alone chooses the bundled style whose picture
    has the lowest objective."""
    objective: ObjectiveSettings = OPTIMIZE_OBJECTIVE
    image_size: int = 512
    """Longer side of the result in pixels."""
    style_size: int | None = None
    """Shorter side of the style image in pixels; None: that of the result."""
    loss_network: LossNetworkChoice = "vgg19"
    loss_network_weights: Path | None = None
    device: DeviceChoice = "auto"
    seed: int = 0
    """Seed of the noise."""
    overwrite: bool = False

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
