"""Stylizing videos, in one style or several: from the specification to the workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

from cluster.connection import LOCAL
from jobs.applying.direction import direction_of
from jobs.applying.encoders import encoders_of
from jobs.applying.needs_ray import pool_for_segments
from jobs.applying.workers import find_style_for_job, make_segment_worker, stylizing_pool
from jobs.specs.applying import StylizeVideo
from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec, check_strengths
from nst_core.errors import InputError
from pipeline.films.film import Film
from pipeline.films.films import stylize_films
from pipeline.films.output import PlannedFilm, make_folders
from pipeline.films.report import StylizeVideoReport
from pipeline.films.styles import AllStyles
from pipeline.looks.direction import Direction
from pipeline.looks.look import Look
from pipeline.storage.remote_file import path_of
from pipeline.work.pool import Deadline, WorkerPool
from pipeline.work.progress import OnProgress, ignore_progress, stage


def stylize_videos(
    job: StylizeVideo, on_progress: OnProgress = ignore_progress
) -> StylizeVideoReport:
    """Stylize every input; what fails is told in its part of the report, and the rest goes on.

    Raises InputError or EnvironmentProblem where the job as a whole cannot start.
    """
    others: list[str] = []
    planned = job.planned_films(others)
    direction = _find_direction(job, on_progress)
    films = films_of(job, planned, direction)

    def open_pool(look: Look, segments: int) -> AbstractContextManager[WorkerPool]:
        # No more than are in work: a segment lasts long, and must not wait beside an idle worker.
        return stylizing_pool(
            partial(make_segment_worker, direction.styles, look),
            look.spec,
            pool_for_segments(job.pool, segments),
            depth=1,
            concurrency=None,
            encoders=encoders_of(job),
            deadline=Deadline(
                job.segment_deadline, "raise --segment-deadline or shorten --segment-seconds"
            ),
            on_start=partial(on_progress, stage("starting workers", "frames")),
        )

    return replace(stylize_films(films, open_pool, on_progress), not_films=others)


def _find_direction(job: StylizeVideo, on_progress: OnProgress) -> Direction:
    sources = [*map(str, job.inputs)]

    def find(spec: StyleSpec) -> Style:
        return find_style_for_job(spec, job.pool, sources, on_progress, of_films=True)

    return direction_of(job, find)


def films_of(
    job: StylizeVideo,
    planned: Sequence[PlannedFilm],
    direction: Direction,
    *,
    only_look: bool = False,
) -> list[Film]:
    """Return the films of a job, not scanned yet; the folders of their outputs are made.

    With ``only_look`` nothing is written, by them neither. Raises InputError.
    """
    makes_folder = make_folders(
        planned, path_of(job.output), into_folder=job.into_folder, only_look=only_look
    )
    return [
        Film(
            film,
            job,
            direction,
            is_encoded_here=job.pool.address == LOCAL,
            only_look=only_look,
            makes_folder=makes_folder,
        )
        for film in planned
    ]


def stylize_in_styles(
    in_styles: Sequence[StylizeVideo], on_progress: OnProgress = ignore_progress
) -> StylizeVideoReport:
    """Stylize the same films in several styles, a job for each; outputs are named after both.

    Raises InputError or EnvironmentProblem where the job as a whole cannot start: every style is
    found before the first film is begun.
    """
    if len(in_styles) == 1 and not in_styles[0].style.strengths:
        return stylize_videos(in_styles[0], on_progress)
    jobs = jobs_by_style(in_styles, lambda job: _find_direction(job, on_progress))
    if len(in_styles) == 1:
        return stylize_videos(in_styles[0], on_progress)
    counted = AllStyles(list(jobs), on_progress)
    reports = []
    for name, each in jobs.items():
        with counted.style(name) as show:
            reports.append(stylize_videos(each, show))
    return StylizeVideoReport(
        engine=next((each.engine for each in reports if each.engine != "none"), "none"),
        workers=max(each.workers for each in reports),
        inputs=[one for each in reports for one in each.inputs],
        not_films=reports[0].not_films,
    )


def jobs_by_style(
    in_styles: Sequence[StylizeVideo], find: Callable[[StylizeVideo], Direction]
) -> dict[str, StylizeVideo]:
    """Return the job of each style by its name, which is in the names of several styles' outputs.

    Raises InputError.
    """
    directions = [find(job) for job in in_styles]
    check_strengths(
        in_styles[0].style, [style for each in directions for style in each.styles.values()]
    )
    jobs: dict[str, StylizeVideo] = {}
    for job, name in zip(in_styles, (each.style.name for each in directions), strict=True):
        if name in jobs:
            raise InputError(
                f"--style {job.style.style}: a second style called {name}; the names of the "
                "outputs could not tell them apart, so name each once, or rename its file"
            )
        jobs[name] = replace(job, mark=name) if len(in_styles) > 1 else job
        jobs[name].planned_films()
    return jobs
