"""Running this program, and scripts beside it, as a user does: in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch

from nst_core.errors import NstError

WORKERS = 2
"""Workers of the measured commands on machines without a GPU."""


@dataclass(frozen=True)
class CommandRun:
    """A command that has ended well."""

    seconds: float
    """From its start to its end, Python's and Ray's own start included."""
    report: dict[str, Any]
    """The object that it printed."""


def run_nst(*arguments: object) -> CommandRun:
    """Run `nst ARGUMENTS --json`. Raises NstError with its last line where it fails."""
    seconds, output = _run("jobs.cli", [*map(str, arguments), "--json"])
    return CommandRun(seconds, json.loads(output))


def run_script(module: ModuleType, *arguments: object) -> CommandRun:
    """Run a module that prints a JSON object. Raises NstError where it fails."""
    seconds, output = _run(module.__name__, [*map(str, arguments)])
    return CommandRun(seconds, json.loads(output or "{}"))


def where_it_runs() -> list[str]:
    """Options of a command that is to use this machine alone, and ``WORKERS`` of its cores."""
    workers = [] if torch.cuda.is_available() else ["--workers", str(WORKERS)]
    return ["--address", "local", *workers]


def command_line(module: str, arguments: list[str]) -> list[str]:
    """What starts a module in this installation's Python."""
    return [sys.executable, "-m", module, *arguments]


def _run(module: str, arguments: list[str]) -> tuple[float, str]:
    start = time.perf_counter()
    result = subprocess.run(
        command_line(module, arguments), capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if result.returncode:
        raise NstError(failure(module, arguments, result.returncode, result.stderr))
    return seconds, result.stdout


def failure(module: str, arguments: list[str], code: int, stderr: str) -> str:
    """One line on a process that failed."""
    last = (stderr.strip().splitlines() or ["it said nothing"])[-1]
    name = "nst" if module == "jobs.cli" else module
    return f"{name} {' '.join(arguments[:2])}: exit code {code}: {last}"
