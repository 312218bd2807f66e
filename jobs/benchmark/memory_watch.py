"""Watching a command's memory from outside: its own process, and its workers'."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from jobs.benchmark.commands import command_line, failure
from nst_core.errors import NstError

_SECONDS_BETWEEN_SAMPLES = 0.1
_WORKER_TITLE = "ray::WorkerHost"
"""How Ray names the process of one of our actors (cluster/workers/host.py)."""
_WORKING_TITLE = "ray::WorkerHost.process"
_MB = 1e6


@dataclass
class MemoryCurve:
    """Resident memory of one process along its work."""

    peak_mb: float = 0.0
    samples: list[tuple[float, float]] = field(default_factory=list)
    """Seconds, MB; only while a worker, or this one, has a unit of work."""

    def around(self, part: float) -> float:
        """Highest MB in the tenth of the time that ends at ``part`` (0 to 1) of it."""
        first, last = self.samples[0][0], self.samples[-1][0]
        end = first + part * (last - first)
        begin = end - (last - first) / 10
        return max(mb for at, mb in self.samples if begin <= at <= end)


@dataclass(frozen=True)
class WatchedRun:
    """A command that has ended well."""

    report: dict[str, Any]
    driver: MemoryCurve
    workers: list[MemoryCurve]

    @property
    def largest_worker(self) -> MemoryCurve:
        """The worker that needed most. Raises NstError where none was seen."""
        if not self.workers:
            raise NstError("no worker was seen: it ended too soon, or Ray names it otherwise now")
        return max(self.workers, key=lambda curve: curve.peak_mb)


def watch_nst(*arguments: object) -> WatchedRun:
    """Run `nst ARGUMENTS --json` and watch it. Raises NstError where it fails."""
    options = [*map(str, arguments), "--json"]
    driver, workers = MemoryCurve(), defaultdict[int, MemoryCurve](MemoryCurve)
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        command = command_line("jobs.cli", options)
        process = subprocess.Popen(command, stdout=output, stderr=errors, text=True)
        try:
            while process.poll() is None:
                _sample(process.pid, driver, workers)
                time.sleep(_SECONDS_BETWEEN_SAMPLES)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise NstError(failure("jobs.cli", options, process.returncode, errors.read()))
        report = json.load(output)
    seen = [curve for curve in workers.values() if curve.samples]
    return WatchedRun(report, driver, seen)


def _sample(pid: int, driver: MemoryCurve, workers: defaultdict[int, MemoryCurve]) -> None:
    now = time.monotonic()
    any_works = False
    try:
        process = psutil.Process(pid)
        children = process.children(recursive=True)
    except psutil.Error:
        return
    for child in children:
        with suppress(psutil.Error):
            title = " ".join(child.cmdline())
            if title.startswith(_WORKER_TITLE):
                # Once asked how far it is, it has this title no longer, and still works.
                works = title.startswith(_WORKING_TITLE) or bool(workers[child.pid].samples)
                _add(workers[child.pid], child, now, counts=works)
                any_works |= works
    with suppress(psutil.Error):
        _add(driver, process, now, counts=any_works)


def _add(curve: MemoryCurve, process: psutil.Process, now: float, *, counts: bool = True) -> None:
    resident = process.memory_info().rss
    curve.peak_mb = max(curve.peak_mb, (_peak_bytes(process.pid) or resident) / _MB)
    if counts:
        curve.samples.append((now, resident / _MB))


def _peak_bytes(pid: int) -> int | None:
    """What Linux keeps of each process: nothing between two samples is missed."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None
