"""Zero padding against reflection padding, at the border of a picture.

Ulyanov, Vedaldi and Lempitsky 2017: zero padding gives the worst artefacts at the border.
Run: python docs/experiments/padding.py DATA (its reflection run is that of photos.py)
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from PIL import Image, ImageOps
from runs import experiment, show

from nst_core.checkpoints.checkpoint import load_generator
from nst_core.color.pixels import to_picture, to_tensor
from nst_core.pictures.reading import read_rgb

_SIDE = 256
_BORDER = 8
_CORNER = 96


def main() -> None:
    """Train with both paddings, stylize the same unseen photographs, look at a corner."""
    run = experiment(__doc__)
    paths = sorted(run.held_out().glob("*.jpg"))
    rows, errors = [], {}
    for padding in ("reflect", "zeros"):
        # By its default it is the run of photos.py and norms.py.
        changes: dict[str, Any] = {} if padding == "reflect" else {"padding": padding}
        checkpoint = run.train_style("johnson", norm="instance", seed=1, **changes)
        generator, _ = load_generator(checkpoint)
        pictures = [_stylized(generator, path) for path in paths]
        errors[padding] = sum(map(border_error, pictures)) / len(pictures)
        shown = [pictures[3], pictures[7]]
        rows.append([part for picture in shown for part in (picture, _corner(picture))])
    show([errors])
    run.save_sheet(rows, "experiment-padding.jpg", cell_height=240)


def _stylized(generator: torch.nn.Module, path: object) -> Image.Image:
    image = ImageOps.fit(read_rgb(path), (_SIDE, _SIDE))  # type: ignore[arg-type]
    with torch.no_grad():
        return to_picture(generator(to_tensor(image)))


def border_error(picture: Image.Image) -> float:
    """How far the frame of 8 pixels is from the frame next to it, against two frames inside.

    1 where the border is like the rest of the picture: the mean colours of neighbouring frames
    then differ as much at the border as they do inside.
    """
    pixels = to_tensor(picture)[0]
    means = [_frame_mean(pixels, k * _BORDER) for k in range(6)]
    steps = [(a - b).abs().mean().item() for a, b in pairwise(means)]
    return steps[0] / (sum(steps[1:]) / len(steps[1:]))


def _frame_mean(pixels: torch.Tensor, distance: int) -> torch.Tensor:
    """Mean colour of the frame of 8 pixels that begins ``distance`` pixels from the border."""
    side = pixels.shape[-1]
    outer = pixels[:, distance : side - distance, distance : side - distance]
    inner = outer[:, _BORDER:-_BORDER, _BORDER:-_BORDER]
    count = outer[0].numel() - inner[0].numel()
    mean: torch.Tensor = (outer.sum((1, 2)) - inner.sum((1, 2))) / count
    return mean


def _corner(picture: Image.Image) -> Image.Image:
    """The upper left corner, enlarged without smoothing."""
    corner = picture.crop((0, 0, _CORNER, _CORNER))
    return corner.resize((_SIDE, _SIDE), Image.Resampling.NEAREST)


if __name__ == "__main__":
    main()
