"""What finished films were made with, so that the same call again finds them done.

A record for each film, in ``.nst-done`` beside the outputs, written before the output gets its
name: a process killed at any time leaves either no output, or one that is known. The film meant is
the one of the recorded size and time; of another time (touched, copied) the one of the same hash.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from nst_core import __version__
from nst_core.errors import InputError, NstError
from nst_core.files import digest_of_files
from nst_core.wording import listed
from pipeline.assembly.verification import Verified
from pipeline.films.report import VideoReport
from pipeline.films.settings import FilmSettings
from pipeline.films.span import Span
from pipeline.looks.direction import Direction
from pipeline.segments.work_folder import PIPELINE_VERSION, WorkFolder, short_name
from pipeline.storage.open import storage_for
from pipeline.storage.remote_file import RemoteFile, path_of

_log = logging.getLogger(__name__)

HIDDEN_FOLDER = ".nst-done"
_ADVICE = "--overwrite replaces it"
_SOURCE = "source (its path, size or time)"
_TOLD_AGAIN = (
    *("status", "frames_in", "frames_out", "missing_pts_seconds", "corrupt_pts_seconds"),
    *("segments", "verified", "warnings"),
)
"""Fields of the report that are recorded."""


@dataclass(frozen=True)
class FilmRecord:
    """How a film was made, and what identifies it."""

    made_with: dict[str, Any]
    """See ``made_with``."""
    left_out: bool
    """Whether a stream was left out that might only be with --allow-left-out."""
    report: dict[str, Any]
    size: int
    """Bytes of the output."""
    mtime_ns: int
    sha256: str
    work_folder: str
    pieces: str
    """Identity of what may be left there, as a hash."""
    pictures: list[str] = field(default_factory=list)
    """Names of the files of numbered pictures, whose sizes and times are added up here."""
    name: str = ""
    """Name of the output; empty in records of before there was one."""

    def is_of(self, output: Path) -> bool:
        """Whether the output is as it was made."""
        files = [output.with_name(name) for name in self.pictures] or [output]
        try:
            size, time = _size_and_time(files)
            return size == self.size and (
                time == self.mtime_ns or digest_of_files(files) == self.sha256
            )
        except OSError:
            return False

    def is_unchanged(self, output: Path) -> bool:
        """Whether the output has the content that it was made with; all of it is read."""
        files = [output.with_name(name) for name in self.pictures] or [output]
        return digest_of_files(files) == self.sha256

    @property
    def source(self) -> list[Any]:
        """State of the file that it was made of: its path, first of all; empty: not known."""
        return list(self.made_with.get(_SOURCE, ()))

    def lacks_pictures(self, output: Path) -> bool:
        """Whether some of numbered pictures are not there: deleted, or not yet published."""
        return any(not output.with_name(name).exists() for name in self.pictures)

    def tell_again(self, report: VideoReport) -> None:
        """Fill in the report of a run that finds the film done."""
        for name in _TOLD_AGAIN:
            setattr(report, name, self.report[name])
        report.verified = Verified(**self.report["verified"])
        total = report.segments["total"]
        report.segments = {"total": total, "done": 0, "reused": total, "retried": 0}
        report.reused = True


def made_with(
    settings: FilmSettings, direction: Direction, film: Path, source: list[object]
) -> dict[str, Any]:
    """Return all that decides an output, by what a user calls it; ``source`` is the file's state.

    As it was asked for: to find a film done, its source need not be read. Raises MediaError for a
    mask that cannot be read.
    """
    how = {"style": None, **direction.options(film)}
    fingerprint = "--model" if how.pop("command") == "upscale" else "--style"
    names = ("codec", "crf", "preset", "encoder", "tonemap", "max_side")
    options = {**how, **{name: getattr(settings, name) for name in names}}
    options["fps"] = str(settings.fps) if settings.fps else None
    options["coherence"] = settings.coherence or None
    span = settings.span
    options["start"] = str(span.start) if span else None
    options["end"] = str(span.end) if span and span.end is not None else None
    return {
        _SOURCE: source,
        **{f"--{name.replace('_', '-')}": value for name, value in options.items()},
        fingerprint: direction.style.fingerprint,
        "version of the program": [__version__, PIPELINE_VERSION],
    }


def find_record(output: Path, settings: FilmSettings, asked: dict[str, Any]) -> FilmRecord:
    """Return the record of an output that is there, if what is ``asked`` would make the same.

    Raises InputError, with what differs, where it would not, or must not look.
    """
    record = _read(_place(output)) if settings.resume else None
    if record is None:
        raise InputError(f"{output} exists; {_ADVICE}")
    if not (record.lacks_pictures(output) or record.is_of(output)):
        raise InputError(f"{output} exists and was changed since it was made; {_ADVICE}")
    different = [name for name, value in asked.items() if record.made_with.get(name) != value]
    if record.left_out and not settings.allow_left_out:
        different.append("--allow-left-out")
    if different:
        raise InputError(
            f"{output} exists and was made with another {listed(different)}; {_ADVICE}"
        )
    return record


def record_of(output: Path) -> FilmRecord | None:
    """Return how an output was made; None where there is no record of it."""
    return _read(_place(output))


def recorded_films(folder: Path) -> dict[Path, FilmRecord]:
    """Return what is recorded of the films in a folder, whether or not they are there."""
    found: dict[Path, FilmRecord] = {}
    for place in folder.rglob(f"{HIDDEN_FOLDER}/*.json"):
        if (record := _read(place)) and record.name:
            found[place.parent.parent / record.name] = record
    return found


def recorded_span(output: Path, source: list[object]) -> Span | None:
    """Return the part of a film that an output was made of; None: all of it, or it is not known.

    ``source`` is the state of the film's file.
    """
    record = _read(_place(output))
    if record is None or not record.is_of(output) or record.made_with.get(_SOURCE) != source:
        return None
    start, end = (record.made_with.get(option) for option in ("--start", "--end"))
    return Span(Fraction(start), Fraction(end) if end else None) if start else None


def write_record(
    finished: Path,
    asked: dict[str, Any],
    report: VideoReport,
    folder: WorkFolder,
    *,
    left_out: bool,
) -> None:
    """Note how ``finished``, which is to become the report's output, was made.

    Warns where that cannot be written: it only means that the same call again will not know.
    """
    output = path_of(report.output)
    try:
        pictures = sorted(finished.iterdir()) if finished.is_dir() else []
        size, time = _size_and_time(pictures or [finished])
        record = FilmRecord(
            made_with=asked,
            left_out=left_out,
            report={name: asdict(report)[name] for name in _TOLD_AGAIN},
            size=size,
            mtime_ns=time,
            sha256=digest_of_files(pictures or [finished]),
            work_folder=str(folder.path),
            pieces=folder.identity_digest,
            pictures=[path.name for path in pictures],
            name=output.name,
        )
        _write(record, output)
    except (OSError, NstError) as error:
        _log.warning("%s: done, but not recorded (%s)", output, error)


def note_version(output: Path) -> None:
    """Note the version that an output behind a URI has got, which is known once it is there.

    Without it the same call again would read the output to know it.
    """
    with suppress(OSError, NstError):
        if isinstance(output, RemoteFile) and (record := _read(_place(output))):
            _write(replace(record, mtime_ns=output.stat().st_mtime_ns), output)


def _write(record: FilmRecord, output: Path) -> None:
    place = str(_place(output))
    storage_for(place).write(place, json.dumps(asdict(record)).encode())


def _place(output: Path) -> Path:
    digest = hashlib.sha256(str(output.name).encode(errors="surrogateescape")).hexdigest()[:8]
    return output.absolute().parent / HIDDEN_FOLDER / f"{short_name(output)}-{digest}.json"


def _read(path: Path) -> FilmRecord | None:
    """Return a record; None where there is none, or one of another version."""
    try:
        record = FilmRecord(**json.loads(path.read_bytes()))
        return record if set(record.report) == set(_TOLD_AGAIN) else None
    except (OSError, NstError, ValueError, TypeError):
        return None


def _size_and_time(files: Sequence[Path]) -> tuple[int, int]:
    """Sums over all of them: any change shows."""
    states = [path.stat() for path in files]
    return sum(each.st_size for each in states), sum(each.st_mtime_ns for each in states)
