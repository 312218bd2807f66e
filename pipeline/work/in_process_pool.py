"""A pool in this very process: no Ray to start, and a debugger reaches everything."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

from nst_core.errors import NstError
from pipeline.work.pool import (
    SECONDS_BETWEEN_QUESTIONS,
    OnAdvance,
    Outcome,
    TellsHowFar,
    Unit,
    Units,
    UnitSource,
    Worker,
    WorkerFactory,
    as_source,
)

_log = logging.getLogger(__name__)


class _ListenerError(BaseException):
    """What ``on_advance`` has raised: it ends the run, as it does everywhere, not a unit."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class _Stopped(BaseException):
    """Raised in the middle of a unit that nobody waits for any more."""


class InProcessPool:
    """One worker; it does one unit after the other, or ``at_once`` of them in as many threads.

    Nobody watches it: there is no deadline, and a unit that kills the process kills the run.
    """

    workers = 0

    def __init__(self, factory: WorkerFactory, *, at_once: int = 1) -> None:
        self._factory = factory
        self._at_once = at_once
        self._worker: Worker | None = None

    def run(self, units: Units, on_advance: OnAdvance | None = None) -> Iterator[Outcome[Any]]:
        """Do the units; an error ends a unit, not the run."""
        source = as_source(units)
        if self._at_once > 1:
            yield from _AtOnce(self._built, source, on_advance, self._at_once).outcomes()
            return
        last = None
        while True:
            try:
                unit = source.next_for(last)
            except StopIteration:
                return
            if unit is None:
                time.sleep(SECONDS_BETWEEN_QUESTIONS)
                continue
            last = unit.key
            yield self._outcome(self._built(), unit, on_advance)

    def engine(self) -> str | None:
        """What computes; None as long as no worker was needed."""
        return self._worker.engine if self._worker else None

    def close(self) -> None:
        """Forget the worker."""
        self._worker = None

    def _built(self) -> Worker:
        if self._worker is None:
            self._worker = self._factory()
        return self._worker

    @staticmethod
    def _outcome(worker: Worker, unit: Unit[Any], on_advance: OnAdvance | None) -> Outcome[Any]:
        began = time.monotonic()
        if on_advance and isinstance(worker, TellsHowFar):

            def tell(done: int, part: Any) -> None:
                try:
                    on_advance(unit.key, done, began, [] if part is None else [part])
                except Exception as error:
                    raise _ListenerError(error) from error

            worker.tell = tell
        try:
            return _done(worker, unit, began)
        except _ListenerError as raised:
            raise raised.error from None


class _AtOnce:
    """A run of units in several threads. Outcomes and news reach the caller in its own thread."""

    def __init__(
        self,
        built: WorkerFactory,
        source: UnitSource[Any],
        on_advance: OnAdvance | None,
        at_once: int,
    ) -> None:
        self._built = built
        self._source = source
        self._on_advance = on_advance
        self._at_once = at_once
        self._news: SimpleQueue[tuple[Any, int, float, list[Any]]] = SimpleQueue()
        self._stopped = Event()
        self._lasts: deque[Any] = deque()
        """Keys of the units that ended, where none has come after them yet."""
        self._exhausted = False

    def outcomes(self) -> Iterator[Outcome[Any]]:
        """Yield outcomes as units end. What stops the run stops the units in their midst."""
        running: set[Future[Outcome[Any]]] = set()
        with ThreadPoolExecutor(self._at_once, "unit") as threads:
            try:
                while True:
                    while len(running) < self._at_once and (unit := self._drawn()) is not None:
                        running.add(threads.submit(self._do, self._built(), unit))
                    if not running and self._exhausted:
                        return
                    ended = wait(running, SECONDS_BETWEEN_QUESTIONS, FIRST_COMPLETED).done
                    if not running:
                        time.sleep(SECONDS_BETWEEN_QUESTIONS)
                    self._tell_news()
                    running -= ended
                    outcomes = [each.result() for each in ended]
                    self._lasts += [outcome.key for outcome in outcomes]
                    yield from outcomes
            finally:
                self._stopped.set()

    def _drawn(self) -> Unit[Any] | None:
        if self._exhausted:
            return None
        try:
            self._lasts.rotate(1)  # each in turn: for one there may be nothing yet
            unit = self._source.next_for(self._lasts[0] if self._lasts else None)
        except StopIteration:
            self._exhausted = True
            return None
        if unit is not None and self._lasts:
            self._lasts.popleft()
        return unit

    def _do(self, worker: Worker, unit: Unit[Any]) -> Outcome[Any]:
        began = time.monotonic()

        def tell(done: int, part: Any) -> None:
            if self._stopped.is_set():
                raise _Stopped
            self._news.put((unit.key, done, began, [] if part is None else [part]))

        if isinstance(worker, TellsHowFar):
            worker.tell = tell  # for this thread's unit
        return _done(worker, unit, began)

    def _tell_news(self) -> None:
        while True:
            try:
                news = self._news.get_nowait()
            except Empty:
                return
            if self._on_advance:
                self._on_advance(*news)


def _done(worker: Worker, unit: Unit[Any], began: float) -> Outcome[Any]:
    try:
        return Outcome(unit.key, worker.process(unit.task), began=began)
    except NstError as error:
        return Outcome(unit.key, None, str(error), began=began)
    except Exception as error:
        _log.debug("unit %s failed", unit.key, exc_info=True)
        return Outcome(unit.key, None, f"{type(error).__name__}: {error}", began=began)
