"""Memory of the driver along a film of hours: it must not grow with the film.

    python -m tests.benchmarks.long_film VIDEO [MINUTES]

VIDEO's packets (H.264 with AAC, a few seconds) are repeated, none encoded again, until the film
lasts MINUTES (120). The program passes it through ``identity`` with embedded Ray; measured is this
one process, the driver, and neither Ray's own processes nor its workers. Its start is when Ray is
up and everything is imported.
"""

from __future__ import annotations

import multiprocessing
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import psutil

from cluster.connection import ray_session
from jobs.applying.stylize_video import stylize_videos
from jobs.benchmark.material.repeated_film import repeat
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.work.progress import Progress

_MINUTES = 120
_SETTLED_MINUTE = 10
_INTERVAL = 0.25
_MB = 1_000_000
_PEAK_BAR_MB, _GROWTH_BAR_MB = 300, 30
"""Growth from the settled minute on: a tenth of what the peak may be is flat."""


@dataclass
class MemoryCurve:
    """Resident memory of this process against the position in the film; sampled by a thread."""

    minutes_in_all: float
    position: float = 0.0
    """Minutes of the film that are done."""
    samples: list[tuple[float, float, float]] = field(default_factory=list)
    """Position in minutes, resident MB, and MB of these shared with other processes."""
    _stop: threading.Event = field(default_factory=threading.Event)

    def on_progress(self, progress: Progress) -> None:
        """Take the position from the program."""
        self.position = self.minutes_in_all * progress.done / max(1, progress.total)

    def sample(self) -> tuple[float, float, float]:
        """Measure once."""
        memory = psutil.Process().memory_info()
        self.samples.append((self.position, memory.rss / _MB, memory.shared / _MB))
        return self.samples[-1]

    def __enter__(self) -> MemoryCurve:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL):
            self.sample()

    def around(self, minute: float) -> float:
        """Highest resident MB within a tenth of the film's length, at most 5 minutes, up to it.

        Of the film's end: as long as segments are at work.
        """
        width = min(5.0, self.minutes_in_all / 10)
        at_work = [sample for sample in self.samples if sample[0] < self.minutes_in_all]
        return max(rss for at, rss, _ in at_work if minute - width <= at <= minute)


def main() -> None:
    """Print start, peak, and the values at both ends of what must be flat."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m tests.benchmarks.long_film VIDEO [MINUTES]")
    minutes = float(sys.argv[2]) if len(sys.argv) > 2 else _MINUTES
    with tempfile.TemporaryDirectory(prefix="nst-long-film-") as folder:
        film = Path(folder) / "film.mp4"
        # In a process of its own: what it leaves in the allocator would count as ours.
        spawn = multiprocessing.get_context("spawn")
        clip = Path(sys.argv[1])
        times = max(1, round(60 * minutes / _seconds_of(clip)))
        maker = spawn.Process(target=repeat, args=(clip, film, times))
        maker.start()
        maker.join()
        assert maker.exitcode == 0
        size, free = film.stat().st_size / _MB, shutil.disk_usage(folder).free / _MB
        print(f"{minutes:g} minutes, {size:.0f} MB; {free:.0f} MB free in {folder}", flush=True)
        with ray_session():
            curve = _measure(film, Path(folder) / "out.mp4", minutes)
    _tell(curve, minutes)


def _measure(film: Path, output: Path, minutes: float) -> MemoryCurve:
    job = StylizeVideo((film,), output, StyleSpec("identity"), PoolSpec(), preset="ultrafast")
    curve = MemoryCurve(minutes)
    curve.sample()
    start = time.perf_counter()
    with curve:
        (report,) = stylize_videos(job, curve.on_progress).inputs
        curve.sample()
    assert report.status == "done", report.error
    print(
        f"{report.frames_out} frames in {time.perf_counter() - start:.0f} s, "
        f"seconds {report.seconds}, segments {report.segments}"
    )
    return curve


def _tell(curve: MemoryCurve, minutes: float) -> None:
    start = curve.samples[0][1]
    peak_at, peak, _ = max(curve.samples, key=lambda sample: sample[1])
    settled = min(_SETTLED_MINUTE, minutes / 3)
    early, late = curve.around(settled), curve.around(minutes)
    shared = max(sample[2] for sample in curve.samples)
    print(f"start {start:.0f} MB, end {curve.samples[-1][1]:.0f} MB, most shared {shared:.0f} MB")
    for minute in [settled * step for step in range(1, int(minutes / settled) + 1)]:
        print(f"  minute {minute:5.1f}: {curve.around(minute):.0f} MB")
    _verdict(f"peak {peak:.0f} MB (minute {peak_at:.1f}), above start", peak - start, _PEAK_BAR_MB)
    _verdict(f"minute {settled:g} to {minutes:g}, growth", late - early, _GROWTH_BAR_MB)
    writing = max(rss for at, rss, _ in curve.samples if at >= minutes)
    print(f"while the output is written and verified: {writing - late:.0f} MB more, for its index")


def _verdict(what: str, value: float, bar: float) -> None:
    print(f"{what} {value:.0f} MB; bar {bar} MB: {'kept' if value <= bar else 'MISSED'}")


def _seconds_of(clip: Path) -> float:
    with av.open(str(clip)) as container:
        return (container.duration or 0) / av.time_base


if __name__ == "__main__":
    main()
