"""Which layers of the loss network an objective looks at, at which scales, with which weights.

Light to import: no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from nst_core.errors import InputError
from nst_core.objectives.settings import LayerTerm, LossNetworkName, ObjectiveSettings
from nst_core.wording import did_you_mean

STYLE_LAYERS: Mapping[LossNetworkName, tuple[str, ...]] = {
    "vgg16": ("relu1_2", "relu2_2", "relu3_3", "relu4_3"),  # Johnson et al., section 4.1
    "vgg19": ("relu1_1", "relu2_1", "relu3_1", "relu4_1"),  # Ulyanov et al. 2017
}
CONTENT_LAYER: Mapping[LossNetworkName, str] = {"vgg16": "relu3_3", "vgg19": "relu4_2"}
"""relu3_3 is of Johnson et al.'s code."""
PAPERS_CONTENT_LAYER = "relu2_2"
"""That of VGG-16 in their paper."""

CONVOLUTIONS: Mapping[LossNetworkName, tuple[int, ...]] = {
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
"""Number of convolutions in each block; behind each is a layer, relu1_1 and so on."""
KEPT_LAYER: Mapping[LossNetworkName, str] = {"vgg16": "relu4_3", "vgg19": "relu4_2"}
"""The deepest layer that objectives look at by default: weights are kept up to there."""

_BOLD_WEIGHTS: Mapping[float, tuple[float, ...]] = {
    1.0: (1.0, 1.0, 1.0, 1.0),
    0.5: (1.0, 1.0, 1.0, 1.0),
    0.25: (0.0, 0.0, 0.5, 0.5),
}
"""Weights of the style layers at each scale, found by looking. At half size a layer spans twice as
much of the picture: strokes instead of grain. The deepest layer at full size makes a step a third
dearer, and strokes of the finest grain."""
_BOLD_CONTENT_SCALE = 0.5


def activation_indices(name: LossNetworkName) -> dict[str, int]:
    """Index within torchvision's ``features`` of every ReLU: ``{"relu1_1": 1, ...}``."""
    indices: dict[str, int] = {}
    index = 0
    for block, convs in enumerate(CONVOLUTIONS[name], start=1):
        for conv in range(1, convs + 1):
            indices[f"relu{block}_{conv}"] = index + 1
            index += 2
        index += 1  # the block's pooling
    return indices


def convolution_keys(name: LossNetworkName, layers: Iterable[str] | None = None) -> set[str]:
    """Names of the weights of all convolutions, or of those that ``layers`` need.

    Layers that the network does not have are left out.
    """
    indices = activation_indices(name)
    wanted = indices if layers is None else layers
    deepest = max((indices.get(layer, 0) for layer in wanted), default=0)
    return {f"features.{index - 1}.weight" for index in indices.values() if index <= deepest}


def layers_of(name: LossNetworkName, settings: ObjectiveSettings) -> set[str]:
    """Return the layers that an objective looks at. Raises InputError."""
    terms = (*style_terms(name, settings), *content_terms(name, settings))
    return {term.layer for term in terms}


def style_terms(name: LossNetworkName, settings: ObjectiveSettings) -> tuple[LayerTerm, ...]:
    """Style layers of an objective. Raises InputError."""
    return _terms(name, settings.style_layers or STYLE_LAYERS[name], settings, "--style-layers")


def content_terms(name: LossNetworkName, settings: ObjectiveSettings) -> tuple[LayerTerm, ...]:
    """Content layers of an objective; none with a content weight of 0. Raises InputError."""
    if not settings.content_weight:
        return ()
    usual = CONTENT_LAYER[name]
    if name == "vgg16" and settings.scaling == "paper":
        usual = PAPERS_CONTENT_LAYER
    return _terms(name, settings.content_layers or (usual,), settings, "--content-layers")


def bold_objective(name: LossNetworkName, settings: ObjectiveSettings) -> ObjectiveSettings:
    """Fill in the layers and scales that bold pictures are trained with.

    Settings that ask for scales, for style layers or for a paper's scaling are returned as they
    are.
    """
    if settings.scaling != "relative" or settings.scales or settings.style_layers:
        return settings
    layers = tuple(
        f"{layer}@{scale:g}={weight:g}"
        for scale, weights in _BOLD_WEIGHTS.items()
        for layer, weight in zip(STYLE_LAYERS[name], weights, strict=True)
        if weight
    )
    content = settings.content_layers or (f"{CONTENT_LAYER[name]}@{_BOLD_CONTENT_SCALE:g}",)
    return replace(settings, style_layers=layers, content_layers=content)


def _terms(
    name: LossNetworkName, texts: Sequence[str], settings: ObjectiveSettings, option: str
) -> tuple[LayerTerm, ...]:
    terms = [
        term for text in texts for term in LayerTerm.parse(text, settings.sizes, option=option)
    ]
    known = activation_indices(name)
    for term in terms:
        if term.layer not in known:
            raise InputError(
                f"{option} {term.layer}: {name} has no such layer"
                f"{did_you_mean(term.layer, known)}; it has {', '.join(known)}"
            )
    return tuple(term for term in terms if term.weight)
