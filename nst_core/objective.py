"""The perceptual objective: what a generator is trained to lower, composed of named parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nst_core.loss_network import LossNetwork, LossNetworkName, LossNetworkWeights
from nst_core.losses import (
    feature_reconstruction_loss,
    gram_matrix,
    style_reconstruction_losses,
    total_variation,
)
from nst_core.settings import ObjectiveSettings, Scaling

STYLE_LAYERS: Mapping[LossNetworkName, tuple[str, ...]] = {
    "vgg16": ("relu1_2", "relu2_2", "relu3_3", "relu4_3"),  # Johnson et al., section 4.1
    "vgg19": ("relu1_1", "relu2_1", "relu3_1", "relu4_1"),  # Ulyanov et al. 2017
}
CONTENT_LAYER: Mapping[LossNetworkName, str] = {"vgg16": "relu3_3", "vgg19": "relu4_2"}


def layers_of(name: LossNetworkName, settings: ObjectiveSettings) -> tuple[tuple[str, ...], str]:
    """Style layers and content layer of an objective."""
    style_layers = settings.style_layers or STYLE_LAYERS[name]
    return tuple(style_layers), settings.content_layer or CONTENT_LAYER[name]


@dataclass(frozen=True)
class Losses:
    """The terms of the objective, each before its weight, and their weighted total: scalars."""

    content: Tensor
    style: Tensor
    tv: Tensor
    total: Tensor

    def as_floats(self) -> dict[str, float]:
        """Plain numbers by name, for records."""
        return {name: value.item() for name, value in vars(self).items()}


class StyleLoss(nn.Module):
    """Style reconstruction at one layer; holds the style images' Gram matrices, S x C x C."""

    target: Tensor
    scale: Tensor

    def __init__(self, target: Tensor, scaling: Scaling) -> None:
        super().__init__()
        self.register_buffer("target", target)
        channels = target.shape[-1]
        one = target.new_ones(len(target))
        scales = {
            "relative": 1.0 / target.square().sum(dim=(1, 2)).clamp_min(1e-12),
            "paper": one,
            "authors": one / channels**2,
            "gatys": 0.25 * one,  # 1/(4 C^2 M^2) of F F^T is 1/4 of F F^T / (C M), M = H W
        }
        self.register_buffer("scale", scales[scaling])

    def forward(self, features: Tensor, styles: Tensor) -> Tensor:
        """Scalar for features of N x C x H x W and the numbers of their styles."""
        losses = style_reconstruction_losses(gram_matrix(features), self.target[styles])
        return (self.scale[styles] * losses).mean()


class ContentLoss(nn.Module):
    """Feature reconstruction at one layer."""

    def __init__(self, scaling: Scaling) -> None:
        super().__init__()
        self.scaling = scaling

    def forward(self, features: Tensor, target: Tensor) -> Tensor:
        """Scalar for features and target of N x C x H x W."""
        if self.scaling == "relative":  # for each picture: it must not matter which are together
            errors = (features.float() - target.float()).square().mean(dim=(1, 2, 3))
            return (errors / target.float().square().mean(dim=(1, 2, 3)).clamp_min(1e-12)).mean()
        loss = feature_reconstruction_loss(features, target)
        if self.scaling == "gatys":
            return loss * (0.5 * target[0].numel())
        return loss


class PerceptualObjective(nn.Module):
    """Content, style and total-variation loss of stylized pictures, seen by the loss network.

    ``style_images`` are one or several of 1 x 3 x H x W in [0, 1], of any sizes; their Gram
    matrices are computed once, here. A batch says by its styles' numbers which picture is to have
    which. With a content weight of 0 (textures) the content is not looked at.
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
        style_layers, self.content_layer = layers_of(weights.name, settings)
        content_layers = [self.content_layer] if settings.content_weight else []
        self.network = LossNetwork(weights, (*style_layers, *content_layers))
        self.content_loss = ContentLoss(settings.scaling)
        images = [style_images] if isinstance(style_images, Tensor) else style_images
        with torch.no_grad():
            seen = [self.network(image) for image in images]
            self.style_losses = nn.ModuleDict(
                {
                    layer: StyleLoss(
                        torch.cat([gram_matrix(features[layer]) for features in seen]),
                        settings.scaling,
                    )
                    for layer in style_layers
                }
            )

    def forward(self, stylized: Tensor, content: Tensor, styles: Tensor | None = None) -> Losses:
        """Losses of N x 3 x H x W stylized pictures against their contents, both in [0, 1].

        ``styles`` has the number of each picture's style, N integers; None: the first, for all.
        """
        return self.against(stylized, self.content_target(content), styles)

    def content_target(self, content: Tensor) -> Tensor | None:
        """Activations of N x 3 x H x W contents at the content layer; None with a weight of 0."""
        if not self.settings.content_weight:
            return None
        with torch.no_grad():
            target: Tensor = self.network(content)[self.content_layer].float()
        return target

    def against(
        self, stylized: Tensor, target: Tensor | None, styles: Tensor | None = None
    ) -> Losses:
        """Losses of N x 3 x H x W stylized pictures against their contents' ``content_target``."""
        if styles is None:
            styles = torch.zeros(len(stylized), dtype=torch.long, device=stylized.device)
        features = self.network(stylized)
        content_loss = stylized.new_zeros(())
        if target is not None:
            content_loss = self.content_loss(features[self.content_layer], target)
        style_loss = torch.stack(
            [loss(features[layer], styles) for layer, loss in self.style_losses.items()]
        ).sum()
        if self.settings.scaling in ("relative", "gatys"):
            style_loss = style_loss / len(self.style_losses)
        tv_loss = total_variation(stylized)
        total = (
            self.settings.content_weight * content_loss
            + self.settings.style_weight * style_loss
            + self.settings.tv_weight * tv_loss
        )
        return Losses(content_loss, style_loss, tv_loss, total)


class OneContent(nn.Module):
    """A perceptual objective for one content, which is then not computed at every iteration."""

    def __init__(self, objective: PerceptualObjective, content: Tensor) -> None:
        super().__init__()
        self._objective = objective
        self._target = objective.content_target(content)

    def forward(self, stylized: Tensor, content: Tensor) -> Losses:
        """Losses of 1 x 3 x H x W in [0, 1]; ``content`` is the one that is known already."""
        return self._objective.against(stylized, self._target)
