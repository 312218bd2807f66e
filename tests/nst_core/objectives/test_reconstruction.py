from __future__ import annotations

import pytest
import torch

from nst_core.errors import InputError
from nst_core.objectives.perceptual import Losses
from nst_core.objectives.reconstruction import ReconstructionObjective
from nst_core.objectives.settings import ReconstructionSettings
from nst_core.objectives.weights.reading import LossNetworkWeights


def test_the_pixel_loss_is_the_mean_squared_difference() -> None:
    a, b = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    losses = ReconstructionObjective(None, ReconstructionSettings("pixel"))(a, b)
    torch.testing.assert_close(losses.total, (a - b).square().mean())
    assert losses.style == 0


def test_the_feature_loss_is_taken_at_relu2_2(vgg19: LossNetworkWeights) -> None:
    objective = ReconstructionObjective(vgg19, ReconstructionSettings("feature", tv_weight=0.5))
    assert objective.network is not None
    a, b = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    losses: Losses = objective(a, b)
    ours, theirs = (objective.network(image)["relu2_2"] for image in (a, b))
    assert ours.shape == (2, 128, 8, 8)
    torch.testing.assert_close(losses.content, (ours - theirs).square().mean())
    torch.testing.assert_close(losses.total, losses.content + 0.5 * losses.tv)
    assert objective(a, a).content == 0


def test_the_feature_loss_needs_a_loss_network() -> None:
    with pytest.raises(ValueError, match="weights"):
        ReconstructionObjective(None, ReconstructionSettings("feature"))


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(InputError, match="--tv-weight"):
        ReconstructionSettings(tv_weight=-1)
