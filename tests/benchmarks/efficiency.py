"""How much of a command's time the network takes: the rest is what could still be won.

python -m tests.benchmarks.efficiency [--quick] [VIDEO]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

from torch import Tensor

from jobs.benchmark.commands import WORKERS, run_nst
from jobs.benchmark.material.films import film
from jobs.benchmark.material.generators import MeasuredGenerator, untrained, wave
from jobs.benchmark.material.pictures import as_tensor, still_frames
from jobs.benchmark.rendering import section_markdown
from jobs.benchmark.section import Cell, Section
from jobs.benchmark.settings import BenchSettings
from jobs.benchmark.subjects.engine_choice import build_engine
from jobs.benchmark.turns import median_ratio, take_turns, timed
from nst_core.engines.engine import Engine

_WIDTH, _HEIGHT = 640, 360
_FRAMES_AT_A_TIME = 8


@dataclass(frozen=True)
class _Command:
    """One way to stylize the film."""

    generator: MeasuredGenerator
    precision: str
    """As the command takes it."""
    film: Path
    folder: Path

    def run(self) -> dict[str, Any]:
        """Return the command's report."""
        return run_nst(
            *("stylize", "video", self.film, "-o", self.folder / "efficiency.mp4"),
            *("--style", self.generator.argument),
            *("--precision", self.precision, "--device", "cpu", "--overwrite", "--no-resume"),
            *("--address", "local", "--workers", WORKERS),
        ).report


def efficiency(settings: BenchSettings) -> Section:
    """Network alone against whole command, in one run, by turns."""
    seconds = 20 if settings.quick else 60
    source = film(settings, width=_WIDTH, height=_HEIGHT, seconds=seconds)
    wide = untrained(settings, "johnson", width=32)
    rows: list[tuple[Cell, ...]] = []
    known: set[tuple[Cell, Cell]] = set()
    for generator, precision in (
        *((wave(), "auto"), (wave(), "bfloat16"), (wave(), "float32")),
        *((wide, "auto"), (wide, "bfloat16")),
    ):
        settings.tell(f"efficiency: {generator.name}, {precision}")
        row = _measure(settings, _Command(generator, precision, source, settings.folder), known)
        if row:
            rows.append(row)
    return Section(
        key="efficiency",
        title="The network's share of the time",
        columns=(
            *("generator", "engine", "frames", "network alone, s", "stylizing, s"),
            "network / wall",
        ),
        rows=rows,
        notes=(
            f"A film of {_WIDTH}x{_HEIGHT} on the CPU. `stylizing` is what `nst stylize video` "
            f"with {WORKERS} workers tells as its own: decoding, colours, network and encoding of "
            "all segments, Ray's start-up aside. `network alone` is the same engine on as many "
            f"frames that lie in memory, {WORKERS} streams of one thread. 1 is the limit: nothing "
            "but the network. What is missing is decoding, colours and encoding, on the same "
            "cores, what Ray and the driver need, and waiting for the last worker at the end. "
            f"Ratios within each of {settings.long_rounds} rounds.",
        ),
    )


def _measure(
    settings: BenchSettings, command: _Command, known: set[tuple[Cell, Cell]]
) -> tuple[Cell, ...] | None:
    """Return a row; None for what was measured already under another name."""
    report = command.run()  # warms up, and tells what ``auto`` has chosen
    name, frames = report["engine"], report["inputs"][0]["frames_out"]
    if (command.generator.name, name) in known:
        return None
    known.add((command.generator.name, name))
    kind, device, precision = name.split()[:3]
    engine = build_engine(command.generator, kind, device, precision, threads=WORKERS)
    batch = as_tensor(still_frames(settings, _FRAMES_AT_A_TIME, width=_WIDTH, height=_HEIGHT))
    engine.run(batch)  # warms up
    seconds = take_turns(
        {
            "network": timed(lambda: _run(engine, batch, frames)),
            "wall": lambda: float(command.run()["inputs"][0]["seconds"]["stylize"]),
        },
        rounds=settings.long_rounds,
        warm_up=False,
    )
    network, wall = seconds["network"], seconds["wall"]
    share = median_ratio(network, wall)
    medians = statistics.median(network), statistics.median(wall)
    return (command.generator.name, name, frames, *medians, share)


def _run(engine: Engine, batch: Tensor, frames: int) -> None:
    whole, rest = divmod(frames, len(batch))
    for part in (*repeat(batch, whole), batch[:rest]):
        if len(part):
            engine.run(part)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nst-bench-") as name:
        how = BenchSettings(Path(name), quick=asked.quick, video=asked.video, tell=print)
        print(section_markdown(efficiency(how)))
