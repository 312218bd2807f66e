"""Job specifications: what was asked for, checked at birth, with the defaults of the program.

Nothing heavy is imported here, so that the command line can show the defaults at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nst_core.errors import InputError
from nst_core.settings import ObjectiveSettings, TrainingSettings

EngineChoice = Literal["auto", "torch", "openvino"]
DeviceChoice = Literal["auto", "cpu", "cuda"]
PrecisionChoice = Literal["auto", "float32", "bfloat16", "float16"]
CodecChoice = Literal["h264", "hevc", "av1", "vp9", "ffv1", "prores"]
FormatChoice = Literal["same", "png", "jpeg", "webp"]
LossNetworkChoice = Literal["vgg16", "vgg19"]


@dataclass(frozen=True)
class StyleSpec:
    """Which style, and how it is computed and applied."""

    style: str
    """Name of a bundled style, ``identity``, or the path of a checkpoint."""
    strength: float = 1.0
    """0 gives the source, 1 the stylized picture; between them the two are blended."""
    keep_colors: bool = False
    """Take luma from the stylized picture and chroma from the source."""
    engine: EngineChoice = "auto"
    device: DeviceChoice = "auto"
    precision: PrecisionChoice = "auto"

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise InputError(f"--strength {self.strength}: a number from 0 to 1 is needed")


@dataclass(frozen=True)
class PoolSpec:
    """Where the work runs, and with how many workers."""

    address: str = "local"
    """``local`` (a Ray of its own in this command) or the address of a running cluster."""
    workers: int | None = None
    """Ray actors; None: as many as the resources allow; 0: in this process, without Ray."""
    cpus_per_worker: float | None = None
    """None: one CPU each, or a fair share where a worker needs a GPU."""
    gpus_per_worker: float | None = None
    """None: one where the device is a GPU. Fractions let workers share one."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 0:
            raise InputError(f"--workers {self.workers}: 0 (in this process) or more is needed")
        if self.cpus_per_worker is not None and self.cpus_per_worker <= 0:
            raise InputError(f"--cpus-per-worker {self.cpus_per_worker}: more than 0 is needed")
        if self.gpus_per_worker is not None and self.gpus_per_worker < 0:
            raise InputError(f"--gpus-per-worker {self.gpus_per_worker}: 0 or more is needed")


@dataclass(frozen=True)
class StylizeVideo:
    """Stylize whole videos: every frame at its time, sound and all else as it was."""

    inputs: tuple[Path, ...]
    output: Path
    """A file for one input; a folder for several, or where one of that name exists."""
    style: StyleSpec
    pool: PoolSpec = PoolSpec()
    segment_seconds: float = 5.0
    codec: CodecChoice | None = None
    """None: what the container is usually filled with."""
    crf: int | None = None
    """Constant rate factor of the encoder; lower is better and larger. None: see encoders.py."""
    preset: str | None = None
    """Speed preset of the encoder. None: see encoders.py."""
    max_side: int | None = None
    """Shrink so that the longer side has at most this many pixels."""
    work_dir: Path | None = None
    """Where finished segments are kept until the output is whole; None: beside the output."""
    resume: bool = True
    allow_damaged: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.inputs:
            raise InputError("no input: name at least one video")
        if not 0.1 <= self.segment_seconds <= 3600:
            raise InputError(
                f"--segment-seconds {self.segment_seconds}: 0.1 to 3600 is allowed; try 5"
            )
        _check_max_side(self.max_side)


@dataclass(frozen=True)
class StylizeImages:
    """Stylize pictures, folders of them included, into a folder with the same tree."""

    sources: tuple[str, ...]
    """Files, folders (with all below them) and globs."""
    output: Path
    style: StyleSpec
    pool: PoolSpec = PoolSpec()
    format: FormatChoice = "same"
    quality: int = 95
    """Of JPEG and WebP, 1 to 100."""
    max_side: int | None = None
    resume: bool = True
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.sources:
            raise InputError("no input: name at least one picture or folder")
        if not 1 <= self.quality <= 100:
            raise InputError(f"--quality {self.quality}: 1 to 100 is allowed; try 95")
        _check_max_side(self.max_side)


@dataclass(frozen=True)
class TrainStyle:
    """Train a generator for one style image on a folder of photographs."""

    style_image: Path
    content: Path
    output: Path
    training: TrainingSettings = field(default_factory=TrainingSettings)
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    width: int = 32
    """Channels of the generator's first layer."""
    style_size: int = 384
    """Shorter side of the style image in pixels; larger gives broader strokes."""
    loss_network: LossNetworkChoice = "vgg19"
    loss_network_weights: Path | None = None
    device: DeviceChoice = "auto"
    workers: int = 1
    cpus_per_worker: int | None = None
    """None: an equal share of this machine's."""
    address: str = "local"
    checkpoint_every: int = 100
    run_dir: Path | None = None
    """None: beside the output, its name with the ending ``.run``."""
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise InputError(f"--workers {self.workers}: training needs at least 1")
        if self.cpus_per_worker is not None and self.cpus_per_worker < 1:
            raise InputError(f"--cpus-per-worker {self.cpus_per_worker}: at least 1 is needed")
        if self.checkpoint_every < 1:
            raise InputError(f"--checkpoint-every {self.checkpoint_every}: at least 1 is needed")
        if not 32 <= self.style_size <= 4096:
            raise InputError(f"--style-size {self.style_size}: 32 to 4096 pixels are allowed")
        if not 4 <= self.width <= 256:
            raise InputError(f"--width {self.width}: 4 to 256 is allowed; the paper has 32")

    @property
    def run_folder(self) -> Path:
        """Absolute: Ray's workers have another working folder."""
        return (self.run_dir or self.output.with_suffix(".run")).absolute()


def _check_max_side(max_side: int | None) -> None:
    if max_side is not None and max_side < 16:
        raise InputError(f"--max-side {max_side}: at least 16 pixels are needed")
