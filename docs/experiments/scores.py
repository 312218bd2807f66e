"""Style and content distance of every bundled style: the table of docs/styles.md.

Five photographs that no style has seen. Style: relative squared error of the Gram matrices, mean of
relu1_1, relu2_1, relu3_1 and relu4_1, the painting's shorter side being 512 pixels; seen at full,
half and quarter size. Content: relative squared error at relu4_2, at half size. The pictures are
made by the fastest engine here, as users get them. Run: python docs/experiments/scores.py DATA
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from runs import Experiment, experiment, machine
from torch import Tensor

from nst_core.loss_network import LossNetworkWeights, load_loss_network_weights
from nst_core.objective import PerceptualObjective
from nst_core.objective_layers import STYLE_LAYERS
from nst_core.pictures import read_rgb, resize_shorter_side
from nst_core.pixels import to_tensor
from nst_core.settings import ObjectiveSettings
from nst_core.strokes import StrokeChoice
from nst_core.style_library import bundled_styles, find_style
from nst_core.stylizer import Stylizer

PHOTOGRAPHS = ("img_002", "img_009", "img_011", "img_012", "img_014")
SCALES = (1.0, 0.5, 0.25)
_PAINTING_SIDE = 512


def main() -> None:
    """Print a row for each style, their means, and the machine."""
    run = experiment(__doc__ or "")
    weights = load_loss_network_weights("vgg19", Path(run.loss_network[1]))
    rows = []
    print("| style | full | half | quarter | sum | content |\n|---|---|---|---|---|---|")
    for style in bundled_styles():
        rows.append(scores_of(style, run, weights))
        print(_line(style, rows[-1]), flush=True)
    print(_line("mean", np.mean(rows, axis=0).tolist()))
    print(json.dumps(machine()))


def scores_of(style: str, run: Experiment, weights: LossNetworkWeights) -> list[float]:
    """Means over the photographs: style at each of SCALES, then content."""
    found = find_style(style)
    painting = read_rgb(run.data / "styles" / f"{style}.jpg")
    objectives = _objectives(weights, to_tensor(resize_shorter_side(painting, _PAINTING_SIDE)))
    scores = []
    for name in PHOTOGRAPHS:
        photo = read_rgb(run.data / "sr" / "Set14" / f"{name}.png")
        stroke = StrokeChoice(found.strokes).of(photo.height, photo.width)
        stylized = Stylizer(found.with_stroke(stroke)).stylize(np.asarray(photo))
        picture = Image.fromarray(stylized)
        scores.append(_scores(objectives, to_tensor(picture), to_tensor(photo)))
    means: list[float] = np.mean(scores, axis=0).tolist()
    return means


def _objectives(weights: LossNetworkWeights, painting: Tensor) -> list[PerceptualObjective]:
    """One for each scale; the second sees the content."""
    return [
        PerceptualObjective(
            weights,
            painting,
            ObjectiveSettings(
                content_weight=float(scale == SCALES[1]),
                style_layers=STYLE_LAYERS[weights.name],
                scales=(scale,),
            ),
        )
        for scale in SCALES
    ]


@torch.no_grad()
def _scores(objectives: list[PerceptualObjective], stylized: Tensor, photo: Tensor) -> list[float]:
    losses = [objective(stylized, photo) for objective in objectives]
    return [*(each.style.item() for each in losses), losses[1].content.item()]


def _line(name: str, row: list[float]) -> str:
    full, half, quarter, content = row
    numbers = (full, half, quarter, full + half + quarter, content)
    return f"| `{name}` | {' | '.join(f'{number:.3f}' for number in numbers)} |"


if __name__ == "__main__":
    main()
