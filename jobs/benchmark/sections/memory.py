"""Memory: how much a megapixel needs, and that a long film needs no more than a short one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jobs.benchmark.material.films import film
from jobs.benchmark.material.generators import BUNDLED
from jobs.benchmark.memory_watch import WatchedRun, watch_nst
from jobs.benchmark.section import Cell, Section
from jobs.benchmark.settings import BenchSettings
from jobs.demo.clip import RATE
from nst_core.errors import NstError

_PRECISIONS = ("int8", "bfloat16", "float32")
_SIZES = ((640, 360), (1280, 720), (1920, 1080))
_QUICK_SIZES = ((640, 360), (1280, 720))
_FILM_SECONDS = 1
_LONG_SIZE = (128, 72)
_LONG_FRAMES, _QUICK_LONG_FRAMES = 10_000, 2_000
_LONG_FILM_SEGMENT = 1
"""Seconds; those of longer ones would not be equal along the film."""


@dataclass(frozen=True)
class Line:
    """A straight line through measured points."""

    per_megapixel: float
    at_zero: float

    @staticmethod
    def through(megapixels: list[float], megabytes: list[float]) -> Line:
        """Fit by least squares."""
        slope, start = np.polyfit(megapixels, megabytes, 1)
        return Line(float(slope), float(start))


def memory(settings: BenchSettings) -> Section:
    """Peaks of the driver and of one worker at several sizes, in each precision."""
    rows: list[tuple[Cell, ...]] = []
    left_out = []
    sizes = _QUICK_SIZES if settings.quick else _SIZES
    for precision in _PRECISIONS:
        try:
            rows += _rows(settings, precision, sizes)
        except NstError as error:
            left_out.append(f"Left out: {precision} ({error}).")
    return Section(
        key="memory",
        title="Memory a megapixel",
        columns=(
            "process",
            "precision",
            *(f"{w}x{h}, MB" for w, h in sizes),
            "MB a megapixel",
            "MB besides",
        ),
        rows=rows,
        notes=(
            f"Peaks of resident memory while `nst stylize video` with the style {BUNDLED} works on "
            f"{_FILM_SECONDS} s of film with one worker. The line through them gives what a "
            "megapixel of the frame costs, and what the process has in any case (Python, torch, "
            "the engine, Ray). A worker's peak is that of its largest batch of frames. Libraries "
            "that processes share are counted in each.",
            *left_out,
        ),
    )


def _rows(
    settings: BenchSettings, precision: str, sizes: tuple[tuple[int, int], ...]
) -> list[tuple[Cell, ...]]:
    runs = []
    for width, height in sizes:
        settings.tell(f"memory: {precision} at {width}x{height}")
        runs.append(_stylize(settings, precision, width, height))
    megapixels = [width * height / 1e6 for width, height in sizes]
    rows: list[tuple[Cell, ...]] = []
    for process, peaks in (
        ("worker", [run.largest_worker.peak_mb for run in runs]),
        ("driver", [run.driver.peak_mb for run in runs]),
    ):
        line = Line.through(megapixels, peaks)
        rows.append((process, precision, *peaks, line.per_megapixel, line.at_zero))
    return rows


def _stylize(settings: BenchSettings, precision: str, width: int, height: int) -> WatchedRun:
    source = film(settings, width=width, height=height, seconds=_FILM_SECONDS)
    return watch_nst(
        *("stylize", "video", source, "-o", settings.folder / "memory.mp4", "--style", BUNDLED),
        *("--precision", precision, "--device", "cpu", "--overwrite", "--no-resume"),
        *("--address", "local", "--workers", 1),
    )


def memory_growth(settings: BenchSettings) -> Section:
    """Memory along a long film of small frames: at a tenth of the time, and at its end."""
    frames = _QUICK_LONG_FRAMES if settings.quick else _LONG_FRAMES
    width, height = _LONG_SIZE
    seconds = frames / RATE
    source = film(settings, width=width, height=height, seconds=seconds)
    settings.tell(f"memory growth: {frames} frames")
    run = watch_nst(
        *("stylize", "video", source, "-o", settings.folder / "long.mp4", "--style", BUNDLED),
        *("--device", "cpu", "--overwrite", "--no-resume", "--address", "local", "--workers", 1),
        *("--segment-seconds", _LONG_FILM_SEGMENT),
    )
    done = run.report["inputs"][0]["frames_out"]
    rows: list[tuple[Cell, ...]] = []
    for name, curve in (("worker", run.largest_worker), ("driver", run.driver)):
        early, late = curve.around(0.1), curve.around(1.0)
        rows.append((name, done, early, late, late - early))
    return Section(
        key="memory_growth",
        title="Memory along a long film",
        columns=("process", "frames", "MB at 10 %", "MB at 100 %", "growth, MB"),
        rows=rows,
        notes=(
            f"`nst stylize video` on one film of {width}x{height} with one worker and the style "
            f"{BUNDLED}: the most resident memory in the tenth of its time that ends there. "
            "Nothing may grow with the frames done, but for the few bytes that the driver keeps of "
            "each packet.",
        ),
    )
