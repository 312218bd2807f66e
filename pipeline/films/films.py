"""The films of a job on their way: scanned ahead of the workers, written behind them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from nst_core.wording import counted
from pipeline.films.film import Film
from pipeline.films.report import StylizeVideoReport
from pipeline.looks.look import Look
from pipeline.segments.task import BegunPart, SegmentResult, SegmentTask
from pipeline.work.background import BackgroundThread, wait_for
from pipeline.work.pool import Outcome, Unit, WorkerPool
from pipeline.work.progress import FileProgress, OnProgress, Pace, Progress, stage

_MOST_OPEN = 32
"""Films that are scanned and not yet at their end."""

_SECONDS_BETWEEN_SIGNS = 0.5
"""Between two states that are shown while segments are in work, whose frames may be very quick."""

OpenPool = Callable[[Look, int], AbstractContextManager[WorkerPool]]
"""Opens workers for a look of the first film, and for so many segments as are known by then."""


def stylize_films(
    films: Sequence[Film], open_pool: OpenPool, on_progress: OnProgress
) -> StylizeVideoReport:
    """Bring every film to its end; what fails is told in its report, and the rest goes on."""
    if len(films) > 1:
        on_progress(stage(f"scanning {counted(len(films), 'films')}", "frames"))
    engine, workers = "none", 0
    stopped = True
    try:
        with BackgroundThread("scan") as scanner, BackgroundThread("write") as writer:
            all_films = Films(films, scanner, writer, on_progress)
            if all_films.has_work():  # else there is no need for a pool
                with open_pool(all_films.first_look(), all_films.segments_known()) as pool:
                    for outcome in pool.run(all_films, all_films.advanced):
                        all_films.accept(outcome)
                    engine, workers = pool.engine() or "none", pool.workers
            all_films.wait_for_outputs()
        stopped = False
    finally:
        for film in films:
            film.close(stopped=stopped)
    return StylizeVideoReport(engine, workers, [film.report for film in films])


class Films:
    """Hands out the segments of films, one film after the other, and takes them back.

    One thread asks; scans and outputs are made in two others. A film is the asking thread's again
    once its scan, or its output, has ended.
    """

    def __init__(
        self,
        films: Sequence[Film],
        scanner: BackgroundThread,
        writer: BackgroundThread,
        on_progress: OnProgress,
    ) -> None:
        self._films = films
        self._scanner = scanner
        self._scans: list[Future[None]] = []
        self._scanned: list[Film] = []
        self._scan_ahead()
        self._writer = writer
        self._outputs: list[tuple[Future[None], Film]] = []
        self._on_progress = on_progress
        self._pace = Pace()
        self._shown = time.monotonic()
        """When ``advanced`` has last shown how far all is."""

    def has_work(self) -> bool:
        """Wait for a film with segments to do; False when all are scanned and none has any."""
        while not any(film.waiting for film in self._scanned):
            if len(self._scanned) == len(self._films):
                return False
            if len(self._scans) == len(self._scanned):  # as many as may be open are being written
                self.wait_for_outputs()
                self._scan_ahead()
            wait_for(self._scans[len(self._scanned)])
            self._take_scanned()
        return True

    def first_look(self) -> Look:
        """Return a look of the first film with segments to do."""
        return next(film.plan.looks.first for film in self._scanned if film.waiting)

    def segments_known(self) -> int:
        """How many segments are to do so far; while films are still to be scanned, one more."""
        counts = (film.report.segments for film in self._scanned if film.waiting)
        waiting = sum(count["total"] - count["reused"] for count in counts)
        return waiting + (len(self._scanned) < len(self._films))

    def next_for(self, last: tuple[int, int] | None) -> Unit[SegmentTask] | None:
        """A segment to do, film by film; None while scans or outcomes may bring more.

        ``last`` is the key of the last one that its worker has had. Raises StopIteration.
        """
        self._take_scanned()
        unit = self._next_unit(last)
        if unit is None and not self._more_may_come():
            raise StopIteration
        return unit

    def advanced(
        self, key: tuple[int, int], frames: int, began: float, parts: Sequence[BegunPart]
    ) -> None:
        """Show how far a segment is that is at a worker, and keep what it has so far."""
        film, number = key
        now = time.monotonic()
        more = self._films[film].advanced(number, frames, parts)
        self._pace.add(more, began=began, now=now)
        if more and now >= self._shown + _SECONDS_BETWEEN_SIGNS:
            self._shown = now
            self._on_progress(self._progress())

    def accept(self, outcome: Outcome[SegmentResult[bytes]]) -> None:
        """Keep what a worker has done."""
        key, _ = outcome.key
        film = self._films[key]
        frames = film.accept(outcome)
        self._pace.add(max(0, frames), began=outcome.began, now=time.monotonic())
        if film.complete:
            self._write(film)
        self._on_progress(self._progress())

    def wait_for_outputs(self) -> None:
        """Wait until every output is written and verified."""
        for output, _ in self._outputs:
            wait_for(output)
        self._close_written()

    def _take_scanned(self) -> None:
        self._close_written()
        while len(self._scanned) < len(self._scans) and self._scans[len(self._scanned)].done():
            self._scans[len(self._scanned)].result()
            film = self._films[len(self._scanned)]
            self._scanned.append(film)
            if film.report.warnings:
                lines = tuple(f"{film.report.input}: {line}" for line in film.report.warnings)
                self._on_progress(replace(self._progress(), warnings=lines))
            if film.complete:  # an earlier run was stopped just before it wrote its output
                self._write(film)
            progress = self._progress()
            if progress.is_all and progress.done:  # the last scan ended after all frames were done
                self._on_progress(progress)
        self._scan_ahead()

    def _scan_ahead(self) -> None:
        """Scan the next films, not all: each that is not at its end holds a lock and a plan."""
        open_ones = sum(not film.ended for film in self._films[: len(self._scans)])
        for film in self._films[len(self._scans) :][: max(0, _MOST_OPEN - open_ones)]:
            self._scans.append(self._scanner.submit(film.scan))

    def _next_unit(self, last: tuple[int, int] | None) -> Unit[SegmentTask] | None:
        units = (film.next_unit(key, last) for key, film in enumerate(self._scanned))
        return next((unit for unit in units if unit is not None), None)

    def _more_may_come(self) -> bool:
        return len(self._scanned) < len(self._films) or any(film.at_work for film in self._scanned)

    def _write(self, film: Film) -> None:
        """Write beside the stylizing of the films that follow."""
        self._outputs.append((self._writer.submit(film.finish), film))

    def _close_written(self) -> None:
        """Close films whose end has come: what they are worked on with may be large."""
        for output, film in list(self._outputs):
            if output.done():
                self._outputs.remove((output, film))
                output.result()
                film.close()

    def _progress(self) -> Progress:
        return self._pace.progress(
            sum(film.frames_done for film in self._scanned),
            sum(film.frames_to_do for film in self._scanned),
            "frames",
            files=tuple(
                FileProgress(Path(film.report.input).name, film.frames_done, film.report.frames_in)
                for film in self._scanned
                if film.at_work
            ),
            is_all=len(self._scanned) == len(self._films),
        )
