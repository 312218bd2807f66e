"""Stylizing pictures: folders in, the same tree out, every file accounted for."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.connection import LOCAL
from jobs.applying.small_work import MOST_PICTURES, pool_for_pictures
from jobs.applying.workers import find_checked, make_image_worker, stylizing_pool
from jobs.pictures.contact_sheet import SAMPLE, SHEET_NAME, write_sheet
from jobs.pictures.identity import identity_of, made_with
from jobs.pictures.output import ImageOutput, image_output
from jobs.pictures.refinement import refinement_identity, refinements_of
from jobs.specs.applying import PoolSpec, StylizeImages
from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError, MediaError
from nst_core.file_kinds import kind_of
from pipeline.pictures.output_names import OutputNames
from pipeline.pictures.plan import ImagePlan, OutputFolder
from pipeline.pictures.records import ImageRecord, ImageRecords
from pipeline.pictures.report import StylizeImagesReport, as_text, check_report, write_report
from pipeline.pictures.sources import VIDEO_ADVICE, find_images
from pipeline.pictures.task import (
    ImageResult,
    ImageSettings,
    ImageTask,
    OutputResult,
    OutputTask,
)
from pipeline.pictures.units import ImageUnits
from pipeline.storage.files import below, is_uri
from pipeline.storage.open import storage_for
from pipeline.storage.shared_files import SharedFiles, shared_files
from pipeline.work.progress import OnProgress, Pace, Progress, ignore_progress, stage

if TYPE_CHECKING:
    from nst_core.objectives.refinement import Refinement

_log = logging.getLogger(__name__)

REPORT_NAME = "report.json"
_DEPTH = 3
_OVERLAPPING = 2
"""Units in work at a worker that waits for a network or a GPU: one is read or written meanwhile."""
_INPUTS_BETWEEN_NEWS = 1000


def stylize_images(
    job: StylizeImages, on_progress: OnProgress = ignore_progress
) -> StylizeImagesReport:
    """Stylize every picture; those that fail are named in the report, and the rest goes on.

    Raises InputError or EnvironmentProblem where the job as a whole cannot start.
    """
    start = time.monotonic()
    styles = _find_styles(job)
    refinements = refinements_of(job, {name: style for name, (style, _) in styles.items()})
    output = image_output(job)
    refined = {name: refinement_identity(refinements.get(name)) for name in styles}
    identities = {name: identity_of(job, *style) + refined[name] for name, style in styles.items()}
    explained = {
        identities[name]: made_with(job, *style, refined[name]) for name, style in styles.items()
    }
    folder = OutputFolder(
        storage_for(job.output), output.folder, identities, job.resume, job.overwrite
    )
    check_report(job.report)
    with ImagePlan() as plan:
        _list_inputs(plan, job, folder, output.name, tuple(styles), on_progress)
        with _records_of(folder, output) as records:
            plan.remember(records.known())
            plan.judge(folder, {**records.made_with, **explained})
            run = _Run(plan, folder, records, on_progress, job.outputs_of_each)
            if run.waiting:
                with _told(folder):
                    records.explain(explained)
                _work(run, job, styles, refinements, on_progress)
        report = run.report
        report.seconds = round(time.monotonic() - start, 3)
        report.images_per_second = round(report.done / report.seconds, 2) if report.seconds else 0.0
        if output.keeps == "report":
            with _told(folder, "the report"):
                folder.storage.write(below(folder.path, REPORT_NAME), as_text(report))
        if job.report is not None:
            write_report(job.report, report)
        if job.sheet:
            with _told(folder, "the sheet"):
                write_sheet(plan.sample(SAMPLE), folder, job)
    return report


def _find_styles(job: StylizeImages) -> dict[str, tuple[Style, StyleSpec]]:
    """Find the styles by the names that outputs and workers know them by."""
    styles: dict[str, tuple[Style, StyleSpec]] = {}
    for spec in job.styles:
        style = find_checked(spec, job.pool)
        if style.name in styles:
            raise InputError(
                f"--style {spec.style}: a second style called {style.name}; the names of the "
                "outputs could not tell them apart, so rename its file"
            )
        styles[style.name] = (style, spec)
    return styles


def _list_inputs(
    plan: ImagePlan,
    job: StylizeImages,
    folder: OutputFolder,
    name: str | None,
    styles: tuple[str, ...],
    on_progress: OnProgress,
) -> None:
    if all(not is_uri(each) and kind_of(Path(each)) == "video" for each in job.sources):
        raise InputError(f"{job.sources[0]}: {VIDEO_ADVICE}")
    names = OutputNames(job.format, styles, job.outputs_of_each, job.seed)
    output = folder.storage.real(folder.path)
    found = find_images(job.sources, without=output)
    if name is not None:
        found = (replace(each, name=name) for each in found)
    for count in plan.add(found, names):
        if count % _INPUTS_BETWEEN_NEWS == 0:
            on_progress(Progress(0, count, "pictures", "still looking for more"))
    plan.spare_inputs(output)
    if job.sheet and plan.names(SHEET_NAME):
        raise InputError(
            f"--sheet: {SHEET_NAME} would be one of the outputs too; leave --sheet out, "
            "or give that picture another name"
        )


@contextmanager
def _records_of(folder: OutputFolder, output: ImageOutput) -> Iterator[ImageRecords]:
    try:
        if not folder.storage.is_remote:
            Path(folder.path).mkdir(parents=True, exist_ok=True)
        records = ImageRecords(folder.storage, folder.path, keep=output.keeps)
    except OSError as error:
        raise InputError(
            f"-o {folder.path}: cannot be written ({error.strerror}); choose another folder"
        ) from error
    try:
        yield records
    finally:
        with _told(folder):
            records.close()


def _work(
    run: _Run,
    job: StylizeImages,
    styles: dict[str, tuple[Style, StyleSpec]],
    refinements: dict[str, Refinement],
    on_progress: OnProgress,
) -> None:
    pool_spec = job.pool
    outputs = job.outputs_of_each
    if run.waiting <= MOST_PICTURES and (not job.refine or run.waiting * outputs == 1):
        pool_spec = pool_for_pictures(job.pool, run.sizes(), styles=outputs)
    remote = is_uri(job.output) or run.reads_uris
    settings = ImageSettings(job.quality, job.max_side, job.max_pixels)
    factory = partial(
        make_image_worker,
        styles,
        settings,
        tile=job.tile,
        seed=job.seed,
        refinements=refinements,
        remote=remote,
    )
    with (
        _seen_by_all(run, job, pool_spec) as files,
        stylizing_pool(
            partial(factory, files=files),
            job.styles[0],
            pool_spec,
            depth=_DEPTH,
            concurrency=_OVERLAPPING if remote else 1,
            concurrency_on_gpu=_OVERLAPPING,
            on_start=partial(on_progress, stage("starting workers", "pictures")),
        ) as pool,
    ):
        units = run.units(pool.workers)
        for outcome in pool.run(units):
            run.accept(list(units.results(outcome)), began=outcome.began)
        run.report.engine, run.report.workers = pool.engine() or "none", pool.workers


@contextmanager
def _seen_by_all(run: _Run, job: StylizeImages, pool: PoolSpec) -> Iterator[SharedFiles | None]:
    """Let workers on other machines find out whether they read and write the same folders."""
    if pool.address == LOCAL or pool.workers == 0:
        yield None
        return
    folder = None if is_uri(job.output) else Path(run.folder)
    with shared_files(folder, run.first_sources()) as files:
        yield files


class _Run:
    """The accounts of a job: every input becomes one of done, reused, failed."""

    def __init__(
        self,
        plan: ImagePlan,
        folder: OutputFolder,
        records: ImageRecords,
        on_progress: OnProgress,
        styles_per_image: int,
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._records = records
        self._on_progress = on_progress
        self._pace = Pace()
        self.folder = folder.path
        self.waiting = plan.waiting()
        self.reads_uris = plan.reads_uris()
        self.report = StylizeImagesReport(
            total=plan.inputs(), tried=self.waiting, styles_per_image=styles_per_image
        )
        self._failed: set[int] = set()
        self._said: set[str] = set()
        for number, path, error in plan.failures():
            self._failed.add(number)
            self.report.fail(path, error)
        self.report.reused = plan.reused()

    def first_sources(self) -> list[str]:
        return [source for source, _ in self._plan.sample(1)]

    def sizes(self) -> list[int]:
        """Bytes of the files to do."""
        return [task.size for task in self._plan.tasks(self._folder)]

    def units(self, workers: int) -> ImageUnits:
        return ImageUnits(self._plan.tasks(self._folder), self.waiting, workers, self._begin)

    def accept(self, results: Sequence[tuple[ImageTask, ImageResult]], *, began: float) -> None:
        """Record what has become of pictures, count each, tell of it."""
        lines = [
            self._ended(task, output, result.digest)
            for task, result in results
            for output in result.outputs
        ]
        problem = None
        try:
            self._records.add(lines)
        except (OSError, MediaError) as error:  # a full disk: they will be done again
            problem = f"done, but not recorded ({_reason(error)})"
        for task, result in results:
            is_done = self._count(task, result, problem)
            self._pace.add(int(is_done), began=began, now=time.monotonic())
            self._tell()

    def _count(self, task: ImageTask, result: ImageResult, problem: str | None) -> bool:
        """Count a picture; returns whether it is one that was made now."""
        report = self.report
        report.network_seconds = round(report.network_seconds + result.network_seconds, 6)
        for note in result.notes:
            report.warn(task.source, note)
        for note in result.once:
            if note not in self._said:
                report.warn(task.source, f"{note} (said once)")
            self._said.add(note)
        error = next((output.error for output in result.outputs if output.error), None)
        if error is None and problem is not None:
            error = f"{task.source}: {problem}"
        if task.number in self._failed:
            pass  # another of its outputs was refused: counted already
        elif error is not None:
            report.fail(task.source, error)
        elif all(output.reused for output in result.outputs):
            report.reused += 1
        else:
            report.done += 1
            return True
        return False

    def _tell(self) -> None:
        report, now = self.report, time.monotonic()
        done = report.done + report.reused + report.failed
        self._on_progress(
            Progress(
                done,
                report.total,
                "pictures",
                per_second=self._pace.per_second(now),
                seconds_left=self._pace.seconds_left(report.total - done, now),
                estimates=True,
                time_is_summed_up=True,
            )
        )

    def _begin(self, tasks: Sequence[ImageTask]) -> None:
        begun = [self._begun(task, output) for task in tasks for output in task.outputs]
        with _told(self._folder):  # a full disk: the workers will say so for every picture
            self._records.begin(begun)

    def _begun(self, task: ImageTask, output: OutputTask) -> ImageRecord:
        """What is known of an existing file stays known until it is replaced."""
        record = self._record(task, output.made_from or "", OutputResult(output.path, output.size))
        return replace(record, is_new=output.is_new)

    def _ended(self, task: ImageTask, output: OutputResult, digest: str) -> ImageRecord:
        if output.error:
            return replace(self._record(task, "", output), status="failed", error=output.error)
        return replace(self._record(task, digest, output), status="done")

    def _record(self, task: ImageTask, digest: str, output: OutputResult) -> ImageRecord:
        planned = next(each for each in task.outputs if each.path == output.path)
        return ImageRecord(
            output=output.path[len(below(self._folder.path, "")) :],
            source=task.source,
            version=task.version,
            identity=self._folder.identities[planned.style],
            digest=digest,
            size=output.size,
        )


@contextmanager
def _told(folder: OutputFolder, what: str = "the record") -> Iterator[None]:
    """Warn of what cannot be written; what a record would have said is done again."""
    try:
        yield
    except (OSError, MediaError) as error:
        _log.warning("%s: %s cannot be written: %s", folder.path, what, _reason(error))


def _reason(error: OSError | MediaError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
