"""The fan-out over Ray actors; the only place in the pipeline that knows Ray.

Ray's own restarts and retries are off: a unit whose worker dies is tried again here, alone on a
fresh worker, at most three times, and then reported. One poisonous unit cannot stop the rest.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from nst_core.errors import EnvironmentProblem
from pipeline.worker_pool import Outcome, Unit, Worker, WorkerFactory

MAX_ATTEMPTS = 3
_CLASS_PREFIX = re.compile(r"^[\w.]+(Error|Problem): ")


@dataclass(frozen=True)
class Resources:
    """What each worker asks of the cluster."""

    cpus: float
    gpus: float = 0.0

    def workers_that_fit(self) -> int:
        """How many such workers the nodes of the connected cluster can hold, each for itself."""
        return sum(self._fit_into(node["Resources"]) for node in ray.nodes() if node["Alive"])

    def _fit_into(self, node: dict[str, float]) -> int:
        fits = [int(node.get("CPU", 0) / self.cpus)]
        if self.gpus:
            fits.append(int(node.get("GPU", 0) / self.gpus))
        return min(fits)


@dataclass(frozen=True)
class _Attempt:
    unit: Unit[Any]
    number: int

    @property
    def is_retry(self) -> bool:
        return self.number > 1


@dataclass(eq=False)
class _Seat:
    """An actor and what it was given, oldest first."""

    actor: Any
    calls: dict[ray.ObjectRef, _Attempt] = field(default_factory=dict)

    def can_take(self, attempt: _Attempt, depth: int) -> bool:
        if attempt.is_retry or any(call.is_retry for call in self.calls.values()):
            return not self.calls  # a suspect runs alone
        return len(self.calls) < depth


class _Host:
    """The actor: builds the worker in its own process and passes calls on."""

    def __init__(self, factory: WorkerFactory) -> None:
        self._worker: Worker = factory()

    def process(self, task: Any) -> tuple[Any, str]:
        return self._worker.process(task), self._worker.engine


class ActorPool:
    """A pool of Ray actors, each started when there is work for it.

    ``depth`` units wait at each actor, so that the next one is there when one ends.
    Raises EnvironmentProblem when the cluster cannot hold ``workers`` such actors: Ray itself
    would wait for ever.
    """

    def __init__(
        self,
        factory: WorkerFactory,
        resources: Resources,
        *,
        workers: int | None = None,
        depth: int = 2,
    ) -> None:
        fit = resources.workers_that_fit()
        if fit < (workers or 1):
            raise EnvironmentProblem(
                f"{workers or 1} workers of {resources.cpus:g} CPUs and {resources.gpus:g} GPUs "
                f"each: there is room for {fit} ({_capacity()}); lower --workers, "
                "--cpus-per-worker or --gpus-per-worker"
            )
        self.workers = workers or fit
        self._factory = factory
        self._depth = depth
        self._actor_class: Any = ray.remote(
            num_cpus=resources.cpus, num_gpus=resources.gpus, max_restarts=0, max_task_retries=0
        )(_Host)
        self._seats: list[_Seat] = []
        self._engine: str | None = None

    def run(self, units: Iterable[Unit[Any]]) -> Iterator[Outcome[Any]]:
        """Draw units as workers become free, and yield every unit's outcome."""
        fresh = (_Attempt(unit, 1) for unit in units)
        again: deque[_Attempt] = deque()
        waiting = self._next(fresh, again)
        while waiting or any(seat.calls for seat in self._seats):
            while waiting and (seat := self._seat_for(waiting)):
                call = seat.actor.process.remote(waiting.unit.task)
                seat.calls[call] = waiting
                waiting = self._next(fresh, again)
            yield from self._collect(again)
            if waiting is None:
                waiting = self._next(fresh, again)

    def engine(self) -> str | None:
        """What computes; None as long as no worker was needed."""
        return self._engine

    def close(self) -> None:
        """Kill the actors at once, whatever they are doing."""
        for seat in self._seats:
            ray.kill(seat.actor)
        self._seats.clear()

    @staticmethod
    def _next(fresh: Iterator[_Attempt], again: deque[_Attempt]) -> _Attempt | None:
        return again.popleft() if again else next(fresh, None)

    def _seat_for(self, attempt: _Attempt) -> _Seat | None:
        """Find the least busy actor with room, or start one."""
        free = [seat for seat in self._seats if seat.can_take(attempt, self._depth)]
        least_busy = min(free, key=lambda seat: len(seat.calls), default=None)
        if len(self._seats) < self.workers and (least_busy is None or least_busy.calls):
            least_busy = _Seat(self._actor_class.remote(self._factory))
            self._seats.append(least_busy)
        return least_busy

    def _collect(self, again: deque[_Attempt]) -> Iterator[Outcome[Any]]:
        """Wait for one call to end; units of a dead actor go to ``again`` or end in an error."""
        calls = {call: seat for seat in self._seats for call in seat.calls}
        ready, _ = ray.wait(list(calls), num_returns=1)
        for call in ready:
            seat = calls[call]
            attempt = seat.calls[call]
            try:
                result, self._engine = ray.get(call)
            except RayTaskError as error:  # the unit itself failed: its worker is fine
                del seat.calls[call]
                yield Outcome(attempt.unit.key, None, _words(error), attempt.number)
            except RayError as error:  # its worker or its node is gone
                yield from self._replace(seat, error, again)
            else:
                del seat.calls[call]
                yield Outcome(attempt.unit.key, result, None, attempt.number)

    def _replace(
        self, seat: _Seat, error: Exception, again: deque[_Attempt]
    ) -> Iterator[Outcome[Any]]:
        self._seats.remove(seat)
        if "The actor died because of an error raised in its creation task" in str(error):
            raise EnvironmentProblem(f"a worker could not start: {_words(error)}") from error
        # Which of its calls was running cannot be told: all are suspects, each is tried alone.
        for attempt in seat.calls.values():
            if attempt.number == MAX_ATTEMPTS:
                words = f"its worker died {MAX_ATTEMPTS} times; given up"
                yield Outcome(attempt.unit.key, None, words, attempt.number)
            else:
                again.append(_Attempt(attempt.unit, attempt.number + 1))


def _capacity() -> str:
    total = ray.cluster_resources()
    return f"{total.get('CPU', 0):g} CPUs, {total.get('GPU', 0):g} GPUs"


def _words(error: Exception) -> str:
    """Ray wraps an error in a traceback as text; its last line says what happened."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, Exception):
        return str(cause) or type(cause).__name__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return _CLASS_PREFIX.sub("", lines[-1]) if lines else type(error).__name__
