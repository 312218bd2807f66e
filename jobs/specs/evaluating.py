"""The specification of an evaluation, checked at birth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.specs.applying import InitChoice, LossNetworkChoice
from nst_core.checks import check_at_least, check_pixels
from nst_core.engines.names import DeviceChoice


@dataclass(frozen=True)
class EvaluateGenerator:
    """Compare a generator with optimising every picture on the generator's own objective."""

    checkpoint: str
    """Name of a bundled style, or the path of a checkpoint."""
    content: Path
    """Folder of photographs that the generator has not seen."""
    style_image: Path
    """The picture that the generator has learnt from."""
    against_iterations: int = 200
    """Iterations of L-BFGS on each photograph."""
    image_size: int = 256
    """Side of the square crops, in pixels."""
    max_images: int | None = None
    """How many pictures of the folder, in sorted order; None: all."""
    init: InitChoice = "content"
    """What a picture is before the first iteration: the content, noise, or what the generator made
    of the content."""
    objective: Mapping[str, Any] = field(default_factory=dict)
    """Fields of ObjectiveSettings that are to be others than those of the training."""
    loss_network: LossNetworkChoice | None = None
    """None: the one that the checkpoint was trained with."""
    loss_network_weights: Path | None = None
    device: DeviceChoice = "auto"
    threads: int | None = None
    """CPU threads; None: all."""
    mixed_precision: bool = False
    """bfloat16 in the loss network while L-BFGS runs: half the time on CPUs that have it."""

    def __post_init__(self) -> None:
        check_at_least(1, "--against-iterations", self.against_iterations)
        check_pixels("--image-size", self.image_size)
        if self.max_images is not None:
            check_at_least(1, "--max-images", self.max_images)
        if self.threads is not None:
            check_at_least(1, "--threads", self.threads)
