from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from nst_core.errors import TrainingFailed
from nst_core.loss_network import LossNetworkWeights
from nst_core.objective import Losses, PerceptualObjective
from nst_core.optimization import Iterate, initial_picture, optimize_picture
from nst_core.settings import ObjectiveSettings


class _Distance(nn.Module):
    """Squared distance to a picture that lies partly outside of [0, 1]."""

    def __init__(self, goal: Tensor) -> None:
        super().__init__()
        self.goal = goal

    def forward(self, image: Tensor, content: Tensor) -> Losses:
        zero = image.new_zeros(())
        distance = (image - self.goal).square().sum()
        return Losses(distance, zero, zero, distance)


def test_the_pixels_stay_in_range_and_reach_the_optimum_there() -> None:
    goal = torch.rand(1, 3, 8, 8) * 2 - 0.5
    iterates: list[Iterate] = []
    start = torch.full_like(goal, 0.5)
    last = optimize_picture(_Distance(goal), start, iterations=20, on_iterate=iterates.append)
    assert [iterate.iteration for iterate in iterates] == list(range(len(iterates)))
    assert last is iterates[-1]
    torch.testing.assert_close(iterates[-1].image, goal.clamp(0, 1), rtol=0, atol=1e-3)
    assert all(i.image.min() >= 0 and i.image.max() <= 1 for i in iterates)


def test_each_iterate_has_the_losses_of_its_own_picture(vgg19: LossNetworkWeights) -> None:
    torch.manual_seed(0)
    objective = PerceptualObjective(vgg19, torch.rand(1, 3, 40, 40), ObjectiveSettings())
    content = torch.rand(1, 3, 32, 48)
    iterates: list[Iterate] = []
    optimize_picture(objective, content, iterations=8, on_iterate=iterates.append)
    assert len(iterates) == 9
    torch.testing.assert_close(iterates[0].image, content)
    with torch.no_grad():
        for iterate in iterates:
            again = objective(iterate.image, content).total
            torch.testing.assert_close(iterate.losses.total, again, rtol=1e-4, atol=1e-7)
    assert iterates[-1].losses.total < 0.9 * iterates[0].losses.total
    assert all(a.seconds <= b.seconds for a, b in pairwise(iterates))


def test_noise_is_the_seeds_and_content_is_a_copy() -> None:
    content = torch.rand(1, 3, 16, 16)
    a, b, c = (initial_picture(content, "noise", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.allclose(a, c)
    start = initial_picture(content, "content")
    assert torch.equal(start, content)
    assert start is not content


def test_an_infinite_objective_is_told() -> None:
    goal = torch.full((1, 3, 8, 8), float("nan"))
    with pytest.raises(TrainingFailed, match="style-weight"):
        optimize_picture(_Distance(goal), torch.rand(1, 3, 8, 8), iterations=2)
