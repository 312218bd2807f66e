"""The specifications of evaluations, checked at birth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from jobs.specs.single import InitChoice
from nst_core.checks import check_at_least, check_pixels
from nst_core.engines.names import DeviceChoice, EngineChoice, PrecisionChoice
from nst_core.errors import InputError
from nst_core.objectives.settings import Degradation, LossNetworkName
from pipeline.films.span import Span, span_of

_PLOT_SUFFIXES = (".png", ".jpg", ".jpeg")


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


@dataclass(frozen=True)
class EvaluateFlicker:
    """Measure how much a stylized video flickers, beside its source."""

    video: tuple[Path, Path]
    """A source and the video made of it: its warping error."""
    plot: Path | None = None
    """Draw the error over time: a picture, .png or .jpg."""
    start: Fraction | None = None
    """Where the part of the source begins that the video was made of; for outputs of this program
    that is known."""
    end: Fraction | None = None
    """Where it ends."""
    duration: Fraction | None = None
    """How long it is, instead of --end."""
    overwrite: bool = False
    """Replace an existing plot."""

    def __post_init__(self) -> None:
        span_of(self.start, self.end, self.duration)
        if self.plot and self.plot.suffix.lower() not in _PLOT_SUFFIXES:
            raise InputError(f"--plot {self.plot}: a picture's name is needed, such as flicker.png")

    @property
    def span(self) -> Span | None:
        """The part of the source that is compared; None: all of it, or what is known."""
        return span_of(self.start, self.end, self.duration)
