"""What a training lowers: plain values with their defaults, light to import."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from nst_core.checks import check_weight, option_of
from nst_core.errors import InputError

Scaling = Literal["relative", "paper", "authors", "gatys", "plain"]
LossNetworkName = Literal["vgg16", "vgg19"]
Pooling = Literal["max", "average"]
StyleStatistic = Literal["gram", "mean-covariance"]
ReconstructionLoss = Literal["feature", "pixel"]
Degradation = Literal["antialiased", "blurred"]

BOLD_STYLE_WEIGHT = 15.0
"""With balanced weights: strokes as large as the painting's, and a subject that is legible."""

LEAST_SCALE = 1 / 16
"""Smallest scale of pictures for the loss network; its deepest layers see one pixel in 16."""

GATYS_STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""Style layers of Gatys et al. 2016 and, for textures, of Ulyanov et al. 2016."""
GATYS_CONTENT_LAYER = "relu4_2"


@dataclass(frozen=True)
class LayerTerm:
    """One layer of the loss network, at one size of the picture, and its weight."""

    layer: str
    scale: float
    """Factor of the picture's sides in front of the loss network; 1: the picture as it is."""
    weight: float = 1.0

    @staticmethod
    def parse(text: str, scales: tuple[float, ...], *, option: str) -> tuple[LayerTerm, ...]:
        """Read ``relu4_1``, ``relu4_1=15`` or ``relu4_1@0.5=15``; without @, one at each scale.

        Raises InputError, which names the ``option`` that it comes from.
        """
        name, _, number = text.strip().partition("=")
        layer, at, size = name.partition("@")
        try:
            weight = float(number or 1)
            sizes = (float(size),) if at else scales
        except ValueError:
            weight, sizes = math.nan, ()
        if not (layer and sizes and 0 <= weight < math.inf):
            raise InputError(
                f"{option} {text}: a layer's name is needed, with a scale or a weight of 0 or "
                "more where they are not 1; try relu4_1, relu4_1=15 or relu4_1@0.5=15"
            )
        for scale in sizes:
            _check_scale(scale, f"{option} {text}")
        return tuple(LayerTerm(layer, scale, weight) for scale in sizes)


def _check_scale(scale: float, given: str) -> None:
    """Raise InputError for a scale at which no picture may be looked at."""
    if not LEAST_SCALE <= scale <= 1:
        raise InputError(f"{given}: a scale of {LEAST_SCALE:g} to 1 is allowed; try 1, 0.5 or 0.25")


@dataclass(frozen=True)
class ObjectiveSettings:
    """Weights of the terms, the layers and scales they look at, and how each term is scaled."""

    content_weight: float = 1.0
    style_weight: float = 5.0
    tv_weight: float = 0.0
    scaling: Scaling = "relative"
    """``relative`` (this project's): each style layer's error is divided by its target's squared
    norm, the layers are averaged by their weights, and the content error is divided by the
    content's own mean square; one pair of weights then serves every style and both scales
    (torchvision's and Caffe's) of the loss network.
    ``paper``: as Johnson et al. 2016 write them; content / (C H W), the style layers' squared
    Frobenius norms of G = F F^T / (C H W) summed; total variation a sum over pixels of 0 to 255.
    ``authors``: as Johnson et al.'s released code has them; the mean over the C^2 entries of the
    Gram difference instead of the sum, half the paper's total variation. Its weights content 1,
    style 5, total variation 1e-6 belong to this one.
    ``plain``: as Ulyanov et al. 2016 write them for pictures of one size (equations 2 to 4);
    nothing is divided: G = F F^T, squared norms summed over the layers, content the sum of squares.
    ``gatys``: as Gatys et al. 2016 write them (equations 1, 4, 5) for pictures of one size;
    content 1/2 the sum of squares, style 1/(4 C^2 (H W)^2) the squared norm of the difference of
    F F^T, the layers averaged. Their ratio content / style is 1e-3 to 1e-4."""
    content_layers: tuple[str, ...] | None = None
    """Each as ``NAME[@SCALE][=WEIGHT]``; summed. None: relu4_2 of VGG-19; of VGG-16 relu3_3
    (Johnson et al.'s code), with the scaling ``paper`` relu2_2 (their paper)."""
    style_layers: tuple[str, ...] | None = None
    """As ``content_layers``. None: relu1_2 to relu4_3 of VGG-16, relu1_1 to relu4_1 of VGG-19."""
    scales: tuple[float, ...] | None = None
    """Sizes at which the loss network sees the picture, such as 1,0.5,0.25.

    For layers that name none of their own; None: the picture's own size only."""
    statistics: tuple[StyleStatistic, ...] = ("gram",)
    """What is to be the painting's: one for all style images, or one for each.

    It is computed of a layer's activations. ``gram``: the Gram matrix (the papers).
    ``mean-covariance``: mean and covariance of the channels, which a Gram matrix adds up; for
    paintings of light more than of line."""
    lattice_weight: float = 0.0
    """Weight of the loss on patterns that repeat with the generator's strides; see lattice.py."""
    shading_weight: float = 0.0
    """Weight of the loss on light and shade that the photograph does not have; see shading.py."""
    palette_weight: float = 0.0
    """Weight of the loss on colours that are not the painting's; see palette.py."""
    normalized_gradients: bool = False
    """Divide the gradient of each term by its L1 norm, as Texture Networks do.

    At each layer: the terms then pull by their weights, whatever their errors (Ulyanov et al. 2016,
    section 4)."""
    pooling: Pooling = "max"
    """What halves pictures within the loss network; average as in Gatys et al.

    VGG was trained with ``max``; Gatys et al. 2016 (section 2) found the average to give slightly
    more appealing pictures."""
    balanced: bool = False
    """Let each style's weight find itself, so that all are equally bold; default but with a paper's
    --scaling.

    See style_balance.py; ``style_weight`` then says how bold."""

    def __post_init__(self) -> None:
        for kind in ("content", "style", "tv", "lattice", "shading", "palette"):
            name = f"{kind}_weight"
            check_weight(option_of(name), getattr(self, name))
        for scale in self.sizes:
            _check_scale(scale, f"--scales {scale:g}")
        terms = [
            term
            for option, texts in (
                ("--style-layers", self.style_layers),
                ("--content-layers", self.content_layers),
            )
            for text in texts or ()
            for term in LayerTerm.parse(text, self.sizes, option=option)
        ]
        if self.scaling != "relative":
            self._check_paper_scaling({*self.sizes, *(term.scale for term in terms)})

    @property
    def sizes(self) -> tuple[float, ...]:
        """``scales``, or the picture's own size."""
        return self.scales or (1.0,)

    def _check_paper_scaling(self, scales: set[float]) -> None:
        if scales != {1.0}:
            raise InputError(
                f"--scaling {self.scaling}: its paper looks at the picture at one scale; leave "
                "out --scales, or use --scaling relative"
            )
        if set(self.statistics) != {"gram"}:
            raise InputError(
                f"--scaling {self.scaling}: its paper has Gram matrices; leave out "
                "--style-statistic, or use --scaling relative"
            )
        if self.balanced:
            raise InputError(f"--scaling {self.scaling}: its weights are fixed, not balanced")

    def statistic_of(self, style: int) -> StyleStatistic:
        """Return the statistic of the style image with that number."""
        return self.statistics[style if len(self.statistics) > 1 else 0]


@dataclass(frozen=True)
class ReconstructionSettings:
    """What a super-resolution network is trained to lower."""

    loss: ReconstructionLoss = "feature"
    """feature: sharper to the eye; pixel: higher PSNR.

    ``feature``: the feature reconstruction loss at relu2_2 (Johnson et al. 2016, section 4.2).
    ``pixel``: the mean squared difference of the pixels, to compare with."""
    tv_weight: float = 0.0
    degradation: Degradation = "antialiased"
    """How the small pictures are made: antialiased bicubic, or blurred by a Gaussian and sampled,
    the paper's.

    See degradation.py."""

    def __post_init__(self) -> None:
        check_weight("--tv-weight", self.tv_weight)
