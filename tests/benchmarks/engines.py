"""Engines side by side: time a frame and closeness to float32, as ratios within this one run.

    python -m tests.benchmarks.engines

Frames are those of the demo's clip (or of the file named as an argument). The engines take turns,
round by round, so that a machine that slows down slows all of them; medians are printed.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from jobs.demo_clip import draw_frame
from nst_core.checkpoint import load_generator
from nst_core.engine import Engine, make_engine
from nst_core.style_library import bundled_styles, find_style
from tests.media import psnr

_ROUNDS = 7
_FRAMES = 5
_REFERENCE = "torch cpu float32"


def main() -> None:
    """Print a Markdown table for each bundled style."""
    frames = _video_frames(Path(sys.argv[1])) if len(sys.argv) > 1 else _demo_frames()
    height, width = frames.shape[-2:]
    print(f"{_FRAMES} frames of {width}x{height}, {torch.get_num_threads()} threads")
    for name in bundled_styles():
        print(f"\n| {name} | ms a frame | speed against {_REFERENCE} | worst frame, dB |")
        print("|---|---|---|---|")
        for row in _compare(name, frames):
            print(row)


def _compare(name: str, frames: Tensor) -> list[str]:
    engines = _engines(name)
    outputs = {engine.name: engine.run(frames).cpu().numpy() for engine in engines}  # warms up
    seconds: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for _ in range(_ROUNDS):
        for engine in engines:
            start = time.perf_counter()
            engine.run(frames)
            if engine.device.type == "cuda":
                torch.cuda.synchronize()
            seconds[engine.name].append((time.perf_counter() - start) / len(frames))
    reference = seconds[_REFERENCE]
    rows = []
    for engine in engines:
        mine = seconds[engine.name]
        ratio = statistics.median(a / b for a, b in zip(reference, mine, strict=True))
        worst = min(
            psnr(a, b, peak=1)
            for a, b in zip(outputs[engine.name], outputs[_REFERENCE], strict=True)
        )
        closeness = "" if engine.name == _REFERENCE else f"{worst:.1f}"
        milliseconds = 1000 * statistics.median(mine)
        rows.append(f"| {engine.name} | {milliseconds:.1f} | {ratio:.2f} | {closeness} |")
    return rows


def _engines(name: str) -> list[Engine]:
    path = find_style(name).path
    assert path is not None
    engines = [
        make_engine(load_generator(path)[0], engine="torch", device="cpu"),
        make_engine(load_generator(path)[0], engine="openvino", precision="float32"),
        make_engine(load_generator(path)[0], engine="openvino"),
    ]
    if torch.cuda.is_available():
        engines.append(make_engine(load_generator(path)[0], device="cuda"))
    return list({engine.name: engine for engine in engines}.values())


def _demo_frames() -> Tensor:
    return _tensor([np.asarray(draw_frame(0.7 * number)) for number in range(_FRAMES)])


def _video_frames(path: Path) -> Tensor:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return _tensor(frames[:: max(1, len(frames) // _FRAMES)][:_FRAMES])


def _tensor(frames: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255


if __name__ == "__main__":
    main()
