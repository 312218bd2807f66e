"""A trial: a few pieces of work really done, by as many workers at once as a run would have.

They are threads of this process, not processes of Ray: networks and codecs compute outside of
Python, so that threads hinder each other as little, and share the machine as much.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from jobs.planning.crew import Crew
from jobs.planning.room import memory_now
from pipeline.work.pool import Worker


@dataclass(frozen=True)
class Done:
    """A piece of work that was done."""

    result: Any
    seconds: float


class Trial:
    """Workers that are built and asked in threads."""

    def __init__(self, make_worker: Callable[..., Worker], crew: Crew) -> None:
        """``make_worker(threads=N)`` builds a worker. Raises what building one raises."""
        self.count = crew.measured
        self._before = memory_now()
        self._resources = ExitStack()
        self._threads = self._resources.enter_context(ThreadPoolExecutor(self.count, "trial"))
        began = time.monotonic()
        building = [
            self._threads.submit(make_worker, threads=crew.threads) for _ in range(self.count)
        ]
        self._workers = [each.result() for each in building]
        self.seconds_to_build = time.monotonic() - began

    @property
    def engine(self) -> str:
        """What computes."""
        return self._workers[0].engine

    @property
    def worker_bytes(self) -> int:
        """Memory that a process needs with one of the workers, as far as they have worked."""
        return self._before + max(0, memory_now() - self._before) // self.count

    def do(self, tasks: Sequence[Any]) -> list[Done]:
        """Give each worker one of the tasks at the same moment, and wait for all.

        ``tasks`` are as many as there are workers, or fewer. Raises what one of them raises.
        """
        given = zip(self._workers, tasks, strict=False)
        doing = [self._threads.submit(_done, worker, task) for worker, task in given]
        return [each.result() for each in doing]

    def close(self) -> None:
        """Forget the workers."""
        self._workers = []
        self._resources.close()


def _done(worker: Worker, task: Any) -> Done:
    began = time.monotonic()
    result = worker.process(task)
    return Done(result, time.monotonic() - began)
