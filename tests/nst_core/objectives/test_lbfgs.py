from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from nst_core.errors import TrainingFailed
from nst_core.objectives.lbfgs import Iterate, noise_like, optimize_picture
from nst_core.objectives.perceptual import Losses, PerceptualObjective
from nst_core.objectives.settings import ObjectiveSettings
from nst_core.objectives.weights.reading import LossNetworkWeights


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
    best = optimize_picture(
        _Distance(goal), start, start, iterations=20, on_iterate=iterates.append
    )
    assert [iterate.iteration for iterate in iterates] == list(range(21))
    assert best.total == min(iterate.total for iterate in iterates)
    torch.testing.assert_close(best.image, goal.clamp(0, 1), rtol=0, atol=1e-3)
    assert all(i.image.min() >= 0 and i.image.max() <= 1 for i in iterates)
    assert torch.equal(start, torch.full_like(goal, 0.5)), "it is the caller's own"


class _Rosenbrock(nn.Module):
    """A curved valley over pairs of pixels, whose lowest point is where both are ``low``."""

    def __init__(self, unit: float, low: float) -> None:
        super().__init__()
        self.unit, self.low = unit, low

    def forward(self, image: Tensor, content: Tensor) -> Losses:
        x, y = (image / self.low).flatten().view(2, -1)
        total = self.unit * ((1 - x).square() + 100 * (y - x.square()).square()).sum()
        zero = image.new_zeros(())
        return Losses(total, zero, zero, total)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_curvature_is_learnt_whatever_the_weights_are(unit: float) -> None:
    """Gradient descent would still be at 1e-2 of the start in that valley."""
    start = torch.full((1, 3, 4, 4), 0.2)
    best = optimize_picture(_Rosenbrock(unit, 0.5), start, start, iterations=100)
    first = _Rosenbrock(unit, 0.5)(start, start).total.item()
    assert best.total < 1e-6 * first


def test_the_picture_where_the_objective_is_lowest_is_returned() -> None:
    """A step of full length may overshoot."""

    class Rises(nn.Module):
        calls = 0

        def forward(self, image: Tensor, content: Tensor) -> Losses:
            self.calls += 1
            total = image.sum() * 0 + abs(self.calls - 3)
            return Losses(total, total, total, total)

    best = optimize_picture(Rises(), torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), iterations=5)
    assert (best.iteration, best.total) == (2, 0)


def test_each_iterate_has_the_losses_of_its_own_picture(vgg19: LossNetworkWeights) -> None:
    torch.manual_seed(0)
    objective = PerceptualObjective(vgg19, torch.rand(1, 3, 40, 40), ObjectiveSettings())
    content = torch.rand(1, 3, 32, 48)
    iterates: list[Iterate] = []
    optimize_picture(objective, content, content, iterations=8, on_iterate=iterates.append)
    assert len(iterates) == 9
    torch.testing.assert_close(iterates[0].image, content)
    with torch.no_grad():
        for iterate in iterates:
            again = objective(iterate.image, content).total
            torch.testing.assert_close(iterate.losses.total, again, rtol=1e-4, atol=1e-7)
    assert iterates[-1].total < 0.9 * iterates[0].total
    assert all(a.seconds <= b.seconds for a, b in pairwise(iterates))


def test_noise_is_the_seeds() -> None:
    content = torch.rand(1, 3, 16, 16)
    a, b, c = (noise_like(content, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.allclose(a, c)


def test_an_infinite_objective_is_told() -> None:
    goal = torch.full((1, 3, 8, 8), float("nan"))
    with pytest.raises(TrainingFailed, match="style-weight"):
        optimize_picture(
            _Distance(goal), torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), iterations=2
        )
