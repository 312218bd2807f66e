"""Speaking to the user: results on stdout, progress and errors on stderr, codes for scripts."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jobs.progress import OnProgress, Progress

ALL_DONE = 0
SOME_FAILED = 1
WRONG_USE = 2
INTERRUPTED = 130

_SECONDS_BETWEEN_LINES = 5.0


def say(line: str) -> None:
    """Print a result."""
    print(line)


def note(line: str) -> None:
    """Print what is not a result: progress, a warning, an error."""
    print(line, file=sys.stderr, flush=True)


def print_json(report: dict[str, Any]) -> None:
    """Print the one JSON object of a command."""
    print(json.dumps(report, indent=1))


@contextmanager
def shown_progress() -> Iterator[OnProgress]:
    """Show a live bar on a terminal, else a line now and then."""
    if not sys.stderr.isatty():
        yield _PlainLines().show
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(progress: Progress) -> None:
            description = f"{progress.unit} {progress.note}".rstrip()
            bar.update(task, total=progress.total, completed=progress.done, description=description)

        yield show


class _PlainLines:
    def __init__(self) -> None:
        self._start = time.monotonic()
        self._last = 0.0

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_LINES and progress.done < progress.total:
            return
        self._last = now
        line = f"{progress.done} of {progress.total} {progress.unit}, {now - self._start:.0f} s"
        note(f"{line}, {progress.note}" if progress.note else line)
