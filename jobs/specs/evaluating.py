"""The specifications of evaluations, checked at birth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.specs.single import InitChoice
from nst_core.checks import check_at_least, check_pixels
from nst_core.engines.names import DeviceChoice, EngineChoice, PrecisionChoice
from nst_core.objectives.settings import Degradation, LossNetworkName


@dataclass(frozen=True)
class EvaluateGenerator:
    """Compare a generator with optimising every picture on the generator's own objective."""

    checkpoint: str
    """A bundled style or a checkpoint."""
    content: Path
    """Folder of photographs that it has not seen."""
    style_image: Path
    """The picture that it has learnt from."""
    against_iterations: int = 200
    """Iterations of L-BFGS on each photograph."""
    image_size: int = 256
    """Side of the crops, pixels."""
    max_images: int | None = None
    """How many pictures of the folder, in sorted order; None: all."""
    init: InitChoice = "content"
    """Where the optimisation starts.

    From the content, noise, or what the generator made of the content."""
    objective: Mapping[str, Any] = field(default_factory=dict)
    """Fields of ObjectiveSettings that are to be others than those of the training."""
    loss_network: LossNetworkName | None = None
    """The VGG that judges; default that of the training."""
    loss_network_weights: Path | None = None
    """Its weights; default torchvision's download."""
    mixed_precision: bool = False
    """bfloat16 in the loss network while L-BFGS runs.

    Takes half the time on CPUs that have it."""
    device: DeviceChoice = "auto"
    """Where it computes."""
    threads: int | None = None
    """CPU threads; default all."""

    def __post_init__(self) -> None:
        check_at_least(1, "--against-iterations", self.against_iterations)
        check_pixels("--image-size", self.image_size)
        if self.max_images is not None:
            check_at_least(1, "--max-images", self.max_images)
        if self.threads is not None:
            check_at_least(1, "--threads", self.threads)


@dataclass(frozen=True)
class EvaluateSuperResolution:
    """Compare a super-resolution network with bicubic enlargement."""

    model: str
    """A super-resolution network: its PSNR and SSIM."""
    images: Path
    """Folder of high-resolution pictures."""
    scale: int | None = None
    """Default: the checkpoint's."""
    match_histogram: bool = False
    """Give each result the histogram of its input."""
    degradation: Degradation | None = None
    """How the small pictures are made; default as in the network's training."""
    engine: EngineChoice = "auto"
    """What computes the network."""
    device: DeviceChoice = "auto"
    """Where it computes."""
    precision: PrecisionChoice = "auto"
    """Type of the network's numbers."""
    threads: int | None = None
    """CPU threads; default all."""

    def __post_init__(self) -> None:
        if self.threads is not None:
            check_at_least(1, "--threads", self.threads)
