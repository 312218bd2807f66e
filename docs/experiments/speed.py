"""Seconds for a picture: Gatys' optimisation, Johnson et al.'s network, and a bundled style.

Johnson et al. 2016, table 1: 256, 512 and 1024 pixels. The optimisation is 500 iterations, of
which a few are timed. Run: python docs/experiments/speed.py DATA
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image, ImageOps
from runs import Experiment, experiment, show, stylizer_for

from nst_core.color.pixels import to_tensor
from nst_core.networks.johnson_paper import JohnsonNet
from nst_core.pictures.reading import read_rgb

ITERATIONS = 500
STYLE = "wave"


def main() -> None:
    """Time all three at each size, on a square photograph."""
    run = experiment(__doc__, sizes="256,512,1024", timed="10")
    rows = []
    for size in map(int, run.listed("sizes")):
        picture = run.work / f"photo-{size}.png"
        ImageOps.fit(read_rgb(run.data / "photos" / "100075.jpg"), (size, size)).save(picture)
        gatys = ITERATIONS * seconds_of_iteration(run, picture, size)
        network = seconds_of_network(picture)
        style = seconds_of_style(picture, size, run.threads)
        rows.append(
            {
                "px": size,
                f"Gatys, {ITERATIONS} iterations": gatys,
                "the paper's network": network,
                "times faster": gatys / network,
                f"`{STYLE}`": style,
                "times faster than Gatys": gatys / style,
            }
        )
    show(rows)


def seconds_of_iteration(run: Experiment, picture: Path, size: int) -> float:
    """Mean of a few; an iteration is one evaluation of the objective, and there is one more."""
    options = {
        "--recipe": "gatys",
        "--style": run.painting(STYLE),
        "-o": run.work / f"speed-{size}.png",
        "--image-size": size,
        "--steps": run.asked["timed"],
        "--overwrite": True,
    }
    report = run.report(f"speed-{size}", "optimize", picture, options=options)
    return float(report["seconds"]) / (int(report["steps"]) + 1)


def seconds_of_network(picture: Path) -> float:
    """A forward pass of the paper's generator, width 32, in float32; its weights do not matter."""
    network = JohnsonNet(32).eval()
    pixels = to_tensor(Image.open(picture))
    with torch.inference_mode():
        return _median_seconds(lambda: network(pixels))


def seconds_of_style(picture: Path, size: int, threads: int) -> float:
    """From bytes to bytes, by the engine that users get."""
    stylizer = stylizer_for(STYLE, size, size, threads=threads)
    pixels = np.asarray(Image.open(picture))
    return _median_seconds(lambda: stylizer.stylize(pixels))


def _median_seconds(compute: Callable[[], object]) -> float:
    compute()
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        compute()
        seconds.append(time.perf_counter() - began)
    return median(seconds)


if __name__ == "__main__":
    main()
