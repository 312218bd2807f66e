"""Streams against threads: one frame by all cores, or a frame by each."""

from __future__ import annotations

import statistics

from jobs.benchmark.material.generators import measured_generators
from jobs.benchmark.material.pictures import as_tensor, still_frames
from jobs.benchmark.section import Cell, Section
from jobs.benchmark.settings import BenchSettings
from jobs.benchmark.turns import median_ratio, take_turns, timed
from nst_core.engines.openvino_engine import OpenVinoEngine
from nst_core.processors import usable_processors

_SIZES = ((256, 256), (640, 360), (1280, 720))
_QUICK_SIZES = ((640, 360),)
_FRAMES_A_STREAM = 4


def streams(settings: BenchSettings) -> Section:
    """Measure OpenVINO with its threads dealt out in every way; the engine has the last one."""
    rows: list[tuple[Cell, ...]] = []
    for generator in measured_generators(settings):
        if generator.style.draws_noise or generator.style.scale > 1:
            continue
        engines = {
            count: OpenVinoEngine(generator.load(), eight_bit=generator.eight_bit, streams=count)
            for count in range(1, usable_processors() + 1)
            if usable_processors() % count == 0
        }
        for width, height in _QUICK_SIZES if settings.quick else _SIZES:
            settings.tell(f"streams: {generator.name} at {width}x{height}")
            rows += _compare(settings, generator.name, engines, width, height)
    return Section(
        key="streams",
        title="Streams against threads",
        columns=(
            "generator",
            "frame",
            "streams",
            "threads a stream",
            "ms a frame",
            "times as fast",
        ),
        rows=rows,
        notes=(
            f"OpenVINO on {usable_processors()} threads, which work on as many frames at a time as "
            "there are streams. `times as fast` is against one stream of all threads. The engine "
            "has a stream for each thread: the pixels of a frame then do not depend on how many "
            f"threads there are. Medians of {settings.rounds} rounds in turn.",
        ),
    )


def _compare(
    settings: BenchSettings,
    name: str,
    engines: dict[int, OpenVinoEngine],
    width: int,
    height: int,
) -> list[tuple[Cell, ...]]:
    threads = max(engines)
    frames = _FRAMES_A_STREAM * threads
    batch = as_tensor(still_frames(settings, frames, width=width, height=height))
    seconds = take_turns(
        {
            str(count): timed(lambda engine=engine: engine.run(batch))  # type: ignore[misc]
            for count, engine in engines.items()
        },
        rounds=settings.rounds,
    )
    return [
        (
            *(name, f"{width}x{height}", count, threads // count),
            1000 * statistics.median(seconds[str(count)]) / frames,
            median_ratio(seconds["1"], seconds[str(count)]),
        )
        for count in engines
    ]
