"""What a Ray actor of the pool is: a worker in a process of its own."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any

import ray

from nst_core.libraries import configure
from pipeline.work.pool import GrowsWider, TellsHowFar, Worker, WorkerFactory

BESIDE = "beside"
"""Concurrency group of the calls that are answered while a unit is in work."""


class WorkerHost:
    """Builds the worker in its own process and passes calls on."""

    def __init__(self, factory: WorkerFactory) -> None:
        configure()
        self._worker: Worker = factory()
        self._how_far: dict[Any, int] = {}
        """How far the units in work are, by their keys."""
        self._parts: dict[Any, deque[Any]] = {}
        """What they want to be kept."""

    def ready(self) -> None:
        """Answer once the worker is built."""

    def process(self, task: Any, key: Any) -> tuple[Any, str]:
        """Do the task of the unit with this key; returns its result, and what computes."""
        if isinstance(self._worker, TellsHowFar):
            self._worker.tell = partial(self._tell, key)
        try:
            return self._worker.process(task), self._worker.engine
        finally:
            self._how_far.pop(key, None)
            self._parts.pop(key, None)

    def _tell(self, key: Any, done: int, part: Any) -> None:
        parts = self._parts.setdefault(key, deque())
        if part is not None:
            parts.append(part)
        self._how_far[key] = done

    @ray.method(concurrency_group=BESIDE)  # type: ignore[untyped-decorator]
    def how_far(self) -> tuple[list[tuple[Any, int, list[Any]]], int | None]:
        """Answer beside the work: of each unit in work its key, how far it is, and new parts.

        Second is how many units may be in work at once by now; None: as many as before.
        """
        # First, for it may raise: parts that are taken below would be gone.
        places = self._worker.places() if isinstance(self._worker, GrowsWider) else None
        signs = []
        for key, done in self._how_far.copy().items():
            parts = self._parts.get(key, deque())
            signs.append((key, done, [parts.popleft() for _ in range(len(parts))]))
        return signs, places
