"""Where pictures go: into a folder, or one of them to a name; and what is written beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from nst_core.errors import InputError
from nst_core.pictures.formats import PICTURE_SUFFIXES
from nst_core.wording import quoted
from pipeline.datasets.annotations import Annotations
from pipeline.datasets.manifest import MANIFEST_NAMES
from pipeline.datasets.shards import SHARD_SUFFIX
from pipeline.films.sources import VIDEO_SUFFIXES
from pipeline.pictures.inputs.sources import is_one_file
from pipeline.pictures.records import FILE_NAME as RECORD_NAME
from pipeline.pictures.records import Keeps
from pipeline.pictures.settings import PicturesToStylize
from pipeline.storage.files import Storage, below
from pipeline.storage.open import storage_for

_NUMBERED = re.compile(r"[^%]*%(0?[1-9])?d[^%]*")


@dataclass(frozen=True)
class ImageOutput:
    """What ``-o`` means for a job."""

    folder: str
    """Resolved."""
    name: str | None = None
    """Name of the only output; None: outputs are called as their sources."""
    shards: str | None = None
    """Names of tar shards that the outputs go into: ``data-%06d.tar``."""
    keeps: Keeps = "report"
    """What stays beside the outputs: report.json and progress.jsonl; among a user's own files the
    hidden record alone, by which a run goes on; beside a single picture nothing."""


def image_output(job: PicturesToStylize, *, styles: int = 1) -> ImageOutput:
    """Tell a picture's name from a folder's, as the shell's cp would.

    One picture and a name that ends as pictures do are a file, unless a folder is called so, or
    the name ends with a slash. Raises InputError for a name where a folder is needed, and for a
    picture that is there.
    """
    sources, output = job.sources, job.output
    storage = storage_for(output)
    path = storage.resolved(output)
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 - it may be a URI
    is_name = suffix in PICTURE_SUFFIXES and not output.endswith("/")
    if suffix in VIDEO_SUFFIXES and not output.endswith("/") and not storage.is_folder(path):
        raise InputError(
            f"-o {output}: a video's name, and pictures go into a folder; name one "
            f"({quoted(output)}/ where it is to be called so)"
        )
    if path.lower().endswith(SHARD_SUFFIX) and not storage.is_folder(path):
        return _shards(storage, path, sources)
    is_one = len(sources) == 1 and is_one_file(sources[0])
    if storage.is_file(path) and not (is_name and is_one):
        raise InputError(f"-o {output}: a file; pictures go into a folder")
    if not is_name or storage.is_folder(path):
        is_users = _holds_sources(storage, path, sources) or _holds_pictures(storage, path)
        return ImageOutput(path, keeps="record" if is_users else "report")
    if not is_one:
        raise InputError(
            f"-o {output}: a picture's name, and there may be several pictures; name a folder "
            f"({quoted(output)}/ where it is to be called so)"
        )
    if job.format != "same":
        raise InputError(
            f"-o {output} and --format {job.format}: the ending says the format; leave one out"
        )
    if storage.is_file(path) and not job.overwrite and styles == 1:
        if storage.real(path) == storage.real(storage_for(sources[0]).resolved(sources[0])):
            raise InputError(f"-o {output}: the output would replace its own input")
        raise InputError(f"{output} exists; --overwrite replaces it")
    folder, _, name = path.rpartition("/")
    return ImageOutput(folder or "/", name, keeps="nothing")


def manifest_of(job: PicturesToStylize, place: ImageOutput) -> str | None:
    """Return the manifest's path: it stands beside the report, or where it is asked for.

    None: there is none. Raises InputError.
    """
    if job.manifest == "none" or (job.manifest is None and place.keeps != "report"):
        return None
    if place.keeps == "nothing":
        raise InputError(f"--manifest: -o {job.output} is a picture's name; name a folder")
    return below(place.folder, MANIFEST_NAMES[job.manifest or "jsonl"])


def annotations_of(job: PicturesToStylize, place: ImageOutput) -> Annotations | None:
    """Find the annotations that are to go along; None: there are none. Raises InputError."""
    if job.annotations is None:
        return None
    if place.keeps == "nothing" or place.shards:
        what = "tar shards" if place.shards else "a picture's name"
        raise InputError(f"--annotations: -o {job.output} is {what}; name a folder")
    return Annotations(
        job.annotations,
        job.sources,
        storage=storage_for(job.output),
        folder=place.folder,
        are_resized=job.max_side is not None,
    )


def _shards(storage: Storage, path: str, sources: Sequence[str]) -> ImageOutput:
    """Return where shards go. Raises InputError for a name without a number."""
    folder, _, name = path.rpartition("/")
    if not _NUMBERED.fullmatch(name):
        raise InputError(
            f"-o {path}: the name of a tar shard needs a place for its number, such as "
            f"{name[: -len(SHARD_SUFFIX)].replace('%', '')}-%06d{SHARD_SUFFIX}"
        )
    is_users = _holds_sources(storage, folder, sources) or _holds_pictures(storage, folder)
    return ImageOutput(folder or "/", shards=name, keeps="record" if is_users else "report")


def _holds_sources(storage: Storage, folder: str, sources: Sequence[str]) -> bool:
    """Whether the user's own files lie there: it is the current folder, or that of a source."""
    if storage.is_remote:
        return False
    real = storage.real(folder)
    found = (storage.real(storage.resolved(source)) for source in sources)
    return real == os.path.realpath(".") or any(
        source == real or os.path.dirname(source) == real  # noqa: PTH120
        for source in found
    )


def _holds_pictures(storage: Storage, folder: str) -> bool:
    """Whether pictures lie there that no run of ours has put there: a dataset, say."""
    if storage.is_remote or not storage.is_folder(folder):
        return False
    if storage.is_file(below(folder, RECORD_NAME)):
        return False
    suffixes = (os.path.splitext(each.name)[1].lower() for each in storage.walk(folder))  # noqa: PTH122
    return any(suffix in PICTURE_SUFFIXES for suffix in suffixes)
