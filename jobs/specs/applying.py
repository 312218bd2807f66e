"""Job specifications: what was asked for, checked at birth, with the defaults of the program.

Nothing heavy is imported here, so that the command line can show the defaults at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nst_core.errors import InputError
from nst_core.settings import MAX_PIXELS
from nst_core.wording import counted, quoted

EngineChoice = Literal["auto", "torch", "openvino"]
DeviceChoice = Literal["auto", "cpu", "cuda"]
PrecisionChoice = Literal["auto", "float32", "bfloat16", "float16", "int8"]
CodecChoice = Literal["h264", "hevc", "av1", "vp9", "ffv1", "prores"]
EncoderChoice = Literal["software", "nvenc"]
FormatChoice = Literal["same", "png", "jpeg", "webp"]
TileChoice = Literal["auto", "off"] | int
LossNetworkChoice = Literal["vgg16", "vgg19"]
InitChoice = Literal["content", "noise", "generator"]
ApplyingCommand = Literal["stylize", "upscale"]
WRITTEN_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_NO_CHECKPOINTS = (*WRITTEN_SUFFIXES, ".gif", ".tif", ".mp4", ".mov", ".mkv", ".onnx")


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
    command: ApplyingCommand = "stylize"
    """Which kind of checkpoint is meant: ``upscale`` takes super-resolution networks."""
    match_histogram: bool = False
    """Give every output the histogram of its source (Johnson et al. 2016, section 4.2)."""
    stroke: float | None = None
    """How many times wider than in proportion to the picture strokes are; None: as 1."""
    noise: float | None = None
    """What the noise of a texture network is multiplied by; None: as in training."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            percent = f"; {self.strength:g} percent is {self.strength / 100:g}"
            raise InputError(
                f"--strength {self.strength:g}: a number from 0 to 1 is needed"
                + (percent if 2 <= self.strength <= 100 else "")
            )
        if self.stroke is not None:
            check_stroke(self.stroke)
        if self.noise is not None and not 0 <= self.noise <= 100:
            raise InputError(f"--noise {self.noise:g}: 0 to 100 is allowed; 1 is as in training")
        if self.command == "upscale" and (self.strength != 1 or self.keep_colors):
            raise InputError(
                "--strength and --keep-colors mix a picture with its source, and an upscaled one "
                "is larger than that; leave them out"
            )


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
    """Files, folders of films and globs."""
    output: Path
    """A file for one input; else a folder: see jobs/films/output.py."""
    style: StyleSpec
    pool: PoolSpec = PoolSpec()
    segment_seconds: float = 5.0
    segment_deadline: float = 1800.0
    """Seconds after which a worker that still has the same segment is taken to hang."""
    codec: CodecChoice | None = None
    """None: what the container is usually filled with."""
    crf: int | None = None
    """Constant rate factor of the encoder; lower is better and larger. None: see encoders.py."""
    preset: str | None = None
    """Speed preset of the encoder. None: see encoders.py."""
    encoder: EncoderChoice = "software"
    """``nvenc``: the graphics card's own encoder, where it has one."""
    tonemap: bool = False
    """Bring a high dynamic range down to the standard one."""
    max_side: int | None = None
    """Shrink so that the longer side has at most this many pixels."""
    into_folder: bool = False
    """``output`` is a folder, whatever it is called."""
    mark: str = ""
    """Behind the names of the outputs; none where it is empty."""
    work_dir: Path | None = None
    """Where finished segments are kept until the output is whole; None: beside the output."""
    resume: bool = True
    allow_damaged: bool = False
    allow_left_out: bool = False
    """Whether sound, subtitles and other films that the output cannot hold may be left out."""
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.inputs:
            raise InputError("no input: name at least one video")
        if not 0.1 <= self.segment_seconds <= 3600:
            raise InputError(
                f"--segment-seconds {self.segment_seconds}: 0.1 to 3600 is allowed; try 5"
            )
        if not self.segment_deadline > 0:
            raise InputError(
                f"--segment-deadline {self.segment_deadline}: more than 0 seconds are needed; "
                f"try {StylizeVideo.segment_deadline:g}"
            )
        _check_max_side(self.max_side)


@dataclass(frozen=True)
class StylizeImages:
    """Stylize pictures, folders of them included, into a folder with the same tree."""

    sources: tuple[str, ...]
    """Files, folders (with all below them), globs and lists (.txt); paths or URIs."""
    output: str
    """A folder, or the URI of one; for one picture its name too: see jobs/pictures/output.py."""
    styles: tuple[StyleSpec, ...]
    """They compute alike: on one device, by one engine."""
    pool: PoolSpec = PoolSpec()
    styles_per_image: int | None = None
    """How many of the styles each picture gets, by chance; None: all."""
    seed: int = 0
    """Seed of that choice, and of the noise of texture networks."""
    format: FormatChoice = "same"
    quality: int = 95
    """Quality of JPEG, WebP and AVIF, 1 to 100."""
    max_side: int | None = None
    """Shrink so that the longer side has at most this many pixels."""
    max_pixels: int = MAX_PIXELS
    """Larger pictures are refused before they are decoded."""
    tile: TileChoice = "auto"
    """Pictures of more than N x N pixels are computed in pieces; ``auto`` chooses N."""
    refine: int = 0
    """Iterations of L-BFGS from the generator's picture, on its training's objective; 0: none."""
    refine_styles: tuple[Path, ...] = ()
    """With ``refine``: the painting that each of the styles was trained on, in their order."""
    loss_network_weights: Path | None = None
    """With ``refine``: those of the trainings; None: torchvision's download."""
    sheet: bool = False
    """Write a contact sheet of a sample, before and after."""
    report: Path | None = None
    """Where the report goes too."""
    resume: bool = True
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.sources:
            raise InputError("no input: name at least one picture or folder")
        if not self.styles:
            raise InputError("no style: name at least one with --style")
        if self.styles_per_image is not None and not (
            1 <= self.styles_per_image <= len(self.styles)
        ):
            raise InputError(
                f"--styles-per-image {self.styles_per_image}: 1 to {len(self.styles)} is allowed, "
                "as many as there are of --style"
            )
        if not 1 <= self.quality <= 100:
            raise InputError(f"--quality {self.quality}: 1 to 100 is allowed; try 95")
        if isinstance(self.tile, int) and self.tile < 64:
            raise InputError(f"--tile {self.tile}: auto, off, or at least 64 pixels are allowed")
        self._check_refinement()
        check_at_least(1, "--max-pixels", self.max_pixels)
        check_seed(self.seed)
        _check_max_side(self.max_side)

    @property
    def outputs_of_each(self) -> int:
        """How many outputs each picture gets."""
        return self.styles_per_image or len(self.styles)

    def _check_refinement(self) -> None:
        check_at_least(0, "--refine", self.refine)
        paintings = len(self.refine_styles)
        if not self.refine:
            if paintings:
                raise InputError("--refine-style without --refine: add --refine 25")
            return
        for spec in self.styles:
            if spec.style == "identity":
                raise InputError("--refine with --style identity: it has no objective to lower")
        if paintings != len(self.styles):
            raise InputError(
                f"--refine {self.refine}: {counted(paintings, 'paintings')} for "
                f"{counted(len(self.styles), 'styles')}; name the picture that each style was "
                "trained on, --refine-style PICTURE, in the order of --style"
            )
        if isinstance(self.tile, int):
            raise InputError("--refine with --tile: refined pictures are computed whole; use one")


@dataclass(frozen=True)
class Upscale:
    """Enlarge pictures and videos with a super-resolution network."""

    sources: tuple[str, ...]
    """Pictures, videos, folders (with all of both below them) and globs."""
    output: str
    """A folder: pictures keep their tree, videos their names; for pictures a URI too. For a single
    source also a file's name."""
    model: str = "x4"
    """Name of a bundled network, or the path of a checkpoint."""
    match_histogram: bool = False
    """Give every output the histogram of its source (Johnson et al. 2016, section 4.2)."""
    pool: PoolSpec = PoolSpec()
    engine: EngineChoice = "auto"
    device: DeviceChoice = "auto"
    precision: PrecisionChoice = "auto"
    format: FormatChoice = StylizeImages.format
    quality: int = StylizeImages.quality
    max_pixels: int = StylizeImages.max_pixels
    """Larger pictures are refused before they are decoded."""
    segment_seconds: float = StylizeVideo.segment_seconds
    segment_deadline: float = StylizeVideo.segment_deadline
    codec: CodecChoice | None = None
    crf: int | None = None
    preset: str | None = None
    encoder: EncoderChoice = StylizeVideo.encoder
    tonemap: bool = StylizeVideo.tonemap
    resume: bool = True
    allow_damaged: bool = False
    allow_left_out: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.sources:
            raise InputError("no input: name at least one picture, video or folder")
        self.of_images(self.sources)  # checked at birth, both
        self.of_videos([Path(self.output)])

    @property
    def style(self) -> StyleSpec:
        """The network, as what the pictures and videos go through."""
        return StyleSpec(
            self.model,
            engine=self.engine,
            device=self.device,
            precision=self.precision,
            command="upscale",
            match_histogram=self.match_histogram,
        )

    def of_images(self, sources: Sequence[str]) -> StylizeImages:
        """The part of the job that pictures are."""
        return StylizeImages(
            sources=tuple(sources),
            output=self.output,
            styles=(self.style,),
            pool=self.pool,
            format=self.format,
            quality=self.quality,
            max_pixels=self.max_pixels,
            resume=self.resume,
            overwrite=self.overwrite,
        )

    def of_videos(self, inputs: Sequence[Path]) -> StylizeVideo:
        """The part of the job that videos are."""
        return StylizeVideo(
            inputs=tuple(inputs),
            output=Path(self.output),
            into_folder=self.output.endswith("/"),
            style=self.style,
            pool=self.pool,
            segment_seconds=self.segment_seconds,
            segment_deadline=self.segment_deadline,
            codec=self.codec,
            crf=self.crf,
            preset=self.preset,
            encoder=self.encoder,
            tonemap=self.tonemap,
            resume=self.resume,
            allow_damaged=self.allow_damaged,
            allow_left_out=self.allow_left_out,
            overwrite=self.overwrite,
        )


def check_stroke(stroke: float) -> None:
    """Raise InputError for strokes that no style has a use for."""
    if not 0.25 <= stroke <= 4:
        raise InputError(f"--stroke {stroke:g}: 0.25 to 4 is allowed; try 0.5 or 2")


def check_at_least(least: int, option: str, value: int) -> None:
    """Raise InputError for a number below the least one."""
    if value < least:
        raise InputError(f"{option} {value}: at least {least} is needed")


def check_checkpoint_name(output: Path) -> None:
    """Raise InputError for a name that other programs would take for another kind of file."""
    if output.suffix.lower() in _NO_CHECKPOINTS:
        raise InputError(
            f"-o {output}: a checkpoint is written; name it "
            f"{quoted(output.with_suffix('.safetensors'))}"
        )


def check_pixels(option: str, side: int) -> None:
    """Raise InputError for a side that networks and memory do not take."""
    if not 32 <= side <= 4096:
        raise InputError(f"{option} {side}: 32 to 4096 pixels are allowed")


def check_seed(seed: int) -> None:
    """Refuse a seed that no generator takes. Raises InputError."""
    if not 0 <= seed < 2**63:  # what torch's generators take, without the negative numbers
        raise InputError(f"--seed {seed}: a whole number from 0 to {2**63 - 1} is needed")


def _check_max_side(max_side: int | None) -> None:
    if max_side is not None and max_side < 16:
        raise InputError(f"--max-side {max_side}: at least 16 pixels are needed")
