"""What a super-resolution network is trained to lower (Johnson et al. 2016, section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nst_core.objectives.loss_network import LossNetwork
from nst_core.objectives.losses import feature_reconstruction_loss, total_variation
from nst_core.objectives.perceptual import Losses
from nst_core.objectives.settings import ReconstructionSettings
from nst_core.objectives.weights.reading import LossNetworkWeights

FEATURE_LAYER = "relu2_2"


class ReconstructionObjective(nn.Module):
    """Feature or pixel loss of enlarged pictures against the high-resolution originals.

    ``weights`` are those of the loss network; the pixel loss needs none. The loss is reported as
    ``content``. Raises LossNetworkError for weights that do not fit.
    """

    def __init__(
        self, weights: LossNetworkWeights | None, settings: ReconstructionSettings
    ) -> None:
        super().__init__()
        self.settings = settings
        self.network: LossNetwork | None = None
        if settings.loss == "feature":
            if weights is None:
                raise ValueError("the feature loss needs the weights of a loss network")
            self.network = LossNetwork(weights, (FEATURE_LAYER,))

    def forward(self, output: Tensor, original: Tensor, *_: object, **__: object) -> Losses:
        """Losses of N x 3 x H x W pictures against originals of the same shape, in [0, 1].

        Styles, and what else a ``PerceptualObjective`` is told, are of no matter here.
        """
        loss = feature_reconstruction_loss(self._features(output), self._target(original))
        tv = total_variation(output)
        return Losses(loss, loss.new_zeros(()), tv, loss + self.settings.tv_weight * tv)

    def _target(self, original: Tensor) -> Tensor:
        with torch.no_grad():
            return self._features(original)

    def _features(self, image: Tensor) -> Tensor:
        """The pixels themselves are the features of the pixel loss."""
        if self.network is None:
            return image
        features: Tensor = self.network(image)[FEATURE_LAYER]
        return features
