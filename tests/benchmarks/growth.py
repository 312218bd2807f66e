"""What longer films and larger folders cost the driver: per frame and per file, and in memory.

python -m tests.benchmarks.growth [--quick]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from PIL import Image

from cluster.connection import ray_session
from jobs.applying.stylize_images import stylize_images
from jobs.applying.stylize_video import stylize_videos
from jobs.benchmark.material.repeated_film import repeat
from jobs.benchmark.rendering import section_markdown
from jobs.benchmark.section import Cell, Section
from jobs.demo.clip import HEIGHT, SECONDS, WIDTH, make_clip
from jobs.specs.applying import PoolSpec, StylizeImages, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import NstError
from pipeline.work.progress import Progress

_WORKERS = 2
_STYLE = "identity"
_SECONDS_BETWEEN_SAMPLES = 0.2
_WORKER_TITLE = "ray::WorkerHost"
"""How Ray names the process of one of our actors (cluster/workers/host.py)."""
_TINY_SIDE = 8
_FILES_IN_A_FOLDER = 1000
_MB = 1e6
_MEMORY_COLUMNS = (
    "driver MB at 20 %",
    "driver MB at 100 %",
    "largest worker, MB at 20 %",
    "largest worker, MB at 100 %",
)


def film_growth(*, times: Sequence[int] = (1, 10, 100, 300)) -> Section:
    """Pass the demo's clip, so many times as long, through ``identity``.

    Raises NstError where a film does not come out whole.
    """
    with tempfile.TemporaryDirectory(prefix="nst-bench-") as name, ray_session():
        clip = Path(name, "clip.mp4")
        make_clip(clip)
        rows = []
        for count in times:
            film = Path(name, f"{count}.mp4")
            repeat(clip, film, count)
            rows.append(_film_row(film))
    return Section(
        key="film_growth",
        title="Longer films",
        columns=(
            "frames",
            "seconds",
            "ms a frame",
            "driver CPU ms a frame",
            *_MEMORY_COLUMNS,
        ),
        rows=rows,
        notes=(
            f"A clip of {SECONDS} s, {WIDTH}x{HEIGHT} with sound, repeated; style {_STYLE}, "
            f"{_WORKERS} workers. The seconds are from scanning to verifying, the workers' start "
            "aside; the driver's CPU has it, which counts where there are few frames.",
            _memory_note("frames"),
        ),
    )


def folder_growth(*, files: Sequence[int] = (100, 10_000)) -> Section:
    """Pass folders of that many tiny pictures through ``identity``, twice.

    Raises NstError where a picture fails.
    """
    rows = []
    for count in files:
        with tempfile.TemporaryDirectory(prefix="nst-bench-") as name, ray_session():
            source = Path(name, "in")
            _make_tiny(source, count)
            rows.append(_folder_row(source, Path(name, "out")))
    return Section(
        key="folder_growth",
        title="Larger folders",
        columns=(
            "files",
            "seconds",
            "ms a file",
            "driver CPU ms a file",
            *_MEMORY_COLUMNS,
            "run again, ms a file",
        ),
        rows=rows,
        notes=(
            f"PNG files of {_TINY_SIDE}x{_TINY_SIDE} pixels, so that all that is seen is what each "
            f"file costs; style {_STYLE}, {_WORKERS} workers. The seconds have the workers' start.",
            _memory_note("files"),
        ),
    )


@dataclass
class _Watch:
    """The driver, which is this process, and its workers along a job."""

    samples: list[tuple[float, float, float]] = field(default_factory=list)
    """Part of the work that is done (0 to 1), resident MB of the driver and of a worker."""
    cpu_seconds: float = 0.0
    """CPU time of all the driver's threads, without that of looking."""
    seconds: float = 0.0
    _looking_cpu_seconds: float = 0.0
    _looked: float = 0.0

    def __enter__(self) -> _Watch:
        self._began, self._cpu_began = time.monotonic(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds = time.monotonic() - self._began
        self.cpu_seconds = time.process_time() - self._cpu_began - self._looking_cpu_seconds

    def look(self, progress: Progress) -> None:
        """Sample, at most every so often, and at the end of the work."""
        now = time.monotonic()
        at_an_end = progress.done == progress.total
        if progress.total and (at_an_end or now - self._looked >= _SECONDS_BETWEEN_SAMPLES):
            self._looked = now
            began = time.thread_time()
            part = progress.done / progress.total
            driver = psutil.Process()
            worker = max(map(_worker_bytes, driver.children(recursive=True)), default=0)
            self.samples.append((part, driver.memory_info().rss / _MB, worker / _MB))
            self._looking_cpu_seconds += time.thread_time() - began

    def memory_cells(self) -> tuple[Cell, ...]:
        """Most memory in the second tenth of the work and in its last; None where nobody looked."""
        early = [sample for sample in self.samples if 0.1 < sample[0] <= 0.2]
        late = [sample for sample in self.samples if sample[0] > 0.9]
        return tuple(
            round(max(sample[of] for sample in samples)) if samples else None
            for of in (1, 2)
            for samples in (early, late)
        )


def _worker_bytes(process: psutil.Process) -> int:
    try:
        is_worker = " ".join(process.cmdline()).startswith(_WORKER_TITLE)
        return process.memory_info().rss if is_worker else 0
    except psutil.Error:  # it has just ended
        return 0


def _film_row(film: Path) -> tuple[Cell, ...]:
    job = StylizeVideo(
        (film,),
        film.with_name(f"{film.stem}-out.mp4"),
        StyleSpec(_STYLE),
        PoolSpec(workers=_WORKERS),
        segment_seconds=SECONDS,
        preset="ultrafast",
    )
    with _Watch() as watch:
        (report,) = stylize_videos(job, watch.look).inputs
    if report.status != "done":
        raise NstError(f"a film of {report.frames_in} frames came out {report.status}")
    frames, seconds = report.frames_out, report.seconds["total"]
    return (
        frames,
        round(seconds, 2),
        round(1000 * seconds / frames, 2),
        round(1000 * watch.cpu_seconds / frames, 2),
        *watch.memory_cells(),
    )


def _folder_row(source: Path, output: Path) -> tuple[Cell, ...]:
    job = StylizeImages(
        (str(source),), str(output), (StyleSpec(_STYLE),), PoolSpec(workers=_WORKERS)
    )
    with _Watch() as watch:
        report = stylize_images(job, watch.look)
    again = stylize_images(job)
    if report.done != report.total or again.reused != report.total:
        raise NstError(
            f"of {report.total} pictures {report.done} were done, and {again.reused} found again"
        )
    return (
        report.total,
        round(watch.seconds, 2),
        round(1000 * watch.seconds / report.total, 2),
        round(1000 * watch.cpu_seconds / report.total, 2),
        *watch.memory_cells(),
        round(1000 * again.seconds / report.total, 2),
    )


def _make_tiny(folder: Path, count: int) -> None:
    for number in range(count):
        shade = (number % 256, number // 256 % 256, 90)
        parent = folder / f"{number // _FILES_IN_A_FOLDER:03d}"
        parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (_TINY_SIDE, _TINY_SIDE), shade).save(parent / f"{number}.png")


def _memory_note(what: str) -> str:
    return (
        f"Memory is resident, the most while the second and last tenth of the {what} were done: "
        "in the first, libraries and object store still set up their buffers. "
        "The driver's has all that was measured before in the same process."
    )


if __name__ == "__main__":
    quick = "--quick" in sys.argv[1:]
    print(section_markdown(film_growth(times=(1, 10)) if quick else film_growth()))
    print(section_markdown(folder_growth(files=(100, 1_000)) if quick else folder_growth()))
