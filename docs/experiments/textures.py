"""Textures of any size from a texture network, and that they tile.

Ulyanov et al. 2016. Run: python docs/experiments/textures.py DATA
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from runs import Experiment, experiment, show

from nst_core.checkpoints.checkpoint import load_generator

NAMES = {"bricks": "bricks.png", "pebble": "pebble.png", "red-peppers": "red-peppers.jpg"}
RECIPE = {
    "--steps": 500,
    "--batch-size": 2,
    "--image-size": 192,
    "--seed": 1,
    "--checkpoint-every": 250,
}
SIZES = ("128x128", "256x256", "256x512")
_GAP = 6


def train(run: Experiment, name: str) -> Path:
    """One texture."""
    picture = run.data / "textures" / NAMES[name]
    return run.train(f"texture-{name}", "texture", picture, options=RECIPE)


def main() -> None:
    """Train three textures, synthesize several sizes, measure the seam."""
    run = experiment(__doc__, textures=",".join(NAMES))
    rows, seams = [], []
    for name in run.listed("textures"):
        checkpoint = train(run, name)
        pictures = [Image.open(run.data / "textures" / NAMES[name]).convert("RGB")]
        for size in SIZES:
            picture = run.work / f"{name}-{size}.png"
            options = {"-o": picture, "--size": size, "--seed": 1, "--overwrite": True}
            run.nst("synthesize", checkpoint, options=options)
            pictures.append(Image.open(picture))
        seams.append({"texture": name, **seam(checkpoint, run.pick(24, 1))})
        rows.append([*pictures, _tiled(pictures[1])])
    show(seams)
    whole = _sheet(rows)
    small = whole.resize((whole.width * 3 // 4, whole.height * 3 // 4))
    small.save(run.picture("experiment-textures.jpg"), quality=85)


def seam(checkpoint: Path, samples: int) -> dict[str, float]:
    """Mean step across the wrapped border, of rows and columns of that many samples.

    Beside it the median over each sample's inner lines, and the mean over its other 16th lines:
    those are borders of all five scales' doubled pixels, as the wrapped one is.
    """
    generator, _ = load_generator(checkpoint)
    found = []
    for seed in range(samples):
        generator.seed_noise(seed)
        with torch.no_grad():
            pixels = generator(torch.zeros(1, 3, 256, 256))[0].numpy() * 255
        for axis in (1, 2):
            steps = np.abs(np.roll(pixels, -1, axis) - pixels).mean(axis=(0, 3 - axis))
            found.append((steps[-1], np.median(steps[:-1]), steps[15:-1:16].mean()))
    means = np.mean(found, axis=0)
    names = ("wrapped line", "median of inner lines", "other 16th lines")
    return {name: round(float(mean), 2) for name, mean in zip(names, means, strict=True)}


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
