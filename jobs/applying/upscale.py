"""Enlarging pictures and videos: sources of both kinds are sorted, then done as stylizing does."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from cluster.connection import ray_session
from jobs.applying.stylize_images import stylize_images
from jobs.applying.stylize_video import stylize_videos
from jobs.applying.workers import find_style_for_job
from jobs.specs.applying import StylizeImages, StylizeVideo, Upscale
from nst_core.errors import InputError
from nst_core.pictures.decoding import is_picture
from nst_core.pictures.formats import PICTURE_SUFFIXES
from nst_core.wording import quoted
from pipeline.encoding.encoders import CONTAINERS
from pipeline.films.report import StylizeVideoReport
from pipeline.films.sources import VIDEO_SUFFIXES, is_one_video, is_video
from pipeline.numbered.names import numbering_of
from pipeline.pictures.outputs.place import image_output
from pipeline.pictures.report import StylizeImagesReport
from pipeline.storage.files import StoredFile, is_uri
from pipeline.storage.local import LocalStorage
from pipeline.storage.open import storage_for
from pipeline.work.progress import OnProgress, ignore_progress


@dataclass(frozen=True)
class UpscaleReport:
    """What an upscaling job came to; the fields of the command's JSON."""

    images: StylizeImagesReport | None
    """None where no picture was among the sources."""
    videos: StylizeVideoReport | None
    """None where no video was among the sources."""

    @property
    def nothing_started(self) -> bool:
        """Whether not one input got past the first look at it."""
        both = (self.images, self.videos)
        return all(report is None or report.nothing_started for report in both)


@dataclass(frozen=True)
class SortedSources:
    """Sources by their kind."""

    pictures: tuple[str, ...]
    """Files and folders; a folder stands for all pictures below it."""
    videos: tuple[Path, ...]
    unseen: tuple[StoredFile, ...] = ()
    """Folders below those of films that could not be looked through."""


def upscale(job: Upscale, on_progress: OnProgress = ignore_progress) -> UpscaleReport:
    """Enlarge every picture and every video; what fails is told in the report, the rest goes on.

    Raises InputError or EnvironmentProblem where the job as a whole cannot start.
    """
    pictures, videos, unseen = parts_of(job)
    share_ray = pictures and videos and job.pool.workers != 0
    with ray_session(job.pool.address) if share_ray else nullcontext():
        return UpscaleReport(
            images=_with_unseen(
                stylize_images(pictures, on_progress) if pictures else None, unseen
            ),
            videos=stylize_videos(videos, on_progress) if videos else None,
        )


def parts_of(
    job: Upscale,
) -> tuple[StylizeImages | None, StylizeVideo | None, tuple[StoredFile, ...]]:
    """Return the job's pictures, its films, and folders that could not be looked through.

    Raises InputError or EnvironmentProblem where the job as a whole cannot start.
    """
    find_style_for_job(job.model, job.pool)
    is_one = _check_output(job)
    sources = sort_sources(job.sources, job.output)
    if sources.videos and is_uri(job.output):
        raise InputError(f"-o {job.output}: videos need a folder of this machine")
    pictures = job.of_images(sources.pictures) if sources.pictures else None
    videos = job.of_videos(sources.videos) if sources.videos else None
    # What -o cannot be is told before anything is begun; two videos of one name, too.
    if pictures:
        image_output(pictures)
    if videos:
        if not is_one:
            videos = replace(videos, output=f"{job.output}/")
        videos.planned_films()
    return pictures, videos, sources.unseen


def _with_unseen(
    images: StylizeImagesReport | None, unseen: Sequence[StoredFile]
) -> StylizeImagesReport | None:
    """Add what could not be looked through to the pictures' report: films have one for each."""
    if unseen:
        images = images or StylizeImagesReport()
        images.total += len(unseen)
        for each in unseen:
            images.fail(each.path, str(each.problem))
    return images


def _check_output(job: Upscale) -> bool:
    """Return whether it may be the name of a single output; raise InputError if it must not."""
    storage = storage_for(job.output)
    path = storage.resolved(job.output)
    if len(job.sources) == 1 and is_one_video(Path(job.sources[0])):
        return True
    if storage.is_file(path):
        raise InputError(f"-o {job.output}: a file; upscaled pictures and videos go into a folder")
    is_name = Path(path).suffix.lower() in {*PICTURE_SUFFIXES, *CONTAINERS}
    if is_name and not storage.is_folder(path) and not job.output.endswith("/"):
        raise InputError(
            f"-o {job.output}: a file's name, and there may be several outputs; name a folder "
            f"({quoted(job.output)}/ where it is to be called so)"
        )
    return False


def sort_sources(sources: Sequence[str], output: str) -> SortedSources:
    """Tell pictures from videos, by their endings in folders, else by a look into the file too.

    What earlier runs left in ``output`` is no source. Raises InputError for a source that does
    not exist, or a folder with neither.
    """
    pictures: list[str] = []
    videos: list[Path] = []
    unseen: list[StoredFile] = []
    for source in sources:
        if is_uri(source):  # of which only pictures are read
            pictures.append(source)
            continue
        if numbering_of(Path(source)):
            videos.append(Path(source))
            continue
        if Path(source).is_dir():
            found = list(_below(source, output))
            if all(each.problem for each in found):
                nothing = f"{source}: neither a picture nor a video in this folder"
                raise InputError("; ".join([nothing, *(str(each.problem) for each in found[:1])]))
            problems = [each for each in found if each.problem]
            below = sorted(Path(each.path) for each in found if not each.problem and is_video(each))
            if len(below) + len(problems) < len(found):
                pictures.append(source)  # its report names the problems, too
            else:
                unseen += problems
            videos += below
            continue
        for file in _files(source):
            if _is_picture(file):
                pictures.append(str(file))
            else:
                videos.append(file)
    return SortedSources(tuple(pictures), tuple(videos), tuple(unseen))


def _below(folder: str, output: str) -> Iterator[StoredFile]:
    """Pictures and videos by their endings, but for what lies where the outputs go.

    And folders that cannot be looked through.
    """
    storage = LocalStorage()
    without = storage.real(output)
    inside = without if without != storage.real(folder) else None
    for found in storage.walk(folder, without=inside):
        suffix = Path(found.path).suffix.lower()
        if found.problem or suffix in PICTURE_SUFFIXES | VIDEO_SUFFIXES:
            yield found


def _files(source: str) -> list[Path]:
    path = Path(source)
    if path.is_file():
        return [path]
    if path.exists():
        raise InputError(f"{source}: a pipe or a device; write it to a file, and name that")
    matches = sorted(Path(name) for name in glob.glob(source, recursive=True))  # noqa: PTH207
    files = [match for match in matches if match.is_file()]
    if not files:
        raise InputError(f"{source}: no such file or folder, and no match as a glob")
    return files


def _is_picture(path: Path) -> bool:
    """A file that is neither is taken for a video: the report will say what it is not."""
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES | VIDEO_SUFFIXES:
        return suffix in PICTURE_SUFFIXES
    return is_picture(path)
