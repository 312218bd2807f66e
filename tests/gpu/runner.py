"""Runs checks one after the other in a process of their own; whatever one does, the next is run.

A check that takes longer than its budget, crashes its process or leaves CUDA broken costs that
process alone: the rest goes on in a new one.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any

import torch

from nst_core.libraries import configure
from nst_core.wording import first_line
from tests.gpu.check import Check, CheckError, Machine, SkipError

Line = dict[str, Any]


def run_checks(
    checks: Iterable[Check], tell: Callable[[Line], None], *, seconds: float = 590
) -> bool:
    """Run checks and tell a line of each; those left when ``seconds`` are over are not run.

    Returns whether none has failed.
    """
    end = time.monotonic() + seconds
    process: _Process | None = None
    well = True
    try:
        for check in checks:
            left = end - time.monotonic()
            if left <= 0:
                line = _line(check, error="not run: the time for all checks is over")
            else:
                process = process or _Process()
                line = process.run(check, left)
            if process and not process.usable(line):
                process.end()
                process = None
            well &= line["ok"] is not False
            tell(line)
    finally:
        if process:
            process.end()
    return well


class _Process:
    """A process in which checks run; a group of its own, so that what it starts ends with it."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs,))
        self._process.start()
        theirs.close()
        self._started = False

    def run(self, check: Check, seconds_left: float) -> Line:
        begin = time.monotonic()
        budget = min(check.budget_seconds, seconds_left)
        try:
            if not self._started:  # importing torch is not counted to a check
                self._started = self._pipe.poll(seconds_left) and self._pipe.recv()
                begin = time.monotonic()
            self._pipe.send(check)
            if self._pipe.poll(budget):
                line: Line = self._pipe.recv()
                return line
            error = f"it took longer than its {budget:.0f} s"
        except (EOFError, OSError):
            self._process.join(5)
            error = f"its process ended with {self._process.exitcode}"
        return _line(check, error=error, seconds=time.monotonic() - begin)

    def usable(self, line: Line) -> bool:
        """Whether the process is sound after a check."""
        return line["ran_on"] is not None and "CUDA error" not in (line["error"] or "")

    def end(self) -> None:
        """End it, and all that it has started."""
        assert self._process.pid is not None
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            self._process.kill()
        self._process.join()
        self._pipe.close()


def _serve(pipe: Connection) -> None:
    """Run the checks that come through a pipe."""
    os.setsid()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the lines are the parent's
    configure()
    machine = Machine("cuda" if torch.cuda.is_available() else "cpu")
    pipe.send(True)
    while True:
        try:
            check: Check = pipe.recv()
        except EOFError:
            return
        pipe.send(_done(check, machine))


def _done(check: Check, machine: Machine) -> Line:
    begin = time.monotonic()
    error: str | None = None
    skipped: str | None = None
    figures: dict[str, object] = {}
    missing = [name for name in check.needs if find_spec(name) is None]
    try:
        if missing:
            raise SkipError(f"needs {', '.join(missing)}, not installed here")
        if check.needs_cuda and not machine.on_cuda:
            raise SkipError("needs a CUDA device")
        figures = check.run(machine)
    except SkipError as reason:
        skipped = str(reason)
    except CheckError as failure:
        error, figures = str(failure), failure.figures
    except Exception as failure:  # whatever torch, the driver, a compiler raise
        error = f"{type(failure).__name__}: {first_line(failure)}"
    return _line(
        check,
        figures=figures,
        error=error,
        skipped=skipped,
        ran_on=machine.kind,
        seconds=time.monotonic() - begin,
    )


def _line(
    check: Check,
    *,
    error: str | None = None,
    skipped: str | None = None,
    figures: dict[str, object] | None = None,
    ran_on: str | None = None,
    seconds: float = 0.0,
) -> Line:
    """What is printed of a check; ``ok`` is None where it was skipped."""
    return {
        "check": check.name,
        "ok": None if skipped else error is None,
        "ran_on": ran_on,
        "seconds": round(seconds, 1),
        "figures": figures or {},
        "skipped": skipped,
        "error": error,
    }


def print_line(line: Line) -> None:
    """Print it as JSON, at once."""
    print(json.dumps(line), flush=True)
