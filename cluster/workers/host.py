"""What a Ray actor of the pool is: a worker in a process of its own."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any

import ray

from nst_core.libraries import configure
from pipeline.work.pool import TellsHowFar, Worker, WorkerFactory

BESIDE = "beside"
"""Concurrency group of the calls that are answered while a unit is in work."""


class WorkerHost:
    """Builds the worker in its own process and passes calls on."""

    def __init__(self, factory: WorkerFactory) -> None:
        configure()
        self._worker: Worker = factory()
        self._how_far: tuple[Any, int] = (None, 0)
        self._parts: deque[Any] = deque()
        """What the unit in work wants to be kept."""

    def ready(self) -> None:
        """Answer once the worker is built."""

    def process(self, task: Any, key: Any) -> tuple[Any, str]:
        """Do the task of the unit with this key; returns its result, and what computes."""
        if isinstance(self._worker, TellsHowFar):
            self._parts.clear()
            self._worker.tell = partial(self._tell, key)
        return self._worker.process(task), self._worker.engine

    def _tell(self, key: Any, done: int, part: Any) -> None:
        self._how_far = key, done
        if part is not None:
            self._parts.append(part)

    @ray.method(concurrency_group=BESIDE)  # type: ignore[untyped-decorator]
    def how_far(self) -> tuple[Any, int, list[Any]]:
        """Answer beside the work: the key of the unit that told last, and what it told since."""
        key, done = self._how_far
        return key, done, [self._parts.popleft() for _ in range(len(self._parts))]
