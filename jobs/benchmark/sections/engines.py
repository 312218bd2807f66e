"""Every generator in every engine, precision and size: time, and closeness to float32."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jobs.benchmark.material.generators import MeasuredGenerator, measured_generators
from jobs.benchmark.material.pictures import as_tensor, still_frames
from jobs.benchmark.section import Cell, Section
from jobs.benchmark.settings import BenchSettings
from jobs.benchmark.subjects.engine_choice import REFERENCE, build_engines
from jobs.benchmark.turns import Case, median_ratio, take_turns, timed
from nst_core.engines.engine import Engine
from nst_core.networks.transformer import TransformerNet

_SIZES = ((256, 256), (640, 360), (1280, 720), (1920, 1080))
_QUICK_SIZES = ((640, 360),)
_FRAMES_ON_GPU = 4
_PAPERS_WIDTH = 32


def engines(settings: BenchSettings) -> Section:
    """Measure the networks alone: tensors in, tensors out."""
    rows: list[tuple[Cell, ...]] = []
    left_out: list[str] = []
    for generator in measured_generators(settings):
        found = build_engines(generator)
        left_out += found.left_out
        for width, height in _QUICK_SIZES if settings.quick else _SIZES:
            settings.tell(f"engines: {generator.name} at {width}x{height}")
            rows += _compare(settings, generator, found.built, width, height)
    return Section(
        key="engines",
        title="Engines",
        columns=(
            *("generator", "frame", "engine", "ms a frame"),
            *("times eager float32", "times eager width 32", "dB to float32"),
        ),
        rows=rows,
        notes=(
            "The network alone, on frames that are in memory: as many at a time as there are cores "
            f"(on a GPU {_FRAMES_ON_GPU}, timed by its own events). `eager float32` is the peers' "
            "way of calling the same network: torch as it comes, one frame at a time, on the same "
            "device; "
            f"`eager width {_PAPERS_WIDTH}` is that way with the network of the paper. "
            f"Medians of {settings.rounds} rounds in turn; ratios within each round.",
            "dB: PSNR of the worst frame against torch float32; above 40 the eye sees no "
            "difference. Random weights have none: their pictures mean nothing.",
            *(f"Left out: {line}." for line in left_out),
        ),
    )


def _compare(
    settings: BenchSettings,
    generator: MeasuredGenerator,
    engines: list[Engine],
    width: int,
    height: int,
) -> list[tuple[Cell, ...]]:
    """Let engines and eager torch take turns at one size of the output."""
    scale = generator.style.scale
    size = {"width": width // scale, "height": height // scale}
    counts = {"cpu": torch.get_num_threads(), "cuda": _FRAMES_ON_GPU}
    frames = {
        device: as_tensor(still_frames(settings, counts[device], **size)).to(device)
        for device in {"cpu", *(engine.device.type for engine in engines)}
    }
    outputs = {engine.name: engine.run(frames["cpu"]).cpu().numpy() for engine in engines}
    seconds = take_turns(_cases(generator, engines, frames), rounds=settings.rounds)
    shown = f"{width}x{height}" if scale == 1 else f"{size['width']}x{size['height']} x{scale}"
    rows: list[tuple[Cell, ...]] = []
    for engine in engines:
        device = engine.device.type
        mine = [each / len(frames[device]) for each in seconds[engine.name]]
        rows.append(
            (
                *(generator.name, shown, engine.name, 1000 * statistics.median(mine)),
                median_ratio(seconds[_eager_name(device)], mine),
                median_ratio(seconds[_papers_name(device)], mine) if scale == 1 else None,
                _closeness(generator, engine, outputs),
            )
        )
    return rows


def _cases(
    generator: MeasuredGenerator, engines: list[Engine], frames: dict[str, Tensor]
) -> dict[str, Case]:
    """Eager torch on each device with one frame, the engines with all."""
    cases: dict[str, Case] = {}
    for device in sorted({engine.device.type for engine in engines}):
        frame = frames[device][:1]
        cases[_eager_name(device)] = timed(_eager(generator.load(), frame), device)
        if generator.style.scale == 1:
            papers = TransformerNet(_PAPERS_WIDTH)
            cases[_papers_name(device)] = timed(_eager(papers, frame), device)
    for engine in engines:
        device = engine.device.type
        cases[engine.name] = timed(partial(engine.run, frames[device]), device)
    return cases


def _eager(generator: nn.Module, frame: Tensor) -> Callable[[], object]:
    return torch.no_grad()(partial(generator.eval().to(frame.device), frame))


def _eager_name(device: str) -> str:
    return f"eager {device}"


def _papers_name(device: str) -> str:
    return f"eager {device}, width {_PAPERS_WIDTH}"


def _closeness(
    generator: MeasuredGenerator, engine: Engine, outputs: dict[str, NDArray[np.float32]]
) -> float | None:
    """PSNR of the worst frame in dB; None where there is nothing to compare."""
    if not generator.trained or engine.name == REFERENCE:
        return None
    pairs = zip(outputs[engine.name], outputs[REFERENCE], strict=True)
    errors = [float(np.mean((mine - exact) ** 2, dtype=np.float64)) for mine, exact in pairs]
    return float(-10 * np.log10(max(*errors, 1e-12)))
