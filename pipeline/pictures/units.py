"""Pictures on their way to the workers: a few in each unit of work, one alone where that failed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from pipeline.pictures.task import ImageResult, ImageTask, OutputResult
from pipeline.work.pool import Outcome, Unit

_MOST_PICTURES = 16
_MOST_BYTES = 4 << 20
_BLOCK = 1000
_SHARES_PER_WORKER = 10
"""So that workers end at about the same time, and the first results come soon."""

ImageUnit = Unit[tuple[ImageTask, ...]]


def pictures_a_unit(count: int, workers: int) -> int:
    """Return how many of ``count`` pictures a unit has at most."""
    return max(1, min(_MOST_PICTURES, count // (_SHARES_PER_WORKER * max(1, workers))))


class ImageUnits:
    """Draws units from tasks, and takes the outcomes back.

    A worker that dies takes a whole unit with it: each of its pictures is then tried alone, so
    that only the one to blame is given up.
    """

    def __init__(
        self,
        tasks: Iterator[ImageTask],
        count: int,
        workers: int,
        begin: Callable[[Sequence[ImageTask]], None],
    ) -> None:
        """``begin`` is told of tasks before any worker gets them."""
        self._tasks = tasks
        self._most = pictures_a_unit(count, workers)
        self._begin = begin
        self._begun: deque[ImageTask] = deque()
        self._again: deque[ImageTask] = deque()
        self._given: dict[int, tuple[ImageTask, ...]] = {}
        self._next_key = 0

    def end(self) -> None:
        """Give out no more; what workers have comes back."""
        self._tasks = iter(())
        self._begun.clear()
        self._again.clear()

    def __iter__(self) -> Iterator[ImageUnit | None]:
        """Yield units; None while those that are out may still come back."""
        while True:
            if self._again:
                yield self._give((self._again.popleft(),))
            elif tasks := self._draw():
                yield self._give(tasks)
            elif self._given:
                yield None
            else:
                return

    def results(
        self, outcome: Outcome[list[ImageResult]]
    ) -> Iterator[tuple[ImageTask, ImageResult]]:
        """Yield what has become of the outcome's pictures; those to be tried again are not yet."""
        tasks = self._given.pop(outcome.key)
        if outcome.error is None:
            assert outcome.result is not None
            yield from zip(tasks, outcome.result, strict=True)
        elif len(tasks) > 1:
            self._again += tasks
        else:
            task, error = tasks[0], f"{tasks[0].source}: {outcome.error}"
            outputs = tuple(OutputResult(output.path, error=error) for output in task.outputs)
            yield task, ImageResult(task.number, "", outputs)

    def _give(self, tasks: tuple[ImageTask, ...]) -> ImageUnit:
        key, self._next_key = self._next_key, self._next_key + 1
        self._given[key] = tasks
        return Unit(key, tasks, attempts=1) if len(tasks) > 1 else Unit(key, tasks)

    def _draw(self) -> tuple[ImageTask, ...]:
        tasks: list[ImageTask] = []
        size = 0
        while len(tasks) < self._most and (task := self._first()):
            size += task.size
            if tasks and size > _MOST_BYTES:
                break
            tasks.append(self._begun.popleft())
        return tuple(tasks)

    def _first(self) -> ImageTask | None:
        if not self._begun:
            self._begun += islice(self._tasks, _BLOCK)
            if self._begun:
                self._begin(self._begun)
        return self._begun[0] if self._begun else None
