"""A Ray actor of the pool as its driver sees it: what it was given, and since when."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import ray

from pipeline.work.unit_queue import Attempt


@dataclass(eq=False)
class Seat:
    """An actor and what it was given, oldest first: it works on the oldest of them."""

    actor: Any
    starting: ray.ObjectRef | None
    """Comes once the actor has built its worker; None from then on."""
    since: float
    """When it began to start, or to have nothing to do or room for one more."""
    at_once: int = 1
    """How many calls it works on at once."""
    lasts: deque[Any] = field(default_factory=deque)
    """Keys of the units that ended at places which have nothing to do by now."""
    calls: dict[ray.ObjectRef, Attempt | None] = field(default_factory=dict)
    """None where another worker has taken the unit over: the end of such a call is ignored."""
    began: dict[ray.ObjectRef, float] = field(default_factory=dict)
    """When it began the calls that it works on; the others wait behind them."""
    sign: ray.ObjectRef | None = None
    """An answer to come: how far it is."""

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to do."""
        return self.starting is None and not self.calls

    @property
    def attempts(self) -> list[Attempt]:
        """What its calls are for, oldest first."""
        return [attempt for attempt in self.calls.values() if attempt is not None]

    def has_room(self, depth: int, *, is_retry: bool = False) -> bool:
        """Whether it can take one more; one that is tried again is a suspect, and runs alone."""
        if self.starting is not None or not self.calls:
            return self.starting is None
        if is_retry or len(self.calls) >= depth:
            return False
        return not any(call.is_retry for call in self.attempts)

    @property
    def oldest(self) -> tuple[float, ray.ObjectRef] | None:
        """When it began the call that it has worked on for longest, and that call; None: none."""
        call = min(self.began, key=lambda call: self.began[call], default=None)
        return None if call is None else (self.began[call], call)

    def place_to_fill(self) -> Any:
        """Key of the last unit at a place for the next one, in turn; None: it had none."""
        if self.lasts:
            self.lasts.rotate(1)
            return self.lasts[0]
        is_full = len(self.calls) >= self.at_once
        before = self.calls[self.oldest[1]] if self.oldest and is_full else None
        return before and before.unit.key

    def give(self, attempt: Attempt) -> None:
        """Have it do one more, behind those that it has."""
        if not self.calls:
            self.since = time.monotonic()
        if self.lasts:
            self.lasts.popleft()
        self.calls[self.actor.process.remote(attempt.unit.task, attempt.unit.key)] = attempt
        self._begin()

    def end(self, call: ray.ObjectRef) -> tuple[Attempt | None, float]:
        """An ended call's attempt, and when it began."""
        self.since = time.monotonic()
        # A later one may have ended before it, where calls are worked on at once.
        began = self.began.pop(call, self.since)
        attempt = self.calls.pop(call)
        if attempt is not None and len(self.calls) < self.at_once:
            self.lasts.append(attempt.unit.key)
        self._begin()
        return attempt, began

    def _begin(self) -> None:
        for call in [*self.calls][: self.at_once]:
            self.began.setdefault(call, time.monotonic())

    def began_of(self, key: Any) -> float | None:
        """When it began a unit; None: it does not work on it."""
        return next(
            (
                self.began[call]
                for call, attempt in self.calls.items()
                if attempt is not None and attempt.unit.key == key and call in self.began
            ),
            None,
        )

    def give_away(self) -> Attempt | None:
        """The attempt that waits behind the others here, for another worker; None: none does."""
        last = [*self.calls][-1]
        attempt = self.calls[last]
        if last not in self.began and attempt is not None:
            self.calls[last] = None  # Ray would not keep it from running here too
            return attempt
        return None
