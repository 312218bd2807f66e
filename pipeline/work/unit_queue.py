"""Units on their way to a worker, and how often each was begun."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from pipeline.work.pool import Unit, Units, as_source


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
    """Units to try again, and one drawn ahead; drawn is when it is known who asks."""

    def __init__(self, units: Units) -> None:
        self._source = as_source(units)
        self._waiting: deque[Attempt] = deque()
        self.exhausted = False

    def __len__(self) -> int:
        return len(self._waiting)

    def first(self) -> Attempt | None:
        """The next one that waits."""
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
            unit = self._source.next_for(last)
        except StopIteration:
            self.exhausted = True
            return False
        if unit is not None:
            self._waiting.append(Attempt(unit))
        return unit is not None
