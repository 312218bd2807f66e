"""Speaking to the user: results on stdout, progress and errors on stderr, codes for scripts."""

from __future__ import annotations

import atexit
import json
import logging
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cluster.submission.output import in_a_job, report_line, result_lines
from nst_core.wording import about, counted
from pipeline.work.progress import OnProgress, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

ALL_DONE = 0
SOME_FAILED = 1
WRONG_USE = 2
INTERRUPTED = 130

_SECONDS_BETWEEN_LINES = 5.0
_SECONDS_TO_JUDGE = 4.0
"""After which it is estimated what is left."""
_PACKAGES = ("jobs", "pipeline", "cluster", "nst_core")
_SECONDS_TO_CLEAN_UP = 15.0


_quiet = False
_verbose = False
_warned: set[str] = set()
"""Warnings that the command has told."""


def be_quiet() -> None:
    """From now on show no progress and no hints."""
    global _quiet
    _quiet = True


def is_verbose() -> bool:
    """Whether details were asked for."""
    return _verbose


def be_verbose() -> None:
    """From now on show what the packages log of their choices."""
    global _verbose
    _verbose = True
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    for name in _PACKAGES:
        logging.getLogger(name).setLevel(logging.INFO)


def say(line: str) -> None:
    """Print a result."""
    print(result_lines(line) if in_a_job() else line)


def note(line: str) -> None:
    """Print what is not a result: progress, a warning, an error."""
    print(line, file=sys.stderr, flush=True)


def warn(line: str) -> None:
    """Print a warning, once in a command: those before the work are in its report as well."""
    if line not in _warned:
        _warned.add(line)
        note(f"warning: {line}")


def hint(line: str) -> None:
    """Print what -q leaves out: neither a result nor something that went wrong."""
    if not _quiet:
        note(line)


def print_json(fields: dict[str, Any]) -> None:
    """Print the one JSON object of a command."""
    say(json.dumps(fields, indent=1))


def report(fields: dict[str, Any], *, as_json: bool) -> None:
    """Print a command's report where it was asked for; a job's is kept in any case."""
    if in_a_job():
        print(report_line(fields))
    if as_json:
        print_json(fields)


def heed_interrupts() -> None:
    """Let Ctrl-C and SIGTERM end the command, and none that follows disturb the cleaning up.

    A second one would otherwise leave unfinished files behind, or Ray's processes. After
    _SECONDS_TO_CLEAN_UP one is heeded again. To be called in the main thread.
    """
    last = -math.inf

    def interrupt(number: int, frame: object) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_TO_CLEAN_UP:
            last = time.monotonic()
            raise KeyboardInterrupt

    _on_interrupts(interrupt)
    # While it ends, Python takes its handlers away, and a signal would kill it without exit code.
    atexit.register(_on_interrupts, signal.SIG_IGN)


def heed_hangup() -> None:
    """Let the end of the terminal end the command as SIGTERM does, unless that is ignored (nohup).

    Ray's processes inherit that it is blocked here: they end with the command, and not before.
    To be called in the main thread, before there are others.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})

    def wait() -> None:
        signal.sigwait({signal.SIGHUP})
        # To the main thread: what it waits in is not ended by a signal that another one gets.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    threading.Thread(target=wait, name="hangup", daemon=True).start()


def _on_interrupts(handler: Callable[[int, Any], None] | signal.Handlers) -> None:
    signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGTERM, handler)


@contextmanager
def shown_progress() -> Iterator[OnProgress]:
    """Show live bars on a terminal, one for all and one for each file in work; else lines."""
    _warned.clear()
    if _quiet:
        yield _tell_warnings
        return
    if not sys.stderr.isatty():
        yield _PlainLines().show
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar
    from rich.text import Text

    class TimeLeftColumn(TimeRemainingColumn):
        """The job's own estimate where it has one: rich's counts what was reused as done now."""

        def render(self, task: Task) -> Text:
            own: str | None = task.fields["left"]
            return super().render(task) if own is None else Text(own, "progress.remaining")

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        TimeLeftColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Bars(bar).show


def _tell_warnings(progress: Progress) -> None:
    for line in progress.warnings:
        warn(line)


class _Bars:
    """A bar for the whole job, and below it one for each file that is in work."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._all = bar.add_task("starting", total=None, left=None)
        self._files: dict[str, TaskID] = {}

    def show(self, progress: Progress) -> None:
        _tell_warnings(progress)
        if progress.news:
            self._bar.console.print(progress.news, markup=False, highlight=False, soft_wrap=True)
        self._bar.update(
            self._all,
            total=progress.total,
            completed=progress.done,
            description=_without_empty(" ", progress.unit, _rate(progress), progress.note),
            left=_left(progress) if progress.estimates else None,
        )
        names = {file.name for file in progress.files}
        for name in self._files.keys() - names:
            self._bar.remove_task(self._files.pop(name))
        for file in progress.files:
            if file.name not in self._files:
                self._files[file.name] = self._bar.add_task(file.name, left="")
            self._bar.update(self._files[file.name], total=file.total, completed=file.done)


class _PlainLines:
    def __init__(self) -> None:
        self._start = time.monotonic()
        self._last = 0.0
        self._stage = ""
        self._first = Progress(0, 0, ""), 0.0
        """The first state of what is counted now, and when that was."""

    def show(self, progress: Progress) -> None:
        _tell_warnings(progress)
        if progress.news:
            note(progress.news)
        if progress.warnings or progress.news:
            return
        if not progress.total and progress.note:  # a stage before the first unit
            if progress.note != self._stage:
                note(progress.note)
            self._stage = progress.note
            return
        now = time.monotonic()
        if (progress.unit, progress.total) != (self._first[0].unit, self._first[0].total):
            self._first = progress, now
        has_ended = progress.is_all and progress.done >= progress.total
        if now - self._last < _SECONDS_BETWEEN_LINES and not has_ended:
            return
        self._last = now
        line = _without_empty(
            ", ",
            f"{progress.done} of {counted(progress.total, progress.unit)}"
            f"{'' if progress.is_all else ' so far'}",
            f"{100 * progress.done // progress.total} %"
            if progress.total and progress.is_all
            else "",
            "" if has_ended else _rate(progress),
            self._time(progress, now, has_ended=has_ended),
            progress.note,
        )
        files = ", ".join(f"{file.name} {file.done} of {file.total}" for file in progress.files)
        note(_without_empty("; ", line, files))

    def _time(self, progress: Progress, now: float, *, has_ended: bool) -> str:
        """Say what is left, or else what it has taken so far.

        At the end nothing where the summary does. Where the job does not estimate by itself, what
        is left will go as what was seen here.
        """
        if has_ended and progress.time_is_summed_up:
            return ""
        first, began = self._first
        done = progress.done - first.done
        if not progress.estimates and progress.is_all and done and now - began > _SECONDS_TO_JUDGE:
            rest = (progress.total - progress.done) * (now - began) / done
            progress = replace(progress, seconds_left=rest)
        return _left(progress) or f"{now - self._start:.0f} s"


def _rate(progress: Progress) -> str:
    if progress.per_second is None:
        return ""
    return a_second(progress.per_second, progress.unit)


def a_second(rate: float, unit: str) -> str:
    """Write a rate with a digit that says something: ``3.2 frames/s``, ``0.04 pictures/s``."""
    return f"{rate:.1f} {unit}/s" if rate >= 1 else f"{rate:.2g} {unit}/s"


def _left(progress: Progress) -> str:
    seconds = progress.seconds_left
    return f"{about(seconds)} left" if seconds else ""


def _without_empty(separator: str, *parts: str) -> str:
    return separator.join(part for part in parts if part)
