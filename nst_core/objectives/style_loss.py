"""Style and content loss at one layer of the loss network, for each picture of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nst_core.objectives.losses import (
    channel_means,
    feature_errors,
    gram_matrix,
    style_reconstruction_losses,
)
from nst_core.objectives.settings import Scaling, StyleStatistic


class StyleLoss(nn.Module):
    """Style reconstruction at one layer; holds what the style images' activations come to.

    ``grams`` is S x C x C; ``means`` (S x C) those of the channels, divided by C as a Gram matrix
    is, where a style's ``statistics`` is ``mean-covariance``.
    """

    target: Tensor
    scale: Tensor
    means: Tensor
    mean_scale: Tensor
    by_covariance: Tensor

    def __init__(
        self,
        grams: Tensor,
        scaling: Scaling,
        means: Tensor | None = None,
        statistics: Sequence[StyleStatistic] = ("gram",),
    ) -> None:
        super().__init__()
        channels = grams.shape[-1]
        means = grams.new_zeros(len(grams), channels) if means is None else means
        chosen = [statistic == "mean-covariance" for statistic in statistics]
        self._any_covariance = any(chosen)
        by_covariance = torch.tensor(chosen, device=grams.device).expand(len(grams))
        self.register_buffer("by_covariance", by_covariance.float())
        target = grams - self._outer(means) * self.by_covariance[:, None, None]
        self.register_buffer("target", target)
        self.register_buffer("means", means)
        mean_scale = 1.0 / means.square().sum(dim=1).clamp_min(1e-12)
        self.register_buffer("mean_scale", mean_scale * self.by_covariance)
        one = target.new_ones(len(target))
        scales = {
            "relative": 1.0 / target.square().sum(dim=(1, 2)).clamp_min(1e-12),
            "paper": one,
            "authors": one / channels**2,
            "plain": one,  # and times (C M)^2, with the M of the picture: see forward
            "gatys": 0.25 * one,  # 1/(4 C^2 M^2) of F F^T is 1/4 of F F^T / (C M), M = H W
        }
        self.register_buffer("scale", scales[scaling])
        self._is_plain = scaling == "plain"

    def forward(self, features: Tensor, styles: Tensor) -> Tensor:
        """N losses for features of N x C x H x W and the numbers of their styles.

        Or S x N losses, for S styles of each.
        """
        gram = gram_matrix(features)
        if not self._any_covariance:
            losses = style_reconstruction_losses(gram, self.target[styles])
            return self.scale[styles] * losses * (features[0].numel() ** 2 if self._is_plain else 1)
        means = channel_means(features)
        covariance = gram - self._outer(means) * self.by_covariance[styles][..., None, None]
        losses = style_reconstruction_losses(covariance, self.target[styles])
        mean_losses = (means - self.means[styles]).square().sum(dim=-1)
        return self.scale[styles] * losses + self.mean_scale[styles] * mean_losses

    @staticmethod
    def _outer(means: Tensor) -> Tensor:
        """What the channels' means add to a Gram matrix / (C H W): N x C to N x C x C."""
        return means.shape[-1] * means[:, :, None] * means[:, None, :]


def content_errors(
    features: Tensor, target: Tensor, scaling: Scaling, mean_square: Tensor | None = None
) -> Tensor:
    """Feature reconstruction at one layer: N losses for N x C x H x W features and target.

    Relative errors are divided by ``mean_square``, or by each target's own: it must not matter
    which pictures are together.
    """
    errors = feature_errors(features, target)
    if scaling == "relative":
        if mean_square is None:
            mean_square = target.float().square().mean(dim=(1, 2, 3))
        return errors / mean_square.clamp_min(1e-12)
    if scaling in ("gatys", "plain"):
        return errors * (target[0].numel() * (0.5 if scaling == "gatys" else 1.0))
    return errors
