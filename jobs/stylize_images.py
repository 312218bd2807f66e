"""Stylizing pictures: folders in, the same tree out, every file accounted for."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jobs.progress import OnProgress, Progress, ignore_progress
from jobs.specs import StylizeImages
from jobs.workers import find_checked, stylizing_pool
from nst_core import __version__
from nst_core.errors import InputError
from pipeline.image_files import ImageTask, find_images, output_path
from pipeline.image_records import ImageRecords
from pipeline.image_worker import ImageWorker
from pipeline.worker_pool import Outcome, Unit, WorkerPool

_log = logging.getLogger(__name__)

_WAITING_PER_WORKER = 4


@dataclass
class StylizeImagesReport:
    """What an image job came to; the fields of the command's JSON and of report.json."""

    total: int = 0
    done: int = 0
    reused: int = 0
    failed: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)
    images_per_second: float = 0.0
    seconds: float = 0.0
    engine: str = "none"
    workers: int = 0

    def fail(self, task: ImageTask, error: str) -> None:
        """Count a picture that could not be done."""
        self.failed += 1
        self.failures.append({"path": str(task.source), "error": error})


def stylize_images(
    job: StylizeImages, on_progress: OnProgress = ignore_progress
) -> StylizeImagesReport:
    """Stylize every picture; those that fail are named in the report, and the rest goes on.

    Raises InputError or EnvironmentProblem where the job as a whole cannot start.
    """
    start = time.monotonic()
    identity = _identity(job)
    if job.output.exists() and not job.output.is_dir():
        raise InputError(f"-o {job.output}: a file; pictures go into a folder")
    tasks = _plan(job)
    job.output.mkdir(parents=True, exist_ok=True)
    records = ImageRecords(job.output.absolute(), identity)
    report = StylizeImagesReport(total=len(tasks))
    waiting = _waiting(tasks, job, records, report)
    if waiting:
        with stylizing_pool(ImageWorker, job.style, job.pool, depth=_WAITING_PER_WORKER) as pool:
            for _ in _run(waiting, pool, records, report):
                done = report.done + report.reused + report.failed
                on_progress(Progress(done, report.total, "pictures"))
            report.engine, report.workers = pool.engine() or "none", pool.workers
    report.seconds = round(time.monotonic() - start, 3)
    report.images_per_second = round(report.done / report.seconds, 2) if report.seconds else 0.0
    try:
        _write_report(job.output / "report.json", report)
    except OSError as error:
        _log.warning("report.json cannot be written: %s", error.strerror)
    return report


def _run(
    tasks: list[ImageTask], pool: WorkerPool, records: ImageRecords, report: StylizeImagesReport
) -> Iterator[Outcome[None]]:
    for outcome in pool.run(_units(tasks, records)):
        task = tasks[outcome.key]
        error = outcome.error
        if error is None:
            try:
                records.add(task)
            except OSError as problem:  # a full disk: it will be done again
                error = f"{task.output}: written, but not recorded ({problem.strerror})"
        if error is None:
            report.done += 1
        else:
            report.fail(task, error)
        yield outcome


def _units(tasks: list[ImageTask], records: ImageRecords) -> Iterator[Unit[ImageTask]]:
    for number, task in enumerate(tasks):
        with suppress(OSError):  # a full disk: the worker will say so for this very picture
            records.begin(task)
        yield Unit(number, task)


def _waiting(
    tasks: list[ImageTask], job: StylizeImages, records: ImageRecords, report: StylizeImagesReport
) -> list[ImageTask]:
    """Leave out what is done, and what must not be overwritten."""
    waiting = []
    for task in tasks:
        if job.resume and records.is_done(task):
            report.reused += 1
        elif task.output.exists() and not (job.overwrite or records.may_replace(task)):
            report.fail(
                task, f"{task.output} exists and was made otherwise; --overwrite replaces it"
            )
        else:
            waiting.append(task)
    return waiting


def _plan(job: StylizeImages) -> list[ImageTask]:
    """Pair sources with outputs; what earlier runs left in the output folder is no source.

    Raises InputError where two would share one output, or an output would replace an input.
    """
    folder = job.output.absolute()
    found = [
        (source, relative)
        for source, relative in find_images(job.sources)
        if not is_earlier_output(source, relative, folder.resolve())
    ]
    inputs = {source.resolve() for source, _ in found}
    sources: dict[Path, Path] = {}
    for source, relative in found:
        output = folder / output_path(relative, job.format)
        if output.resolve() in inputs:
            raise InputError(
                f"{output}: the output would replace an input, {output.resolve()}; "
                "choose another folder with -o"
            )
        if output in sources:
            raise InputError(
                f"{sources[output]} and {source} would both become {output}; "
                "stylize them into different folders"
            )
        sources[output] = source
    return [
        ImageTask(source.absolute(), output, job.quality, job.max_side, _state(source))
        for output, source in sources.items()
    ]


def is_earlier_output(source: Path, relative: Path, output: Path) -> bool:
    """Whether a source lies in the output folder, and that folder below the one searched."""
    searched = source.absolute().parents[len(relative.parts) - 1].resolve()
    nested = output != searched and output.is_relative_to(searched)
    return nested and source.resolve().is_relative_to(output)


def _state(source: Path) -> tuple[int, int]:
    try:
        status = source.stat()
    except OSError:
        return (0, 0)  # a dangling link: reading it will say so
    return (status.st_size, status.st_mtime_ns)


def _identity(job: StylizeImages) -> str:
    """Everything beside the source that decides an output, as a hash."""
    settings = {
        "style": [find_checked(job.style).fingerprint, asdict(job.style)],
        "quality": job.quality,
        "max_side": job.max_side,
        "version": __version__,
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _write_report(path: Path, report: StylizeImagesReport) -> None:
    fields: dict[str, Any] = asdict(report)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(fields, indent=1) + "\n")
    temporary.replace(path)
