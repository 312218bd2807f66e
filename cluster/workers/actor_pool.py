"""The fan-out over Ray actors.

Ray's own restarts and retries are off: a unit whose worker dies, or which takes longer than it
may, is tried again here, alone on a fresh worker, as often as it says, and then reported. One
poisonous unit cannot stop the rest.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from cluster.workers.host import BESIDE, WorkerHost
from cluster.workers.memory_kills import LACKED_MEMORY, lacked_memory, memory_used
from cluster.workers.room import Resources, RoomNews
from cluster.workers.seat import Seat
from nst_core.errors import EnvironmentProblem
from nst_core.wording import last_line_without_class
from pipeline.work.pool import (
    MAX_ATTEMPTS,
    SECONDS_BETWEEN_QUESTIONS,
    Deadline,
    OnAdvance,
    Outcome,
    Units,
    WorkerFactory,
)
from pipeline.work.unit_queue import Attempt, UnitQueue

_START_UP_SECONDS = 1800.0
"""After which a pool without a single worker gives up; an autoscaler may need many minutes."""
_LONGEST_WAIT_SECONDS = 60.0
_LONGEST_WAIT_FOR_ROOM_SECONDS = 5.0
_SHORT_UNIT_SECONDS = 1.0
"""Units that take less are handed out ahead: the way to a worker would be a part of their time."""
_MOST_SHORT_UNITS_AT_ONCE = 16
"""Ended units that are fetched together. Of long ones one: their results may be large."""
_WEIGHT_OF_THE_LAST = 0.1
_SECONDS_BETWEEN_SIGNS = 1.0
"""How often workers are asked how far they are, where anybody wants to know."""
_FAILED_TO_START = "The actor died because of an error raised in its creation task"
_DIED = "its worker died"


class ActorPool:
    """A pool of Ray actors, each started when there is work for it.

    An actor works on ``concurrency`` units at once, in threads, and on up to ``most_at_once`` where
    its worker comes to do more (see GrowsWider). ``depth`` are there, so that with
    more of them than that the next one is there when one ends; with as many no unit waits at a busy
    worker while another is idle. One short unit waits there all the same. When the queue is empty,
    an idle worker takes over a waiting unit, which may then run twice.
    A unit that takes longer than ``deadline`` at its worker has the worker killed; building a
    worker is not counted.
    Raises EnvironmentProblem when the cluster cannot hold ``workers`` such actors, nor its
    autoscaler make room for them: Ray itself would wait for ever.
    """

    def __init__(
        self,
        factory: WorkerFactory,
        resources: Resources,
        *,
        workers: int | None = None,
        depth: int = 2,
        concurrency: int = 1,
        most_at_once: int = 0,
        deadline: Deadline | None = None,
        is_shared: bool = True,
    ) -> None:
        """``is_shared`` says whether others' work may be on the same Ray."""
        self.workers = resources.workers_to_start(workers)
        self._news = RoomNews(resources, is_shared=is_shared)
        self._factory = ray.put(factory)  # once, and not with each actor
        self._at_once = concurrency
        self._depth = depth
        self._deadline = deadline or Deadline(math.inf)
        self._late_after = self._deadline.seconds * concurrency
        """Seconds: units that are worked on at once share a worker's processors, and a network."""
        self._actor_class: Any = ray.remote(
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=max(concurrency, most_at_once),
            concurrency_groups={BESIDE: 1},
        )(WorkerHost)
        self._seats: list[Seat] = []
        self._deaths_while_starting = 0
        self._engine: str | None = None
        self._usual_seconds = math.inf
        """What a unit takes at its worker: the last ones count most."""
        self._on_advance: OnAdvance | None = None
        self._asked_how_far = -math.inf

    def run(self, units: Units, on_advance: OnAdvance | None = None) -> Iterator[Outcome[Any]]:
        """Draw units as workers become free, and yield every unit's outcome.

        A freed worker has its next unit before the outcome of its last is yielded.
        """
        queue = UnitQueue(units)
        self._on_advance = on_advance
        while True:
            self._fill(queue)
            if len(queue) or any(seat.attempts for seat in self._seats):
                outcomes = [*self._collect(queue), *self._enforce_deadline(queue)]
                self._hand_out(queue)
                yield from outcomes
                self._ask_how_far()
            elif queue.exhausted:
                return
            else:
                time.sleep(SECONDS_BETWEEN_QUESTIONS)

    def engine(self) -> str | None:
        """What computes; None as long as no worker was needed."""
        return self._engine

    def close(self) -> None:
        """Kill the actors at once, whatever they are doing."""
        for seat in self._seats:
            ray.kill(seat.actor)
        self._seats.clear()

    def _fill(self, queue: UnitQueue) -> None:
        """Give every worker its share, and start workers for the rest."""
        while True:
            self._hand_out(queue)
            starting = sum(seat.starting is not None for seat in self._seats)
            if len(queue) > starting and len(self._seats) < self.workers:
                self._start_worker()
            elif len(queue) > starting or not (len(self._seats) < self.workers and queue.draw()):
                return

    def _hand_out(self, queue: UnitQueue) -> None:
        while seat := self._next_seat(queue):
            if len(seat.calls) >= seat.at_once and len(self._seats) < self.workers:
                self._start_worker()  # for the units after those that wait here
            seat.give(queue.pop())
        if self._depth <= self._at_once:
            self._take_over()

    def _next_seat(self, queue: UnitQueue) -> Seat | None:
        """The freest worker for the unit that waits, else the first that one can be drawn for."""
        attempt = queue.first()
        is_retry = attempt is not None and attempt.is_retry
        beyond = 1 if self._units_are_short else 0
        free = [
            seat
            for seat in self._seats
            if seat.has_room(max(self._depth, seat.at_once + beyond), is_retry=is_retry)
        ]
        free.sort(key=lambda seat: (len(seat.calls), seat.since))
        return next((seat for seat in free if attempt or queue.draw(seat.place_to_fill())), None)

    def _take_over(self) -> None:
        """Give idle workers what waits at busy ones: nothing else is left for them."""
        busy = [seat for seat in self._seats if len(seat.calls) > seat.at_once]
        for idle in [seat for seat in self._seats if seat.is_idle] if busy else ():
            attempt = next(filter(None, (seat.give_away() for seat in busy)), None)
            if attempt is None:
                return
            idle.give(attempt)

    @property
    def _units_are_short(self) -> bool:
        return self._usual_seconds < _SHORT_UNIT_SECONDS

    def _start_worker(self) -> None:
        actor = self._actor_class.remote(self._factory)
        now = time.monotonic()
        self._seats.append(Seat(actor, actor.ready.remote(), now, self._at_once))

    def _dismiss(self, seat: Seat) -> list[Attempt]:
        """Kill an actor, dead or alive: one that lives on would keep its place in the cluster.

        Returns what it was given, oldest first.
        """
        self._seats.remove(seat)
        ray.kill(seat.actor)  # ray.cancel would not stop a running method
        attempts = seat.attempts
        seat.calls.clear()
        seat.began.clear()
        return attempts

    def _collect(self, queue: UnitQueue) -> Iterator[Outcome[Any]]:
        """Wait for a call to end; units of a dead actor are queued again or end in an error."""
        for event, seat in self._wait(queue):
            if event is seat.starting:
                self._welcome(seat)
            elif event in seat.calls:  # else its worker's death has been noticed before
                yield from self._end(seat, event, queue)

    def _wait(self, queue: UnitQueue) -> list[tuple[ray.ObjectRef, Seat]]:
        """Wait for calls or starts that have ended, those of one worker oldest first."""
        events = {call: seat for seat in self._seats for call in seat.calls}
        events |= {seat.starting: seat for seat in self._seats if seat.starting is not None}
        refs = list(events)
        most = min(len(refs), _MOST_SHORT_UNITS_AT_ONCE) if self._units_are_short else 1
        ready, _ = ray.wait(refs, num_returns=most, timeout=0)
        if not ready:
            ready, _ = ray.wait(refs, num_returns=1, timeout=self._most_seconds_to_wait(queue))
        ended = set(ready)
        # The very objects of ours: `is` tells a call from a start.
        return [(event, seat) for event, seat in events.items() if event in ended]

    def _ask_how_far(self) -> None:
        """Pass on what workers have answered, and ask again."""
        now = time.monotonic()
        if self._on_advance is None or now < self._asked_how_far + _SECONDS_BETWEEN_SIGNS:
            return
        self._asked_how_far = now
        signs = [seat.sign for seat in self._seats if seat.sign is not None]
        answered, _ = ray.wait(signs, num_returns=len(signs), timeout=0) if signs else ([], [])
        for seat in self._seats:
            if seat.sign in answered:
                with suppress(RayError):  # it has died: the end of its call tells
                    in_work, places = ray.get(seat.sign)
                    seat.at_once = places or seat.at_once
                    for key, done, parts in in_work:
                        if (began := seat.began_of(key)) is not None:
                            self._on_advance(key, done, began, parts)
                seat.sign = None
            if seat.sign is None and seat.calls:
                seat.sign = seat.actor.how_far.remote()

    def _most_seconds_to_wait(self, queue: UnitQueue) -> float:
        now = time.monotonic()
        some_work = any(seat.starting is None for seat in self._seats)
        timeouts = [
            self._ends_at(seat) - now
            for seat in self._seats
            if not (some_work and seat.starting is not None)  # such are waited for: see below
        ]
        idle = any(seat.is_idle for seat in self._seats)
        if not queue.exhausted and (idle or len(self._seats) < self.workers):
            timeouts.append(SECONDS_BETWEEN_QUESTIONS)
        if not all(seat.starting is None for seat in self._seats):
            timeouts.append(_LONGEST_WAIT_FOR_ROOM_SECONDS)
        if self._on_advance and some_work:
            timeouts.append(_SECONDS_BETWEEN_SIGNS)
        return max(0.0, min([_LONGEST_WAIT_SECONDS, *timeouts]))

    def _ends_at(self, seat: Seat) -> float:
        """When it is late, with its start or with a call."""
        if seat.starting is not None:
            return seat.since + _START_UP_SECONDS
        return seat.oldest[0] + self._late_after if seat.oldest else math.inf

    def _welcome(self, seat: Seat) -> None:
        """Let an actor in that has built its worker."""
        try:
            ray.get(seat.starting)
        except RayError as error:
            self._dismiss(seat)
            self._deaths_while_starting += 1
            if _FAILED_TO_START in str(error) or self._deaths_while_starting == MAX_ATTEMPTS:
                raise EnvironmentProblem(f"a worker could not start: {_words(error)}") from error
        else:
            self._deaths_while_starting = 0
            seat.starting, seat.since = None, time.monotonic()

    def _end(self, seat: Seat, call: ray.ObjectRef, queue: UnitQueue) -> Iterator[Outcome[Any]]:
        result, words = None, None
        try:
            result, self._engine = ray.get(call)
        except RayTaskError as error:  # the unit itself failed: its worker is fine
            words = _words(error)
        except RayError as error:  # its worker or its node is gone
            reason = _DIED if isinstance(error, RayActorError) else _words(error)
            if lacked_memory(error):
                reason = LACKED_MEMORY
            # Which of its calls was running cannot be told: all are suspects.
            for suspect in reversed(self._dismiss(seat)):
                yield from self._try_again(suspect, reason, seat, queue)
            return
        attempt, began = seat.end(call)
        self._learn((seat.since - began) / seat.at_once)
        if attempt is not None:
            yield Outcome(attempt.unit.key, result, words, attempt.number, began)

    def _learn(self, seconds: float) -> None:
        if math.isinf(self._usual_seconds):
            self._usual_seconds = seconds
        self._usual_seconds += _WEIGHT_OF_THE_LAST * (seconds - self._usual_seconds)

    def _enforce_deadline(self, queue: UnitQueue) -> Iterator[Outcome[Any]]:
        now = time.monotonic()
        waiting = [now - seat.since for seat in self._seats if seat.starting is not None]
        self._news.tell(waiting, none_works=len(waiting) == len(self._seats))
        for seat in [s for s in self._seats if now >= self._ends_at(s)]:
            if seat.starting is not None:
                if all(other.starting is not None for other in self._seats):
                    raise EnvironmentProblem(
                        f"no worker has started within {_START_UP_SECONDS:g} s; "
                        "look at the cluster with `ray status`, or lower --cpus-per-worker"
                    )
                continue  # others work: it may still come
            assert seat.oldest
            late = seat.calls[seat.oldest[1]]
            for attempt in reversed(self._dismiss(seat)):
                if attempt is not late:
                    queue.put_back(attempt)
            if late is not None:
                reason = f"took more than {self._late_after:g} s"
                yield from self._try_again(late, reason, seat, queue)

    def _try_again(
        self, attempt: Attempt, reason: str, seat: Seat, queue: UnitQueue
    ) -> Iterator[Outcome[Any]]:
        failed = attempt.failed(reason)
        if len(failed.failures) < failed.unit.attempts:
            queue.put_back(failed)
            return
        reasons = " or ".join(dict.fromkeys(failed.failures))
        words = f"{reasons} {len(failed.failures)} times; given up"
        if self._deadline.advice and not {*failed.failures} <= {_DIED, LACKED_MEMORY}:
            words = f"{words}; {self._deadline.advice}"
        yield Outcome(attempt.unit.key, None, words, attempt.number, seat.since)


def _words(error: Exception) -> str:
    """Ray wraps an error in a traceback as text; its last line says what happened."""
    if lacked_memory(error):
        return f"the memory is full{memory_used(error)}; try fewer --workers, or end other work"
    cause = getattr(error, "cause", None)
    if isinstance(cause, Exception):
        return str(cause) or type(cause).__name__
    return last_line_without_class(error)
