"""Experiment (d): textures of any size from a texture network, and that they tile.

Ulyanov et al. 2016. Run: python docs/experiments/textures.py DATA
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from runs import PICTURES, Experiment, experiment, machine, nst

NAMES = {"bricks": "bricks.png", "pebble": "pebble.png", "red-peppers": "red-peppers.jpg"}
RECIPE = (
    *("--steps", 500, "--batch-size", 2, "--image-size", 192, "--seed", 1),
    *("--checkpoint-every", 250),
)
SIZES = ("128x128", "256x256", "256x512")
_GAP = 6


def train(run: Experiment, name: str) -> Path:
    """One texture."""
    return run.train(f"texture-{name}", "texture", run.data / "textures" / NAMES[name], *RECIPE)


def main() -> None:
    """Train three textures, synthesize several sizes, measure the seam."""
    run = experiment(__doc__ or "")
    rows, seams = [], {}
    for name, file in NAMES.items():
        checkpoint = train(run, name)
        pictures = [Image.open(run.data / "textures" / file).convert("RGB")]
        for size in SIZES:
            picture = run.work / f"{name}-{size}.png"
            nst("synthesize", checkpoint, "-o", picture, "--size", size, "--seed", 1, "--overwrite")
            pictures.append(Image.open(picture))
        tile = run.work / f"{name}-256x256.png"
        seams[name] = seam(np.asarray(Image.open(tile), dtype=np.float64))
        rows.append([*pictures, _tiled(pictures[1])])
    path = PICTURES / "experiment-textures.jpg"
    _sheet(rows).save(path, quality=85)
    print(json.dumps({"machine": machine(), "seam": seams}, indent=1))
    print(path)


def seam(pixels: np.ndarray) -> dict[str, float]:
    """Mean difference across the wrapped border, beside the median over all inner lines."""
    down = np.abs(np.diff(pixels, axis=0)).mean(axis=(1, 2))
    right = np.abs(np.diff(pixels, axis=1)).mean(axis=(0, 2))
    return {
        "rows": round(float(np.abs(pixels[0] - pixels[-1]).mean()), 2),
        "median of inner rows": round(float(np.median(down)), 2),
        "columns": round(float(np.abs(pixels[:, 0] - pixels[:, -1]).mean()), 2),
        "median of inner columns": round(float(np.median(right)), 2),
    }


def _tiled(picture: Image.Image) -> Image.Image:
    """Two by two copies side by side."""
    result = Image.new("RGB", (picture.width * 2, picture.height * 2))
    for x in (0, picture.width):
        for y in (0, picture.height):
            result.paste(picture, (x, y))
    return result


def _sheet(rows: list[list[Image.Image]]) -> Image.Image:
    """Pictures at their own sizes, a row each, the source framed."""
    height = max(picture.height for picture in rows[0])
    width = sum(picture.width + _GAP for picture in rows[0]) + _GAP
    result = Image.new("RGB", (width, len(rows) * (height + _GAP) + _GAP), "white")
    draw = ImageDraw.Draw(result)
    for number, row in enumerate(rows):
        x, y = _GAP, _GAP + number * (height + _GAP)
        draw.rectangle((x - 3, y - 3, x + row[0].width + 2, y + row[0].height + 2), fill="black")
        for picture in row:
            result.paste(picture, (x, y))
            x += picture.width + _GAP
    return result


if __name__ == "__main__":
    main()
