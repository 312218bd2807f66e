"""Workers: a pool hands units of work to them and tells how each unit ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from nst_core.errors import NstError

_log = logging.getLogger(__name__)

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Unit(Generic[Task]):
    """One piece of work, repeatable: it may run twice when a worker dies."""

    key: Any
    task: Task


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """How a unit ended: with a result, or with an error in words."""

    key: Any
    result: Result | None
    error: str | None = None
    attempts: int = 1


class Worker(Protocol):
    """What a pool hosts: an ordinary object that tests can call."""

    @property
    def engine(self) -> str:
        """What computes, for the report."""
        ...

    def process(self, task: Any) -> Any:
        """Do one unit's task."""
        ...


WorkerFactory = Callable[[], Worker]
"""Builds a worker where it will live; it must be picklable."""


class WorkerPool(Protocol):
    """Runs units; outcomes come in the order in which units end."""

    workers: int

    def run(self, units: Iterable[Unit[Any]]) -> Iterator[Outcome[Any]]:
        """Draw units as workers become free, and yield every unit's outcome."""
        ...

    def engine(self) -> str | None:
        """What computes; None as long as no worker was needed."""
        ...

    def close(self) -> None:
        """Let the workers go."""
        ...


class InProcessPool:
    """One worker in this very process: no Ray to start, and a debugger reaches everything."""

    workers = 0

    def __init__(self, factory: WorkerFactory) -> None:
        self._factory = factory
        self._worker: Worker | None = None

    def run(self, units: Iterable[Unit[Any]]) -> Iterator[Outcome[Any]]:
        """Do one unit after the other; an error ends a unit, not the run."""
        for unit in units:
            if self._worker is None:
                self._worker = self._factory()
            try:
                yield Outcome(unit.key, self._worker.process(unit.task))
            except NstError as error:
                yield Outcome(unit.key, None, str(error))
            except Exception as error:
                _log.debug("unit %s failed", unit.key, exc_info=True)
                yield Outcome(unit.key, None, f"{type(error).__name__}: {error}")

    def engine(self) -> str | None:
        """What computes; None as long as no worker was needed."""
        return self._worker.engine if self._worker else None

    def close(self) -> None:
        """Forget the worker."""
        self._worker = None
