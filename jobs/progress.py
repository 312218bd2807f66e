"""How far a job is: the events that jobs give to whoever shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


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
    """An estimate; None as long as there is nothing to base it on."""
    is_all: bool = True
    """Whether ``total`` is known to be all that is to be done."""
    news: str = ""
    """A line to show at once and by itself, not only until the next one."""
    warnings: tuple[str, ...] = ()
    """What will not be in the output as it was in a file whose work now begins. Told at once."""


OnProgress = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """The OnProgress of those who do not look."""


@dataclass
class Pace:
    """How fast a run goes: what it has done itself, and since when."""

    done: int = 0
    began: float | None = None
    """When its first worker began, in seconds of a monotonic clock; None before."""

    def add(self, done: int, *, began: float) -> None:
        """Count what has been done by work that began then."""
        self.done += done
        self.began = began if self.began is None else min(self.began, began)

    def per_second(self, now: float) -> float | None:
        """Return the average up to ``now``; None where nothing has been done."""
        if self.began is None or not self.done or now <= self.began:
            return None
        return self.done / (now - self.began)

    def seconds_left(self, rest: int, now: float) -> float | None:
        """Estimate how long ``rest`` more will take; None where nothing has been done."""
        rate = self.per_second(now)
        return rest / rate if rate else None
