"""Job specifications: what was asked for, checked at birth, with the defaults of the program.

Nothing heavy is imported here, so that the command line can show the defaults at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.engines.names import DeviceChoice, EngineChoice, PrecisionChoice
from nst_core.errors import InputError
from nst_core.wording import counted, quoted
from pipeline.films.settings import CodecChoice, EncoderKind, FilmSettings
from pipeline.pictures.settings import FormatChoice, PictureSettings

if TYPE_CHECKING:
    from pipeline.films.output import PlannedFilm

LossNetworkChoice = Literal["vgg16", "vgg19"]
InitChoice = Literal["content", "noise", "generator"]
WRITTEN_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_NO_CHECKPOINTS = (*WRITTEN_SUFFIXES, ".gif", ".tif", ".mp4", ".mov", ".mkv", ".onnx")


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
class StylizeVideo(FilmSettings):
    """Stylize whole videos: every frame at its time, sound and all else as it was."""

    inputs: tuple[Path, ...]
    """Files, folders of films and globs."""
    output: Path
    """A file for one input; else a folder: see pipeline/films/output.py."""
    style: StyleSpec
    pool: PoolSpec = PoolSpec()
    into_folder: bool = False
    """``output`` is a folder, whatever it is called."""
    mark: str = ""
    """Behind the names of the outputs; none where it is empty."""

    def __post_init__(self) -> None:
        if not self.inputs:
            raise InputError("no input: name at least one video")
        super().__post_init__()

    def planned_films(self) -> list[PlannedFilm]:
        """Return every film with its output. Raises InputError."""
        from pipeline.films.output import planned_films  # PyAV

        return planned_films(self.inputs, self.output, into_folder=self.into_folder, mark=self.mark)


@dataclass(frozen=True)
class StylizeImages(PictureSettings):
    """Stylize pictures, folders of them included, into a folder with the same tree."""

    sources: tuple[str, ...]
    """Files, folders (with all below them), globs and lists (.txt); paths or URIs."""
    output: str
    """A folder, or the URI of one; for one picture its name too: see ``image_output``."""
    styles: tuple[StyleSpec, ...]
    """They compute alike: on one device, by one engine."""
    pool: PoolSpec = PoolSpec()

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
        super().__post_init__()
        self._check_refinement()

    @property
    def outputs_of_each(self) -> int:
        """How many outputs each picture gets."""
        return self.styles_per_image or len(self.styles)

    def _check_refinement(self) -> None:
        if not self.refine:
            return
        for spec in self.styles:
            if spec.style == "identity":
                raise InputError("--refine with --style identity: it has no objective to lower")
        paintings = len(self.refine_styles)
        if paintings != len(self.styles):
            raise InputError(
                f"--refine {self.refine}: {counted(paintings, 'paintings')} for "
                f"{counted(len(self.styles), 'styles')}; name the picture that each style was "
                "trained on, --refine-style PICTURE, in the order of --style"
            )


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
    encoder: EncoderKind = StylizeVideo.encoder
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


def check_checkpoint_name(output: Path) -> None:
    """Raise InputError for a name that other programs would take for another kind of file."""
    if output.suffix.lower() in _NO_CHECKPOINTS:
        raise InputError(
            f"-o {output}: a checkpoint is written; name it "
            f"{quoted(output.with_suffix('.safetensors'))}"
        )
