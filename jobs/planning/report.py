"""What a plan tells: the fields of the JSON of `nst plan`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from jobs.planning.room import Disk, Memory
from jobs.planning.styles import FoundStyle
from nst_core.wording import about

Fate = Literal["to do", "done", "refused"]


@dataclass(kw_only=True)
class JobPlan:
    """What is known of every job before it starts."""

    engine: str = "none"
    """What would compute; ``none`` where nothing is to be computed."""
    workers: int | None = 0
    """Workers of Ray; 0: the command's own process; None: as many as a cluster has room for."""
    threads_per_worker: int = 1
    seconds: float = 0.0
    """From the command's start to its end, at the rate that was just measured."""
    seconds_to_start: float = 0.0
    """A part of ``seconds``: what comes before the first frame, picture or step."""
    memory: Memory | None = None
    disks: list[Disk] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What is not as it should be, or not known."""

    @property
    def nothing_starts(self) -> bool:
        """Whether every input is refused."""
        return False

    @property
    def some_fail(self) -> bool:
        """Whether an input is refused."""
        return False

    def add_style(self, found: FoundStyle) -> None:
        """Count the fitting of a style that is not there yet."""
        if found.seconds_to_fit:
            self.seconds += found.seconds_to_fit
            self.seconds_to_start += found.seconds_to_fit
            self.remarks.append(
                f"a style is fitted to {found.painting} first: counted as "
                f"{about(found.seconds_to_fit)}, which is what it takes on two cores"
            )

    def remark_room(self) -> None:
        """Remark what will not fit. To be called last."""
        if self.memory and not self.memory.fits:
            self.remarks.append(
                f"the memory may not do: {gigabytes(self.memory.total)} are needed, "
                f"{gigabytes(self.memory.free)} free; fewer --workers need less"
            )
        self.remarks += [
            f"it will not fit on the disk of {disk.folder}: {megabytes(disk.needed)} are needed, "
            f"{megabytes(disk.free)} free"
            for disk in self.disks
            if not disk.fits
        ]


@dataclass(kw_only=True)
class PlannedFilm:
    """What would be done with one film."""

    input: str
    output: str
    fate: Fate = "refused"
    error: str | None = None
    """Why it is refused: what the run would say."""
    frames: int = 0
    frames_left: int = 0
    """Frames that are to be stylized."""
    frames_kept: int = 0
    """Frames that an earlier run has stylized, of segments that it has not finished."""
    width: int = 0
    """Width of the output's pictures in pixels."""
    height: int = 0
    segments: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("total", "reused"), 0))
    encoder: str = ""
    seconds: float = 0.0
    """From the film's first segment to its verified output."""
    frames_per_second: float = 0.0
    """What all workers do together."""
    size: int = 0
    """Bytes of the output."""
    warnings: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class FilmsPlan(JobPlan):
    """What `nst stylize video` would do."""

    kind: Literal["films"] = "films"
    inputs: list[PlannedFilm] = field(default_factory=list)
    frames_measured: int = 0
    """Frames that were really decoded, stylized and encoded for it."""

    @property
    def nothing_starts(self) -> bool:
        """Whether every film is refused before any work."""
        return all(film.error and not film.segments["total"] for film in self.inputs)

    @property
    def some_fail(self) -> bool:
        """Whether a film is refused."""
        return any(film.error for film in self.inputs)


@dataclass(kw_only=True)
class PicturesPlan(JobPlan):
    """What `nst stylize images` would do."""

    kind: Literal["pictures"] = "pictures"
    output: str = ""
    total: int = 0
    """Pictures that were found."""
    to_do: int = 0
    tried: int = 0
    """Pictures that go to a worker: those to do, and those that only reading finds to fail."""
    reused: int = 0
    """Pictures that an earlier run has done."""
    failed: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)
    """``path`` and ``error`` of those that are refused, as far as was looked."""
    looked_at: int = 0
    """Pictures to do whose files were opened, for size and errors; the others are judged by them.
    """
    pixels: int = 0
    """Pixels of all pictures to do, as they are stored."""
    styles_per_image: int = 1
    images_per_second: float = 0.0
    """What all workers do together."""
    size: int = 0
    """Bytes of the outputs to be written."""
    images_measured: int = 0
    """Pictures that were really read, stylized and encoded for it."""

    @property
    def nothing_starts(self) -> bool:
        """Whether every picture is refused before any work."""
        return not self.tried and self.failed == self.total

    @property
    def some_fail(self) -> bool:
        """Whether a picture is refused."""
        return self.failed > 0


@dataclass(kw_only=True)
class TrainingForecast(JobPlan):
    """What `nst train` would do."""

    kind: Literal["training"] = "training"
    checkpoint: str = ""
    run_dir: str = ""
    steps: int = 0
    first_step: int = 0
    """Steps that an earlier run has done, which this one goes on with."""
    photos: int = 0
    seconds_a_step: float = 0.0
    images_per_second: float = 0.0
    """Crops that all workers together learn from in a second."""
    seconds_to_end: float = 0.0
    """A part of ``seconds``: what comes after the last step, such as calibrating for 8 bits."""
    run_dir_size: int = 0
    """Bytes of the run folder at its largest."""
    steps_measured: int = 0
    """Steps that were really done for it."""


@dataclass(kw_only=True)
class OptimizationForecast(JobPlan):
    """What `nst optimize` would do."""

    kind: Literal["optimization"] = "optimization"
    output: str = ""
    width: int = 0
    height: int = 0
    steps: int = 0
    seconds_a_step: float = 0.0


@dataclass(kw_only=True)
class EnlargementsPlan(JobPlan):
    """What `nst upscale` would do."""

    kind: Literal["enlargements"] = "enlargements"
    images: PicturesPlan | None = None
    """None where no picture is among the sources."""
    videos: FilmsPlan | None = None
    """None where no video is among the sources."""

    @property
    def parts(self) -> list[JobPlan]:
        """The plans of both."""
        return [part for part in (self.images, self.videos) if part is not None]

    @property
    def nothing_starts(self) -> bool:
        """Whether every input is refused before any work."""
        return all(part.nothing_starts for part in self.parts)

    @property
    def some_fail(self) -> bool:
        """Whether an input is refused."""
        return any(part.some_fail for part in self.parts)


def gigabytes(size: int) -> str:
    """``1.5 GB``."""
    return f"{size / 1e9:.1f} GB"


def megabytes(size: int) -> str:
    """``31 MB``, ``0.2 MB``, ``4.1 GB``."""
    if size >= 1_000_000_000:
        return gigabytes(size)
    return f"{size / 1e6:.0f} MB" if size >= 10_000_000 else f"{size / 1e6:.1f} MB"
