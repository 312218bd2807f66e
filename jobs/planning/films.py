"""The plan of `nst stylize video`: every film is scanned as in a run, and a few frames are done."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from contextlib import closing

from jobs.applying.direction import direction_of
from jobs.applying.needs_ray import pool_for_segments
from jobs.applying.stylize_video import films_of, jobs_by_style
from jobs.planning.crew import COMMAND_SECONDS, Crew, crew_for, torch_seconds
from jobs.planning.film_rate import Rates, pixels_of
from jobs.planning.report import FilmsPlan, PlannedFilm
from jobs.planning.room import disks_for, memory_for, memory_now
from jobs.planning.styles import FoundStyle, style_for_plan
from jobs.specs.applying import StylizeVideo
from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import NstError
from pipeline.films.film import Film
from pipeline.films.plan import FilmPlan, work_folder
from pipeline.films.report import skipped_in_words
from pipeline.looks.direction import Direction
from pipeline.source.media_file import open_source
from pipeline.storage.remote_file import RemoteFile, path_of
from pipeline.work.progress import OnProgress, ignore_progress, stage

_SECONDS_TO_FINISH = 0.3
_FRAMES_FINISHED_A_SECOND = 10_000
"""Spliced, and read again to be verified."""


def plan_films(
    in_styles: Sequence[StylizeVideo], on_progress: OnProgress = ignore_progress
) -> FilmsPlan:
    """Find out what `nst stylize video` would do; nothing is written but caches.

    Raises InputError or EnvironmentProblem where the job as a whole could not start.
    """
    plan = FilmsPlan(seconds=COMMAND_SECONDS)
    driver = memory_now()
    found: dict[StyleSpec, FoundStyle] = {}

    def find(spec: StyleSpec) -> Style:
        if spec not in found:
            found[spec] = style_for_plan(spec, in_styles[0].pool, of_films=True)
        return found[spec].style

    jobs = jobs_by_style(in_styles, lambda job: direction_of(job, find)).values()
    for each in found.values():
        plan.add_style(each)
    for job in jobs:
        _InOneStyle(plan, job, direction_of(job, find), driver, on_progress).add()
    sizes = [(path_of(film.output).absolute(), film.size) for film in plan.inputs if film.size]
    if sizes:
        # Beside its output lie a film's pieces until it is whole.
        largest = max(sizes, key=lambda each: each[1])
        pieces = work_folder(largest[0], in_styles[0]).parent, largest[1]
        here = [each for each in sizes if not isinstance(each[0], RemoteFile)]
        plan.disks = disks_for([*((output.parent, size) for output, size in here), pieces])
    plan.remark_room()
    return plan


class _InOneStyle:
    """The films of a job, which become a part of the plan for all styles."""

    def __init__(
        self,
        plan: FilmsPlan,
        job: StylizeVideo,
        direction: Direction,
        driver: int,
        on_progress: OnProgress,
    ) -> None:
        """``driver`` is the memory of the command without its workers, in bytes."""
        self._plan = plan
        self._job = job
        self._direction = direction
        self._driver = driver
        self._on_progress = on_progress
        self._crew: Crew | None = None
        self._rates: Rates | None = None
        self._free_at: list[float] = []
        """When each worker has nothing to do: seconds since all of them began."""

    def add(self) -> None:
        """Look at every film, one after the other, and sum up."""
        others: list[str] = []
        planned_films = self._job.planned_films(others)
        films = films_of(self._job, planned_films, self._direction, only_look=True)
        if others:
            self._plan.remarks.append(skipped_in_words(others))
        first_scan = finish = 0.0
        for number, film in enumerate(films, 1):
            if len(films) > 1:
                self._on_progress(stage(f"scanning film {number} of {len(films)}", "films"))
            with closing(film):
                film.scan()
                planned = _planned(film)
                self._plan.inputs.append(planned)
                if planned.fate != "to do":
                    continue
                first_scan = first_scan or film.report.seconds["scan"]
                finish = _SECONDS_TO_FINISH + planned.frames / _FRAMES_FINISHED_A_SECOND
                planned.seconds = finish
                if film.waiting:
                    self._add_work(film, planned, is_alone=len(films) == 1)
        start = self._add_crew(first_scan)
        self._plan.seconds_to_start = round(self._plan.seconds_to_start + start, 1)
        busy = max(self._free_at, default=0.0)
        self._plan.seconds = round(self._plan.seconds + start + busy + finish, 1)

    def _add_work(self, film: Film, planned: PlannedFilm, *, is_alone: bool) -> None:
        """Deal the segments that are left out to the workers, as they become free."""
        left, pixels = film.segments_left, pixels_of(film.plan)
        if self._rates is None or self._crew is None:
            segments = len(left) if is_alone else len(left) + 1
            self._crew = crew_for(self._job.style, pool_for_segments(self._job.pool, segments))
            self._rates = Rates(self._direction.styles, self._crew)
            self._free_at = [0.0] * self._crew.at_once
        self._on_progress(stage(f"measuring: {film.report.input}", "frames"))
        try:
            rate = self._rates.of(film)
        except NstError as error:
            planned.fate, planned.error = "refused", f"{planned.input}: {error}"
            return
        begin, end = min(self._free_at), 0.0
        for segment in left:
            kept = film.frames_kept(segment)
            planned.frames_kept += kept
            until = heapq.heappop(self._free_at) + rate.seconds_of(segment, pixels, kept)
            heapq.heappush(self._free_at, until)
            end = max(end, until)
        planned.seconds = round(end - begin + planned.seconds, 1)
        planned.frames_left -= planned.frames_kept
        planned.frames_per_second = round(planned.frames_left / max(end - begin, 1e-9), 2)
        planned.size = rate.bytes_of(film.plan.segments, pixels) + _bytes_beside(film.plan)

    def _add_crew(self, first_scan: float) -> float:
        """Tell who works, with what; returns the seconds before the first frame."""
        crew, plan = self._crew, self._plan
        measured = self._rates.measured if self._rates else []
        if crew is None or not measured:
            return first_scan
        plan.engine = measured[0].engine if plan.engine == "none" else plan.engine
        plan.workers = crew.workers
        plan.threads_per_worker = crew.threads
        plan.frames_measured += sum(rate.frames for rate in measured)
        worker_bytes = max(rate.worker_bytes for rate in measured)
        plan.memory = memory_for(worker_bytes, crew.workers or 0, driver=self._driver)
        if not crew.is_here:
            plan.remarks.append(crew.elsewhere)
        ray = 0.0 if plan.seconds_to_start else crew.ray_seconds  # started once for all styles
        return max(first_scan, ray) + torch_seconds() + measured[0].seconds_to_warm_up


def _planned(film: Film) -> PlannedFilm:
    """What a scan has found."""
    report = film.report
    planned = PlannedFilm(
        input=report.input,
        output=report.output,
        error=report.error,
        frames=report.frames_in,
        segments={name: report.segments[name] for name in ("total", "reused")},
        warnings=list(report.warnings),
    )
    if film.ended:
        planned.fate = "refused" if report.error else "done"
        return planned
    output = film.plan.output
    planned.fate = "to do"
    planned.frames_left = report.frames_in - film.frames_done
    planned.width, planned.height = output.width, output.height
    planned.encoder = output.encoder.in_words
    return planned


def _bytes_beside(plan: FilmPlan) -> int:
    """Bytes of all that the file has beside the picture, where some of it is taken over."""
    source = plan.source
    if not plan.copies.ways:
        return 0
    if source.cut is None:
        return max(0, source.path.stat().st_size - source.packets.size)
    seconds = float(len(source.packets.shown_pts) / source.info.rate)
    with open_source(source.path) as container:
        rates = [container.streams[number].codec_context.bit_rate for number in plan.copies.ways]
    return int(seconds * sum(rate or 0 for rate in rates) / 8)
