"""Style and content distance of every bundled style: the table of docs/styles.md.

Five photographs that no style has seen. Style: relative squared error of the Gram matrices, mean of
relu1_1, relu2_1, relu3_1 and relu4_1, the painting's shorter side being 512 pixels; seen at full,
half and quarter size. Content: relative squared error at relu4_2, at half size. The pictures are
made by the fastest engine here, as users get them. Run: python docs/experiments/scores.py DATA
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from runs import Experiment, experiment, show, stylizer_for
from torch import Tensor
from torch.nn import functional

from nst_core.checkpoints.library import bundled_styles
from nst_core.color.pixels import to_tensor
from nst_core.objectives.layers import CONTENT_LAYER, STYLE_LAYERS
from nst_core.objectives.loss_network import LossNetwork, load_loss_network_weights
from nst_core.objectives.losses import gram_matrix
from nst_core.pictures.reading import read_rgb, resize_shorter_side

PHOTOGRAPHS = ("img_002", "img_009", "img_011", "img_012", "img_014")
SCALES = (1.0, 0.5, 0.25)
_PAINTING_SIDE = 512
_STYLE_LAYERS, _CONTENT_LAYER = STYLE_LAYERS["vgg19"], CONTENT_LAYER["vgg19"]


def main() -> None:
    """Print a row for each style, and their means."""
    run = experiment(__doc__, styles=",".join(bundled_styles()))
    weights = load_loss_network_weights("vgg19", run.loss_network)
    network = LossNetwork(weights, (*_STYLE_LAYERS, _CONTENT_LAYER))
    styles = run.listed("styles")
    found = [scores_of(style, run, network) for style in styles]
    rows = [*zip(styles, found, strict=True), ("mean", list(np.mean(found, axis=0)))]
    show([_row(name, scores) for name, scores in rows])


def scores_of(style: str, run: Experiment, network: LossNetwork) -> list[float]:
    """Means over the photographs: style at each of SCALES, then content."""
    painting = resize_shorter_side(read_rgb(run.painting(style)), _PAINTING_SIDE)
    wanted = [_grams(network, to_tensor(painting), scale) for scale in SCALES]
    scores = []
    for name in PHOTOGRAPHS[: run.pick(len(PHOTOGRAPHS), 1)]:
        photo = read_rgb(run.data / "sr" / "Set14" / f"{name}.png")
        stylized = stylizer_for(style, photo.height, photo.width).stylize(np.asarray(photo))
        picture = to_tensor(Image.fromarray(stylized))
        errors = [
            np.mean(
                [_relative_error(gram, target) for gram, target in zip(grams, goal, strict=True)]
            )
            for grams, goal in zip(
                (_grams(network, picture, scale) for scale in SCALES), wanted, strict=True
            )
        ]
        content = _relative_error(
            *(_content(network, each) for each in (picture, to_tensor(photo)))
        )
        scores.append([*errors, content])
    means: list[float] = np.mean(scores, axis=0).tolist()
    return means


@torch.no_grad()
def _grams(network: LossNetwork, picture: Tensor, scale: float) -> list[Tensor]:
    activations = network(_shrunk(picture, scale), _STYLE_LAYERS)
    return [gram_matrix(each) for each in activations.values()]


@torch.no_grad()
def _content(network: LossNetwork, picture: Tensor) -> Tensor:
    return network(_shrunk(picture, SCALES[1]), (_CONTENT_LAYER,))[_CONTENT_LAYER]


def _shrunk(picture: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return picture
    return functional.interpolate(
        picture, scale_factor=scale, mode="bilinear", antialias=True, align_corners=False
    )


def _relative_error(ours: Tensor, target: Tensor) -> float:
    return ((ours - target).square().sum() / target.square().sum()).item()


def _row(name: str, scores: list[float]) -> dict[str, object]:
    full, half, quarter, content = (round(score, 3) for score in scores)
    total = round(sum(scores[:3]), 3)
    sizes = {"full": full, "half": half, "quarter": quarter}
    return {"style": f"`{name}`", **sizes, "sum": total, "content": content}


if __name__ == "__main__":
    main()
