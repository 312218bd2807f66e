"""Job specifications: what was asked for, checked at birth, with the defaults of the program.

The command line makes its options of the fields (jobs/cli/spec_options.py): the first paragraph
below a field is the help of its option. Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError
from nst_core.file_kinds import kind_of
from nst_core.wording import counted, quoted
from pipeline.films.settings import FilmSettings
from pipeline.pictures.settings import PictureSettings, PicturesToStylize

if TYPE_CHECKING:
    from pipeline.films.output import PlannedFilm

PipeFormat = Literal["y4m", "nut"]
WRITTEN_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_NO_CHECKPOINTS = (*WRITTEN_SUFFIXES, ".gif", ".tif", ".mp4", ".mov", ".mkv", ".onnx")


@dataclass(frozen=True)
class PoolSpec:
    """Where the work runs, and with how many workers."""

    address: str = "local"
    """`local`, or the address of a running Ray cluster.

    ``local`` is a Ray of its own in this command."""
    workers: int | None = None
    """Workers; default as many as the resources allow; 0: in this process, without Ray."""
    cpus_per_worker: float | None = None
    """CPUs for each worker.

    None: one CPU each, or a fair share where a worker needs a GPU."""
    gpus_per_worker: float | None = None
    """GPUs for each worker; fractions share one.

    None: one where the device is a GPU."""

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
    """Videos, numbered pictures (shot.%04d.exr), folders of them, globs in quotes; URIs."""
    output: Path | str
    """The file to write; a folder for several inputs, or DIR/; or a URI.

    See pipeline/films/output.py; a Path has lost the slash at its end."""
    style: StyleSpec
    pool: PoolSpec = PoolSpec()
    input_format: str | None = None
    """What comes through a pipe (-): y4m, nut or another format of FFmpeg's; else it is found out.
    """
    output_format: PipeFormat | None = None
    """What goes on through a pipe (-o -); default: y4m where that came, else nut."""
    encoders: int | Literal["auto"] = 0
    """Encoders on a cluster's nodes without a GPU, for workers that have one; auto: as many as keep
    GPUs busy.

    So many in all, the same number for each worker."""
    mark: str = ""
    """Behind the names of the outputs; none where it is empty."""

    def __post_init__(self) -> None:
        if not self.inputs:
            raise InputError("no input: name at least one video")
        super().__post_init__()
        if not self.is_piped and (self.input_format or self.output_format):
            raise InputError(
                "--input-format and --output-format are for pipes, - and -o -; the names of files "
                "say what they are"
            )
        if isinstance(self.encoders, int):
            if self.encoders < 0:
                raise InputError(f"--encoders {self.encoders}: 0 or more is needed, or auto")
            if self.encoders and (why := self.why_no_encoders):
                raise InputError(f"--encoders {self.encoders}: {why}; leave it out")

    @property
    def why_no_encoders(self) -> str | None:
        """Why it has none on other nodes, whatever is asked for; None: it may have."""
        if self.encoder == "nvenc":
            return "--encoder nvenc encodes on the GPU itself"
        if self.pool.address == "local" or self.pool.workers == 0 or self.is_piped:
            return "this runs on one machine, and not on a cluster (--address)"
        return None

    @property
    def is_piped(self) -> bool:
        """Whether it comes from standard input, or goes to standard output."""
        return "-" in (*map(str, self.inputs), str(self.output))

    @property
    def into_folder(self) -> bool:
        """Whether the output is a folder, whatever it is called."""
        return str(self.output).endswith("/")

    def planned_films(self, others: list[str] | None = None) -> list[PlannedFilm]:
        """Return every film with its output; other files in folders are added to ``others``.

        Raises InputError and EnvironmentProblem.
        """
        from pipeline.films.output import planned_films  # PyAV
        from pipeline.storage.remote_file import path_of

        return planned_films(
            self.inputs,
            path_of(self.output),
            into_folder=self.into_folder,
            mark=self.mark,
            others=others,
        )


@dataclass(frozen=True)
class StylizeImages(PicturesToStylize):
    """Stylize pictures, folders of them included, into a folder with the same tree."""

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
        own = tuple(Path(spec.style) for spec in self.styles)
        if not self.refine_styles and all(kind_of(path) == "picture" for path in own):
            object.__setattr__(self, "refine_styles", own)
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
    """Pictures, videos, folders of both, globs."""
    output: str
    """The folder to write into; for a single source also the name of a file.

    Pictures keep their tree, videos their names; for pictures a URI too."""
    model: StyleSpec = field(default_factory=partial(StyleSpec, "x4", command="upscale"))
    pool: PoolSpec = PoolSpec()
    pictures: PictureSettings = field(default_factory=PictureSettings)
    films: FilmSettings = field(default_factory=FilmSettings)

    def __post_init__(self) -> None:
        if not self.sources:
            raise InputError("no input: name at least one picture, video or folder")

    def of_images(self, sources: Sequence[str]) -> StylizeImages:
        """The part of the job that pictures are."""
        return StylizeImages(
            sources=tuple(sources),
            output=self.output,
            styles=(self.model,),
            pool=self.pool,
            **vars(self.pictures),
        )

    def of_videos(self, inputs: Sequence[Path]) -> StylizeVideo:
        """The part of the job that videos are."""
        return StylizeVideo(
            inputs=tuple(inputs),
            output=self.output,
            style=self.model,
            pool=self.pool,
            **vars(self.films),
        )


def check_checkpoint_name(output: Path) -> None:
    """Raise InputError for a name that other programs would take for another kind of file."""
    if output.suffix.lower() in _NO_CHECKPOINTS:
        raise InputError(
            f"-o {output}: a checkpoint is written; name it "
            f"{quoted(output.with_suffix('.safetensors'))}"
        )
