"""How far a job is: the events that jobs give to whoever shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One state of a job."""

    done: int
    total: int
    unit: str
    """What is counted, in the plural: ``frames``, ``pictures``, ``steps``."""
    note: str = ""
    """What happens now: a file's name, the losses."""


OnProgress = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """The OnProgress of those who do not look."""
