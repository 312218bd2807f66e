"""The choreography of a picture run: found, planned, stylized, every file accounted for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst_core.errors import InputError
from nst_core.file_kinds import kind_of
from nst_core.files import check_can_write
from pipeline.datasets.annotations import Annotations
from pipeline.datasets.manifest import REPORT_NAME, Splits, check_manifest, write_manifest
from pipeline.datasets.shard_plan import ShardNames
from pipeline.pictures.account import PictureAccount
from pipeline.pictures.identity import Found, identity_of, made_with
from pipeline.pictures.inputs.masks import with_masks
from pipeline.pictures.inputs.sources import VIDEO_ADVICE, find_images
from pipeline.pictures.judging import OutputFolder
from pipeline.pictures.outputs.contact_sheet import SAMPLE, SHEET_NAME, write_sheet
from pipeline.pictures.outputs.names import OutputNames
from pipeline.pictures.outputs.place import (
    ImageOutput,
    annotations_of,
    image_output,
    manifest_of,
)
from pipeline.pictures.plan import ImagePlan
from pipeline.pictures.records import ImageRecords
from pipeline.pictures.refinement import refinements_of
from pipeline.pictures.report import (
    StylizeImagesReport,
    as_text,
    check_report,
    warn_on_failure,
    write_report,
)
from pipeline.pictures.settings import PicturesToStylize, split_parts
from pipeline.storage.files import below, is_uri
from pipeline.storage.open import storage_for
from pipeline.work.pool import WorkerPool
from pipeline.work.progress import OnProgress, Progress

if TYPE_CHECKING:
    from nst_core.objectives.refinement import Refinement

_INPUTS_BETWEEN_NEWS = 1000

Styles = Mapping[str, Found]
"""By the names that outputs and workers know them by."""
OpenPool = Callable[
    [PictureAccount, "Mapping[str, Refinement]"], AbstractContextManager[WorkerPool]
]
"""Opens workers for what an account has to do, with the refinements of the styles that have any."""


def stylize_pictures(
    job: PicturesToStylize,
    styles: Styles,
    open_pool: OpenPool,
    on_progress: OnProgress,
    *,
    rest: Found | None = None,
) -> StylizeImagesReport:
    """Stylize every picture; those that fail are named in the report, and the rest goes on.

    ``rest`` is the style of what masks leave out, where there are any. Raises InputError where
    nothing can be begun.
    """
    start = time.monotonic()
    ready = _prepared(job, styles, on_progress, rest)
    folder, place = ready.folder, ready.place
    with ImagePlan(ready.shards) as plan:
        _list_inputs(plan, job, ready, on_progress)
        with _records_of(folder, place) as records:
            account = _judged(plan, records, ready, on_progress)
            if account.waiting and not account.has_failed:
                with warn_on_failure(folder.path):
                    records.explain(ready.explained)
                with open_pool(account, ready.refinements) as pool:
                    account.work(pool)
        report = account.report
        report.styles = {name: style.sha256 for name, (style, _) in styles.items()}
        report.untried = report.total - report.done - report.reused - report.failed
        report.seconds = round(time.monotonic() - start, 3)
        report.images_per_second = round(report.done / report.seconds, 2) if report.seconds else 0.0
        if ready.manifest and not report.nothing_started:
            with (
                warn_on_failure(folder.path, "the manifest"),
                folder.storage.appearing(ready.manifest) as file,
            ):
                write_manifest(file, plan.made(folder), name=ready.manifest)
        if ready.annotations and not report.nothing_started:
            with warn_on_failure(folder.path, "the annotations"):
                report.annotations = ready.annotations.write(plan.made(folder), report.warn)
        if place.keeps == "report":
            with warn_on_failure(folder.path, "the report"):
                folder.storage.write(below(folder.path, REPORT_NAME), as_text(report))
        if job.report is not None:
            write_report(job.report, report)
        if job.sheet:
            with warn_on_failure(folder.path, "the sheet"):
                write_sheet(plan.sample(SAMPLE), folder, job)
    return report


@contextmanager
def pictures_to_do(
    job: PicturesToStylize, styles: Styles, on_progress: OnProgress, rest: Found | None = None
) -> Iterator[tuple[PictureAccount, Mapping[str, Refinement]]]:
    """Find out what ``stylize_pictures`` would do, and write nothing.

    Gives the account with which it would begin, and what refines the pictures of each style.
    Raises InputError where nothing could be begun.
    """
    ready = _prepared(job, styles, on_progress, rest)
    with ImagePlan(ready.shards) as plan:
        _list_inputs(plan, job, ready, on_progress)
        with _records_of(ready.folder, ready.place, only_look=True) as records:
            yield _judged(plan, records, ready, on_progress), ready.refinements


@dataclass(frozen=True)
class _Prepared:
    """What a run needs to know before it looks for pictures."""

    place: ImageOutput
    folder: OutputFolder
    names: OutputNames
    refinements: Mapping[str, Refinement]
    explained: Mapping[str, dict[str, Any]]
    """What the identities of outputs stand for, by a user's names of it."""
    manifest: str | None
    """Where it goes; None: there is none."""
    most_failures: Callable[[int], int | None]
    """See DatasetSettings."""
    seed: int
    shards: ShardNames | None
    annotations: Annotations | None


def _prepared(
    job: PicturesToStylize, styles: Styles, on_progress: OnProgress, rest: Found | None
) -> _Prepared:
    refinements = refinements_of(job, styles, on_progress)
    place = image_output(job, styles=len(styles))
    refined = dict.fromkeys(styles, "") | {n: f"-{r.identity}" for n, r in refinements.items()}
    identities = {
        name: identity_of(job, *style, rest) + refined[name] for name, style in styles.items()
    }
    explained = {
        identities[name]: made_with(job, *style, refined[name], rest)
        for name, style in styles.items()
    }
    storage, manifest = storage_for(job.output), manifest_of(job, place)
    splits = Splits(split_parts(job.split), job.seed) if manifest else None
    folder = OutputFolder(storage, place.folder, identities, job.resume, job.overwrite, splits)
    if manifest:
        check_manifest(storage, manifest)
    check_report(job.report)
    outputs_of_each = job.styles_per_image or len(styles)
    names = OutputNames(job.format, tuple(styles), outputs_of_each, job.seed)
    shards = None
    if place.shards:
        shards = ShardNames(place.shards, job.shard_pictures, job.shard_megabytes * 10**6)
        if job.sheet:
            raise InputError("--sheet: outputs go into tar shards, and a sheet shows files")
    return _Prepared(
        *(place, folder, names, refinements, explained, manifest, job.most_failures, job.seed),
        shards,
        annotations_of(job, place),
    )


def _judged(
    plan: ImagePlan, records: ImageRecords, ready: _Prepared, on_progress: OnProgress
) -> PictureAccount:
    """Decide what becomes of every output, and open the accounts."""
    plan.remember(records.known())
    plan.judge(ready.folder, {**records.made_with, **ready.explained})
    return PictureAccount(
        plan,
        ready.folder,
        records,
        on_progress,
        seed=ready.seed,
        styles_per_image=ready.names.styles_per_image,
        most_failures=ready.most_failures(plan.inputs()),
    )


def _list_inputs(
    plan: ImagePlan, job: PicturesToStylize, ready: _Prepared, on_progress: OnProgress
) -> None:
    """Find the pictures and name their outputs, the only one as ``-o`` where that is asked for."""
    folder, name, names = ready.folder, ready.place.name, ready.names
    if all(not is_uri(each) and kind_of(Path(each)) == "video" for each in job.sources):
        raise InputError(f"{job.sources[0]}: {VIDEO_ADVICE}")
    output = folder.storage.real(folder.path)
    found = with_masks(find_images(job.sources, without=output, with_members=True), job.mask)
    if name is not None:
        found = (replace(each, name=name) for each in found)
    for count in plan.add(found, names):
        if count % _INPUTS_BETWEEN_NEWS == 0:
            on_progress(Progress(0, count, "pictures", "still looking for more"))
    plan.spare_inputs(output)
    if ready.annotations:
        ready.annotations.match(plan.pairs, overwrite=job.overwrite)
    if job.sheet and plan.names(SHEET_NAME):
        raise InputError(
            f"--sheet: {SHEET_NAME} would be one of the outputs too; leave --sheet out, "
            "or give that picture another name"
        )


@contextmanager
def _records_of(
    folder: OutputFolder, place: ImageOutput, *, only_look: bool = False
) -> Iterator[ImageRecords]:
    try:
        if not folder.storage.is_remote:
            if only_look:
                check_can_write(Path(folder.path))
            else:
                Path(folder.path).mkdir(parents=True, exist_ok=True)
        records = ImageRecords(folder.storage, folder.path, keep=place.keeps, only_look=only_look)
    except OSError as error:
        raise InputError(
            f"-o {folder.path}: cannot be written ({error.strerror}); choose another folder"
        ) from error
    try:
        yield records
    finally:
        with warn_on_failure(folder.path):
            records.close()
