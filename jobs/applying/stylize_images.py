"""Stylizing pictures: from the specification to the workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.connection import LOCAL
from jobs.applying.needs_ray import MOST_PICTURES, pool_for_pictures
from jobs.applying.workers import (
    find_style_for_job,
    make_image_worker,
    rest_of,
    stylizing_pool,
)
from jobs.specs.applying import PoolSpec, StylizeImages
from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec, check_strengths
from nst_core.errors import InputError
from pipeline.pictures.account import PictureAccount
from pipeline.pictures.identity import Found
from pipeline.pictures.report import StylizeImagesReport
from pipeline.pictures.run import Styles, stylize_pictures
from pipeline.pictures.task import REST
from pipeline.storage.files import is_uri
from pipeline.storage.shared_files import SharedFiles, shared_files
from pipeline.work.pool import WorkerPool
from pipeline.work.progress import OnProgress, ignore_progress, stage

if TYPE_CHECKING:
    from nst_core.objectives.refinement import Refinement
    from pipeline.pictures.worker import ImageWorker

_DEPTH = 3
_OVERLAPPING = 2
"""Units in work at a worker that waits for a network or a GPU: one is read or written meanwhile."""


def stylize_images(
    job: StylizeImages, on_progress: OnProgress = ignore_progress
) -> StylizeImagesReport:
    """Stylize every picture; those that fail are named in the report, and the rest goes on.

    Raises InputError or EnvironmentProblem where the job as a whole cannot start.
    """

    def find(spec: StyleSpec) -> Style:
        return find_style_for_job(spec, job.pool, job.sources, on_progress)

    styles, rest = find_styles(job, find)
    open_pool = partial(_open_pool, job, styles, rest, on_progress)
    return stylize_pictures(job, styles, open_pool, on_progress, rest=rest)


def find_styles(
    job: StylizeImages, find: Callable[[StyleSpec], Style]
) -> tuple[Styles, Found | None]:
    """Find the styles of a job, by the names that its outputs give them, and that of the rest.

    The rest is what masks leave out; None: there are no masks. Raises InputError.
    """
    styles: dict[str, tuple[Style, StyleSpec]] = {}
    for spec in job.styles:
        style = find(spec)
        if style.name in styles:
            raise InputError(
                f"--style {spec.style}: a second style called {style.name}; the names of the "
                "outputs could not tell them apart, so rename its file"
            )
        styles[style.name] = (style, spec)
    rest_spec = None if job.mask is None else rest_of(job.styles[0], job.mask_style)
    rest = (find(rest_spec), rest_spec) if rest_spec else None
    applied = [*styles.values(), *([rest] if rest else [])]
    check_strengths(job.styles[0], [style for style, _ in applied])
    return styles, rest


@contextmanager
def _open_pool(
    job: StylizeImages,
    styles: Styles,
    rest: Found | None,
    on_progress: OnProgress,
    account: PictureAccount,
    refinements: Mapping[str, Refinement],
) -> Iterator[WorkerPool]:
    pool_spec = pool_of(job, account)
    with (
        _seen_by_all(account, job, pool_spec) as files,
        stylizing_pool(
            partial(worker_maker(job, styles, rest, account, refinements), files=files),
            job.styles[0],
            pool_spec,
            depth=_DEPTH,
            concurrency=_OVERLAPPING if _is_remote(job, account) else 1,
            concurrency_on_gpu=_OVERLAPPING,
            on_start=partial(on_progress, stage("starting workers", "pictures")),
        ) as pool,
    ):
        yield pool


def pool_of(job: StylizeImages, account: PictureAccount) -> PoolSpec:
    """Return the pool for what there is to do."""
    outputs = job.outputs_of_each
    if account.waiting <= MOST_PICTURES and (not job.refine or account.waiting * outputs == 1):
        return pool_for_pictures(job.pool, account.sizes(), styles=outputs)
    return job.pool


def worker_maker(
    job: StylizeImages,
    styles: Styles,
    rest: Found | None,
    account: PictureAccount,
    refinements: Mapping[str, Refinement],
) -> Callable[..., ImageWorker]:
    """Return what makes a worker, of ``threads`` and ``files``."""
    settings = replace(job, sources=job.sources[:1])  # tasks name them: workers need no list
    remote = _is_remote(job, account)
    every = {**styles, REST: rest} if rest else styles
    return partial(make_image_worker, every, settings, refinements, remote=remote)


def _is_remote(job: StylizeImages, account: PictureAccount) -> bool:
    return is_uri(job.output) or account.reads_uris


@contextmanager
def _seen_by_all(
    account: PictureAccount, job: StylizeImages, pool: PoolSpec
) -> Iterator[SharedFiles | None]:
    """Let workers on other machines find out whether they read and write the same folders."""
    if pool.address == LOCAL or pool.workers == 0:
        yield None
        return
    folder = None if is_uri(job.output) else Path(account.folder)
    with shared_files(folder, account.first_sources()) as files:
        yield files
