"""Workers: a pool hands units of work to them and tells how each unit ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

Task = TypeVar("Task")
Result = TypeVar("Result")

MAX_ATTEMPTS = 3
SECONDS_BETWEEN_QUESTIONS = 0.1
"""How often a pool with an idle worker asks again, after it was told that there is nothing yet."""


@dataclass(frozen=True)
class Unit(Generic[Task]):
    """One piece of work, repeatable: it may run twice when a worker dies."""

    key: Any
    task: Task
    attempts: int = MAX_ATTEMPTS
    """How often it is begun at most, where its worker dies or it takes too long."""


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """How a unit ended: with a result, or with an error in words."""

    key: Any
    result: Result | None
    error: str | None = None
    attempts: int = 1
    began: float = 0.0
    """When its worker got it, at the last attempt, in seconds of ``time.monotonic`` here."""


@runtime_checkable
class UnitSource(Protocol[Task]):
    """Units of which one goes well with another at the same worker."""

    def next_for(self, last: Any) -> Unit[Task] | None:
        """The next one for a worker whose last one had the key ``last`` (None: it had none).

        Of a worker that does several at once it is the last one at the place that is free.

        None stands for "nothing yet, ask again". Raises StopIteration when none will come.
        """
        ...


Units = Iterable[Unit[Any] | None] | UnitSource[Any]


@dataclass
class _InOrder:
    """Units that go to whoever asks."""

    units: Iterator[Unit[Any] | None]

    def next_for(self, _: Any) -> Unit[Any] | None:
        return next(self.units)


def as_source(units: Units) -> UnitSource[Any]:
    """Return what workers can ask for their next unit."""
    return units if isinstance(units, UnitSource) else _InOrder(iter(units))


class Worker(Protocol):
    """What a pool hosts: an ordinary object that tests can call."""

    @property
    def engine(self) -> str:
        """What computes, for the report."""
        ...

    def process(self, task: Any) -> Any:
        """Do one unit's task."""
        ...


@runtime_checkable
class TellsHowFar(Protocol):
    """A worker that tells how much of the unit in its hands is done, whenever that has changed."""

    tell: Callable[[int, Any], None]
    """Set by the pool. Its second argument is a part of the result to come, to be kept in case
    the run is stopped; None: there is none now."""


@runtime_checkable
class GrowsWider(Protocol):
    """A worker that comes to do more units at once than its pool began with, and fewer again."""

    def places(self) -> int:
        """How many it does at once by now; asked now and then, always by the same thread."""
        ...


OnAdvance = Callable[[Any, int, float, Sequence[Any]], None]
"""Is told a unit's key, how much of it is done, when its worker got it (``time.monotonic``), and
what parts of its result are to be kept.

A unit that is begun again begins at 0 again.
"""

WorkerFactory = Callable[[], Worker]
"""Builds a worker where it will live; it must be picklable."""


@dataclass(frozen=True)
class Deadline:
    """How long a unit may take at its worker."""

    seconds: float
    advice: str = ""
    """What to try when a unit was given up for it: the end of the error."""


class WorkerPool(Protocol):
    """Runs units; outcomes come in the order in which units end."""

    workers: int

    def run(self, units: Units, on_advance: OnAdvance | None = None) -> Iterator[Outcome[Any]]:
        """Draw units as workers become free, and yield every unit's outcome.

        None stands for "nothing yet, ask again": what comes may depend on outcomes, or on work
        of other threads. Units are drawn, and ``on_advance`` is called, in the caller's thread.
        """
        ...

    def engine(self) -> str | None:
        """What computes; None as long as no worker was needed."""
        ...

    def close(self) -> None:
        """Let the workers go."""
        ...
