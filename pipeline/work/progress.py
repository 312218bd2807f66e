"""How far a job is: the events that jobs give to whoever shows them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_SECONDS_NEEDED = 10.0
_MARKS_NEEDED = 3
"""Ends of work, at different times, before which an estimate would be a guess."""
_SECONDS_BETWEEN_MARKS = 0.5
_SECONDS_LOOKED_AT = 300.0
"""Long enough to be smooth, short enough for a machine that gets other work."""


@dataclass(frozen=True)
class FileProgress:
    """How far one of a job's files is."""

    name: str
    done: int
    total: int
    """In the units of the Progress that it belongs to."""


@dataclass(frozen=True)
class Progress:
    """One state of a job."""

    done: int
    total: int
    unit: str
    """What is counted, in the plural: ``frames``, ``pictures``, ``steps``."""
    note: str = ""
    """What happens now: a file's name, the losses."""
    files: tuple[FileProgress, ...] = ()
    """Those in work, where a job works on several at a time."""
    per_second: float | None = None
    """How many units this run does in a second; None where the job does not measure it."""
    seconds_left: float | None = None
    """An estimate; None as long as there is not enough to base it on."""
    estimates: bool = False
    """Whether the job estimates by itself what is left: where it does not yet, nobody should."""
    time_is_summed_up: bool = False
    """Whether the summary of the command says what it took: the last progress then need not."""
    is_all: bool = True
    """Whether ``total`` is known to be all that is to be done."""
    news: str = ""
    """A line to show at once and by itself, not only until the next one."""
    warnings: tuple[str, ...] = ()
    """What will not be in the output as it was in a file whose work now begins. Told at once."""


def stage(what: str, unit: str) -> Progress:
    """Return what tells of work that comes before the first unit: scanning, starting workers."""
    return Progress(0, 0, unit, note=what, is_all=False, estimates=True)


OnProgress = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """The OnProgress of those who do not look."""


class Pace:
    """How fast a run goes: what it has done itself, of late, by a monotonic clock."""

    def __init__(self) -> None:
        self._done = 0
        self._marks: deque[tuple[float, int]] = deque()
        """Moments, and what was done up to each; the first is when the first worker began."""

    def add(self, done: int, *, began: float, now: float) -> None:
        """Count what has been done by work that began then."""
        self._done += done
        if not self._marks:
            self._marks.append((began, 0))
        elif self._marks[0][1] == 0:  # still the first
            self._marks[0] = (min(began, self._marks[0][0]), 0)
        if done and now - self._marks[-1][0] >= _SECONDS_BETWEEN_MARKS:
            self._marks.append((now, self._done))
        while len(self._marks) > 2 and self._marks[1][0] <= now - _SECONDS_LOOKED_AT:
            self._marks.popleft()

    def per_second(self, now: float) -> float | None:
        """Return the average of the last minutes up to ``now``; None where nothing is done."""
        if not self._done or now <= self._marks[0][0]:
            return None
        since, before = self._marks[0]
        return (self._done - before) / (now - since)

    def progress(
        self,
        done: int,
        total: int,
        unit: str,
        *,
        files: tuple[FileProgress, ...] = (),
        is_all: bool = True,
    ) -> Progress:
        """Return the state of a job now, with what is left where ``total`` is known to be all."""
        now = time.monotonic()
        return Progress(
            done,
            total,
            unit,
            files=files,
            per_second=self.per_second(now),
            seconds_left=self.seconds_left(total - done, now) if is_all else None,
            estimates=True,
            time_is_summed_up=True,
            is_all=is_all,
        )

    def seconds_left(self, rest: int, now: float) -> float | None:
        """Estimate how long ``rest`` more will take; None until enough is measured."""
        rate = self.per_second(now)
        is_enough = len(self._marks) > _MARKS_NEEDED and now - self._marks[0][0] >= _SECONDS_NEEDED
        return rest / rate if rate and is_enough else None
