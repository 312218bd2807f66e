"""Big pictures in pieces beside small ones whole: seconds a megapixel, memory, closeness.

    python -m tests.benchmarks.big_pictures [PHOTO...]

Pictures are mosaics of the photos that are named (or of a frame of the demo's clip), so that they
have as much detail at any size. The small ones are computed whole, one by one and as many together
as there are threads, round by round with a picture of 4000x3000 in pieces; medians are printed.
The largest is computed once, at the end: the peak of memory is its own.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from jobs.demo.clip import draw_frame
from nst_core.checkpoints.library import bundled_styles, find_style
from nst_core.stylizer import Stylizer
from tests.kit.media import psnr

_ROUNDS = 5
_TILE_SIDE = 500
"""Of the mosaic, in pixels."""
_SMALL = ((640, 480), (1024, 768))
_MIDDLE = (4000, 3000)
_LARGE = (12_000, 9_000)
_COMPARED = (2000, 1500)


def main() -> None:
    """Print Markdown tables: speed and memory of the first style, closeness of all."""
    photos = [Image.open(path).convert("RGB") for path in sys.argv[1:]]
    photos = photos or [draw_frame(0.0)]
    name = bundled_styles()[-1]
    stylizer = Stylizer(find_style(name))
    print(f"{name}, {stylizer.engine}, {torch.get_num_threads()} threads")
    print("\n| pixels | pieces | s a megapixel | peak memory of the process, GB |")
    print("|---|---|---|---|")
    for row in _speeds(stylizer, photos):
        print(row, flush=True)
    print(f"\n| style, {_size(_COMPARED)} | in pieces against whole, dB |")
    print("|---|---|")
    picture = _mosaic(photos, *_COMPARED)
    for style in bundled_styles():
        whole, pieces = (
            Stylizer(find_style(style), tile=tile).stylize(picture) for tile in ("off", 512)
        )
        print(f"| {style} | {psnr(whole, pieces):.1f} |")


def _speeds(stylizer: Stylizer, photos: list[Image.Image]) -> Iterator[str]:
    cases: dict[str, NDArray[np.uint8]] = {}
    for size in _SMALL:
        picture = _mosaic(photos, *size)
        cases[f"| {_size(size)} | whole |"] = picture
        together = np.stack([picture] * torch.get_num_threads())
        cases[f"| {_size(size)} x {len(together)} at once | whole |"] = together
    cases[f"| {_size(_MIDDLE)} | in pieces |"] = _mosaic(photos, *_MIDDLE)
    seconds: dict[str, list[float]] = {case: [] for case in cases}
    for number in range(_ROUNDS + 1):
        for case, pixels in cases.items():
            once = _seconds_a_megapixel(stylizer, pixels)
            if number:  # the first round warms up
                seconds[case].append(once)
    for case, taken in seconds.items():
        memory = f"{_peak_gigabytes():.2f}" if "pieces" in case else ""
        yield f"{case} {statistics.median(taken):.3f} | {memory} |"
    once = _seconds_a_megapixel(stylizer, _mosaic(photos, *_LARGE))
    yield f"| {_size(_LARGE)} | in pieces | {once:.3f} | {_peak_gigabytes():.2f} |"


def _seconds_a_megapixel(stylizer: Stylizer, pixels: NDArray[np.uint8]) -> float:
    start = time.perf_counter()
    stylizer.stylize(pixels)
    return (time.perf_counter() - start) / (pixels.size / 3e6)


def _peak_gigabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def _mosaic(photos: list[Image.Image], width: int, height: int) -> NDArray[np.uint8]:
    mosaic = Image.new("RGB", (width, height))
    places = ((x, y) for y in range(0, height, _TILE_SIDE) for x in range(0, width, _TILE_SIDE))
    for number, place in enumerate(places):
        photo = photos[number % len(photos)]
        mosaic.paste(photo.resize((_TILE_SIDE, _TILE_SIDE)), place)
    return np.asarray(mosaic)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


if __name__ == "__main__":
    main()
