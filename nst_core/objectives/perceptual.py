"""The perceptual objective: what a generator is trained to lower, composed of named parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from nst_core.objectives.lattice import lattice_loss
from nst_core.objectives.layers import content_terms, style_terms
from nst_core.objectives.loss_network import LossNetwork
from nst_core.objectives.losses import (
    channel_means,
    gram_matrix,
    summed_variation,
    total_variation,
    unit_gradient,
)
from nst_core.objectives.palette import color_moments, palette_loss
from nst_core.objectives.settings import LayerTerm, ObjectiveSettings
from nst_core.objectives.shading import shading_loss
from nst_core.objectives.style_loss import StyleLoss, content_errors
from nst_core.objectives.weights.reading import LossNetworkWeights

_BESIDE_PADDING = (0, 2, 1, 1, 1)
"""Positions at each border, by block of the loss network, in which its padding shows."""

Features = dict[tuple[str, float], Tensor]
"""Activations by layer and scale."""


@dataclass(frozen=True)
class Losses:
    """The terms of the objective, each before its weight, and their weighted total: scalars."""

    content: Tensor
    style: Tensor
    tv: Tensor
    total: Tensor
    content_of_each: Tensor | None = None
    """The content term of each picture, N; None where there is no content."""

    def as_floats(self) -> dict[str, float]:
        """Plain numbers by name, for records."""
        return {name: getattr(self, name).item() for name in ("content", "style", "tv", "total")}

    def detached(self) -> Losses:
        """Return the same numbers without their graph."""
        terms = {name: term.detach() for name, term in vars(self).items() if term is not None}
        return replace(self, **terms)


class PerceptualObjective(nn.Module):
    """Content, style, total-variation, lattice, shading and palette loss of pictures.

    ``style_images`` are one or several of 1 x 3 x H x W in [0, 1], of any sizes; what is wanted of
    their activations is computed once, here. A batch says by its styles' numbers which picture is
    to have which. With a content weight of 0 (textures) the content is not looked at.
    Raises LossNetworkError for layers that the network or the weights do not have.
    """

    def __init__(
        self,
        weights: LossNetworkWeights,
        style_images: Tensor | Sequence[Tensor],
        settings: ObjectiveSettings,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.style_terms = style_terms(weights.name, settings)
        self.content_terms = content_terms(weights.name, settings)
        self._terms = (*self.style_terms, *self.content_terms)
        layers = dict.fromkeys(term.layer for term in self._terms)
        self.network = LossNetwork(weights, layers, settings.pooling)
        self._usual: dict[tuple[str, float], Tensor] = {}
        images = [style_images] if isinstance(style_images, Tensor) else style_images
        self.number_of_styles = len(images)
        statistics = [settings.statistic_of(number) for number in range(len(images))]
        with torch.no_grad():
            # One after the other: the activations themselves are large.
            seen = [self._style_of(image) for image in images]
            colors = [color_moments(image) for image in images]
        means, products = (torch.cat(each) for each in zip(*colors, strict=True))
        self.color_means: Tensor
        self.color_products: Tensor
        self.register_buffer("color_means", means, persistent=False)
        self.register_buffer("color_products", products, persistent=False)
        self.style_losses = nn.ModuleList(
            StyleLoss(torch.cat(grams), settings.scaling, torch.cat(means), statistics)
            for grams, means in (zip(*of_term, strict=True) for of_term in zip(*seen, strict=True))
        )

    def _style_of(self, image: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Gram matrix and mean of a style image at each of the style terms."""
        found: dict[tuple[str, float], tuple[Tensor, Tensor]] = {}
        for scale in _scales(self.style_terms):
            terms = [term for term in self.style_terms if term.scale == scale]
            for key, activations in self._features(image, terms).items():
                found[key] = gram_matrix(activations), channel_means(activations)
        return [found[term.layer, term.scale] for term in self.style_terms]

    def forward(
        self,
        stylized: Tensor,
        content: Tensor,
        styles: Tensor | None = None,
        *,
        style_factors: Tensor | None = None,
    ) -> Losses:
        """Losses of N x 3 x H x W stylized pictures against their contents, both in [0, 1].

        ``styles`` has the number of each picture's style, N integers; None: the first, for all.
        ``style_factors`` (N) multiply the style weight of each picture. All of a picture is looked
        at, in training too: the Gram matrix of a window is a poor estimate of the picture's, and
        the squared error of a poor estimate is least with little contrast.
        """
        target = self.content_target(content)
        losses = self.against(stylized, target, styles, style_factors=style_factors)
        total = losses.total
        if self.settings.lattice_weight:
            total = total + self.settings.lattice_weight * lattice_loss(stylized)
        if self.settings.shading_weight:
            total = total + self.settings.shading_weight * shading_loss(stylized, content)
        if self.settings.palette_weight:
            rows = slice(0, 1) if styles is None else styles
            wanted = self.color_means[rows], self.color_products[rows]
            total = total + self.settings.palette_weight * palette_loss(stylized, wanted)
        return replace(losses, total=total)

    def content_target(self, content: Tensor) -> Features:
        """Activations of N x 3 x H x W contents at the content layers; none with a weight of 0."""
        with torch.no_grad():
            features = self._features(content, self.content_terms)
        return {key: activations.float() for key, activations in features.items()}

    def relate_contents_to(self, usual: Tensor) -> None:
        """Divide content errors by the mean square of N ``usual`` contents, not by each one's own.

        For trainings with balanced weights. Smooth crops then count for less, as in Johnson et
        al.'s absolute errors: what is flat in the photograph is painted too.
        """
        target = self.content_target(usual)
        self._usual = {key: wanted.square().mean() for key, wanted in target.items()}

    def against(
        self,
        stylized: Tensor,
        target: Features,
        styles: Tensor | None = None,
        *,
        style_factors: Tensor | None = None,
    ) -> Losses:
        """Losses of N x 3 x H x W stylized pictures against their contents' ``content_target``.

        Lattice, shading and palette loss, which are of generators, are not among them.
        """
        if styles is None:
            styles = torch.zeros(len(stylized), dtype=torch.long, device=stylized.device)
        features = self.features(stylized)
        content_each = stylized.new_zeros(len(stylized), dtype=torch.float32)
        for term in self.content_terms:
            key = term.layer, term.scale
            usual = self._usual.get(key)
            error = content_errors(features[key], target[key], self.settings.scaling, usual)
            content_each = content_each + term.weight * self._pull(error, features[key])
        style_each = self.style_errors(features, styles)
        tv_loss = self._variation(stylized)
        weighted = style_each if style_factors is None else style_factors * style_each
        total = (
            self.settings.content_weight * content_each.mean()
            + self.settings.style_weight * weighted.mean()
            + self.settings.tv_weight * tv_loss
        )
        each = content_each if self.content_terms else None
        return Losses(content_each.mean(), style_each.mean(), tv_loss, total, each)

    @property
    def least_side(self) -> int:
        """Pixels at a picture's shorter side of which the deepest layer sees one at its scale."""
        return max(math.ceil((1 << int(t.layer[len("relu")]) - 1) / t.scale) for t in self._terms)

    def features(self, pictures: Tensor) -> Features:
        """Activations of N x 3 x H x W pictures in [0, 1], at all layers and scales."""
        return self._features(pictures, self._terms)

    def style_errors(self, features: Features, styles: Tensor) -> Tensor:
        """Style loss of each picture, N, from ``features`` and the numbers of its style.

        S x N of both where each has S.
        """
        losses = []
        for term, loss in zip(self.style_terms, self.style_losses, strict=True):
            seen = features[term.layer, term.scale]
            losses.append(term.weight * self._pull(loss(seen, styles), seen))
        style_each = torch.stack(losses).sum(dim=0)
        if self.settings.scaling in ("relative", "gatys"):  # the layers' weighted mean
            style_each = style_each / sum(term.weight for term in self.style_terms)
        return style_each

    def _pull(self, errors: Tensor, features: Tensor) -> Tensor:
        return unit_gradient(errors, features) if self.settings.normalized_gradients else errors

    def _variation(self, pictures: Tensor) -> Tensor:
        if self.settings.scaling == "paper":
            return summed_variation(pictures)
        if self.settings.scaling == "authors":  # their gradient is that of half the sum
            return 0.5 * summed_variation(pictures)
        return total_variation(pictures)

    def _features(self, pictures: Tensor, terms: Sequence[LayerTerm]) -> Features:
        """Activations that the terms look at."""
        features: Features = {}
        for scale in _scales(terms):
            layers = tuple(term.layer for term in terms if term.scale == scale)
            for layer, activations in self.network(_shrunk(pictures, scale), layers).items():
                features[layer, scale] = self._inside(layer, activations)
        return features

    def _inside(self, layer: str, activations: Tensor) -> Tensor:
        """Leave out the positions beside the loss network's padding; the papers do not.

        Zeros are grey to it: generators that are judged by such positions learn grey borders.
        """
        cut = _BESIDE_PADDING[int(layer[len("relu")]) - 1]
        if not cut or self.settings.scaling != "relative" or min(activations.shape[-2:]) <= 4 * cut:
            return activations
        return activations[..., cut:-cut, cut:-cut]


def _scales(terms: Sequence[LayerTerm]) -> tuple[float, ...]:
    return tuple(dict.fromkeys(term.scale for term in terms))


def _shrunk(pictures: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return pictures
    is_last = pictures.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if is_last else torch.contiguous_format
    small = functional.interpolate(
        pictures.float(), scale_factor=scale, mode="bilinear", antialias=True, align_corners=False
    )
    return small.contiguous(memory_format=layout)


class FixedContentObjective(nn.Module):
    """A perceptual objective for one content, which is then not computed at every iteration."""

    def __init__(self, objective: PerceptualObjective, content: Tensor) -> None:
        super().__init__()
        self._objective = objective
        self._target = objective.content_target(content)

    def forward(self, stylized: Tensor, content: Tensor) -> Losses:
        """Losses of 1 x 3 x H x W in [0, 1]; ``content`` is the one that is known already."""
        return self._objective.against(stylized, self._target)
