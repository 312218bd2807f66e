"""Stylizing videos: all inputs' segments through one pool of workers."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial

from jobs.applying.small_work import pool_for_segments
from jobs.applying.workers import find_checked, make_segment_worker, stylizing_pool
from jobs.films.film import VideoRun
from jobs.films.output import make_folders, planned_films
from jobs.specs.applying import StylizeVideo
from nst_core.checkpoints.library import Style
from nst_core.wording import counted
from pipeline.films.report import VideoReport
from pipeline.segments.task import SegmentTask, StylizedSegment
from pipeline.work.background import BackgroundThread, wait_for
from pipeline.work.pool import Deadline, Outcome, Unit
from pipeline.work.progress import FileProgress, OnProgress, Pace, Progress, ignore_progress, stage

_MOST_OPEN = 32
"""Inputs that are scanned and not yet at their end."""


@dataclass(frozen=True)
class StylizeVideoReport:
    """What a video job came to; the fields of the command's JSON."""

    engine: str
    workers: int
    inputs: list[VideoReport]

    @property
    def nothing_started(self) -> bool:
        """Whether not one input got past scanning."""
        return all(video.error and not video.segments["total"] for video in self.inputs)


def stylize_videos(
    job: StylizeVideo, on_progress: OnProgress = ignore_progress
) -> StylizeVideoReport:
    """Stylize every input; what fails is told in its part of the report, and the rest goes on.

    Raises InputError or EnvironmentProblem where the job as a whole cannot start.
    """
    style = find_checked(job.style, job.pool)
    films = planned_films(job)
    make_folders(job, films)
    runs = [VideoRun(film, job, style) for film in films]
    if len(runs) > 1:
        on_progress(stage(f"scanning {counted(len(runs), 'films')}", "frames"))
    try:
        with BackgroundThread("scan") as scanner, BackgroundThread("write") as writer:
            batch = _Batch(runs, scanner, writer, on_progress)
            engine, workers = _stylize(batch, job, style, on_progress)
    finally:
        for run in runs:
            run.close()
    return StylizeVideoReport(engine, workers, [run.report for run in runs])


def _stylize(
    batch: _Batch, job: StylizeVideo, style: Style, on_progress: OnProgress
) -> tuple[str, int]:
    """Bring every input to its end; returns the engine and the number of workers."""
    engine, workers = "none", 0
    if batch.has_work():  # else there is no need for a pool
        # Depth 1: a segment lasts long, and must not wait at a busy worker beside an idle one.
        with stylizing_pool(
            partial(make_segment_worker, style.with_stroke(batch.stroke()), job.style),
            job.style,
            pool_for_segments(job.pool, batch.segments_known()),
            depth=1,
            deadline=_deadline(job),
            on_start=partial(on_progress, stage("starting workers", "frames")),
        ) as pool:
            for outcome in pool.run(batch):
                batch.accept(outcome)
            engine, workers = pool.engine() or "none", pool.workers
    batch.wait_for_outputs()
    return engine, workers


def _deadline(job: StylizeVideo) -> Deadline:
    return Deadline(job.segment_deadline, "raise --segment-deadline or shorten --segment-seconds")


class _Batch:
    """The inputs of a job on their way: scanned ahead of the workers, written behind them."""

    def __init__(
        self,
        runs: list[VideoRun],
        scanner: BackgroundThread,
        writer: BackgroundThread,
        on_progress: OnProgress,
    ) -> None:
        self._runs = runs
        self._scanner = scanner
        self._scans: list[Future[None]] = []
        self._scanned: list[VideoRun] = []
        self._scan_ahead()
        self._writer = writer
        self._outputs: list[Future[None]] = []
        self._on_progress = on_progress
        self._pace = Pace()

    def has_work(self) -> bool:
        """Wait for an input with segments to do; False when all are scanned and none has any."""
        while not any(run.waiting for run in self._scanned):
            if len(self._scanned) == len(self._runs):
                return False
            if len(self._scans) == len(self._scanned):  # as many as may be open are being written
                self.wait_for_outputs()
                self._scan_ahead()
            wait_for(self._scans[len(self._scanned)])
            self._take_scanned()
        return True

    def stroke(self) -> float:
        """Return the stroke of the first input with segments to do."""
        return next(run.stroke for run in self._scanned if run.waiting)

    def segments_known(self) -> int:
        """How many segments are to do so far; while inputs are still to be scanned, one more."""
        counts = (run.report.segments for run in self._scanned if run.waiting)
        waiting = sum(count["total"] - count["reused"] for count in counts)
        return waiting + (len(self._scanned) < len(self._runs))

    def next_for(self, last: tuple[int, int] | None) -> Unit[SegmentTask] | None:
        """A segment to do, input by input; None while scans or outcomes may bring more.

        ``last`` is the key of the last one that its worker has had. Raises StopIteration.
        """
        self._take_scanned()
        unit = self._next_unit(last)
        if unit is None and not self._more_may_come():
            raise StopIteration
        return unit

    def accept(self, outcome: Outcome[StylizedSegment]) -> None:
        """Keep what a worker has done."""
        key, _ = outcome.key
        run = self._runs[key]
        frames = run.accept(outcome)
        self._pace.add(frames, began=outcome.began, now=time.monotonic())
        if run.complete:
            self._write(run)
        self._on_progress(self._progress())

    def wait_for_outputs(self) -> None:
        """Wait until every output is written and verified."""
        for output in self._outputs:
            wait_for(output)

    def _take_scanned(self) -> None:
        while len(self._scanned) < len(self._scans) and self._scans[len(self._scanned)].done():
            self._scans[len(self._scanned)].result()
            run = self._runs[len(self._scanned)]
            self._scanned.append(run)
            if run.report.warnings:
                lines = tuple(f"{run.report.input}: {line}" for line in run.report.warnings)
                self._on_progress(replace(self._progress(), warnings=lines))
            if run.complete:  # an earlier run was stopped just before it wrote its output
                self._write(run)
            progress = self._progress()
            if progress.is_all and progress.done:  # the last scan ended after all frames were done
                self._on_progress(progress)
        self._scan_ahead()

    def _scan_ahead(self) -> None:
        """Scan the next inputs, not all: each that is not at its end holds a lock and a plan."""
        open_ones = sum(not run.ended for run in self._runs[: len(self._scans)])
        for run in self._runs[len(self._scans) :][: max(0, _MOST_OPEN - open_ones)]:
            self._scans.append(self._scanner.submit(run.scan))

    def _next_unit(self, last: tuple[int, int] | None) -> Unit[SegmentTask] | None:
        units = (run.next_unit(key, last) for key, run in enumerate(self._scanned))
        return next((unit for unit in units if unit is not None), None)

    def _more_may_come(self) -> bool:
        return len(self._scanned) < len(self._runs) or any(run.at_work for run in self._scanned)

    def _write(self, run: VideoRun) -> None:
        """Write beside the stylizing of the inputs that follow."""
        self._outputs.append(self._writer.submit(run.finish))

    def _progress(self) -> Progress:
        done = sum(run.frames_done for run in self._scanned)
        total = sum(run.frames_to_do for run in self._scanned)
        now = time.monotonic()
        all_known = len(self._scanned) == len(self._runs)
        return Progress(
            done,
            total,
            "frames",
            files=tuple(
                FileProgress(run.name, run.frames_done, run.report.frames_in)
                for run in self._scanned
                if run.at_work
            ),
            per_second=self._pace.per_second(now),
            seconds_left=self._pace.seconds_left(total - done, now) if all_known else None,
            estimates=True,
            time_is_summed_up=True,
            is_all=all_known,
        )
