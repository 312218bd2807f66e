"""Units on their way to a worker, and how often each was begun."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pipeline.work.pool import Unit, UnitSource


@dataclass(frozen=True)
class Attempt:
    """A unit, begun once more."""

    unit: Unit[Any]
    failures: tuple[str, ...] = ()
    """Why the attempts before this one ended, in words."""

    @property
    def number(self) -> int:
        """From 1."""
        return len(self.failures) + 1

    @property
    def is_retry(self) -> bool:
        """Whether there was one before."""
        return bool(self.failures)

    def failed(self, reason: str) -> Attempt:
        """The attempt after this one."""
        return replace(self, failures=(*self.failures, reason))


class UnitQueue:
    """Units to try again, and those drawn ahead.

    A UnitSource is asked when it is known who asks: nothing is drawn ahead of it for workers that
    are busy.
    """

    def __init__(self, units: Iterable[Unit[Any] | None] | UnitSource[Any]) -> None:
        self._source = units if isinstance(units, UnitSource) else None
        self._units: Iterator[Unit[Any] | None] = iter(()) if self._source else iter(units)  # type: ignore[arg-type]
        self._waiting: deque[Attempt] = deque()
        self.exhausted = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def depends_on_worker(self) -> bool:
        """Whether units are chosen by who asks for them."""
        return self._source is not None

    def first(self) -> Attempt | None:
        """The next one that waits, drawn now if that does not depend on who asks."""
        if not self._waiting and not self.depends_on_worker:
            self.draw()
        return self._waiting[0] if self._waiting else None

    def pop(self) -> Attempt:
        """Take the first one out."""
        return self._waiting.popleft()

    def put_back(self, attempt: Attempt) -> None:
        """Put one before all others."""
        self._waiting.appendleft(attempt)

    def draw(self, last: Any = None) -> bool:
        """Draw a unit, if there is one by now, for a worker whose last one had this key."""
        if self.exhausted:
            return False
        try:
            unit = self._source.next_for(last) if self._source else next(self._units)
        except StopIteration:
            self.exhausted = True
            return False
        if unit is not None:
            self._waiting.append(Attempt(unit))
        return unit is not None
