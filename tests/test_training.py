from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch

from nst_core.errors import InputError, TrainingFailed
from nst_core.loss_network import LossNetworkWeights
from nst_core.objective import PerceptualObjective
from nst_core.settings import ObjectiveSettings, TrainingSettings
from nst_core.training import GeneratorTrainer, learning_rate_at
from nst_core.transformer_net import TransformerNet


def _trainer(weights: LossNetworkWeights, **settings: float) -> GeneratorTrainer:
    torch.manual_seed(1)
    objective = PerceptualObjective(weights, torch.rand(1, 3, 48, 48), ObjectiveSettings())
    chosen = TrainingSettings(**{"steps": 12, "image_size": 32, **settings})  # type: ignore[arg-type]
    return GeneratorTrainer(TransformerNet(4), objective, chosen, device=torch.device("cpu"))


def _batch(step: int) -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(step))


def test_the_objective_falls(vgg19: LossNetworkWeights) -> None:
    trainer = _trainer(vgg19, learning_rate=1e-2)
    losses = [trainer.step(_batch(0)).total.item() for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]


def test_going_on_from_a_state_equals_never_having_stopped(vgg19: LossNetworkWeights) -> None:
    undisturbed = _trainer(vgg19)
    for step in range(3):
        undisturbed.step(_batch(step))
    state = copy.deepcopy(undisturbed.state_dict())
    expected = [undisturbed.step(_batch(step)).total.item() for step in range(3, 6)]
    resumed = _trainer(vgg19)
    resumed.load_state_dict(state)
    assert resumed.steps_done == 3
    assert [resumed.step(_batch(step)).total.item() for step in range(3, 6)] == expected


def test_bfloat16_stays_near_float32(vgg19: LossNetworkWeights) -> None:
    mixed = _trainer(vgg19).step(_batch(0)).as_floats()
    exact = _trainer(vgg19, mixed_precision=False).step(_batch(0)).as_floats()
    for name in ("content", "style", "total"):
        assert mixed[name] == pytest.approx(exact[name], rel=0.05)


def test_an_objective_that_is_no_number_stops_with_advice(vgg19: LossNetworkWeights) -> None:
    trainer = _trainer(vgg19)
    with torch.no_grad():
        next(trainer.generator.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingFailed, match="--learning-rate"):
        trainer.step(_batch(0))


def test_the_learning_rate_warms_up_and_ends_low() -> None:
    settings = TrainingSettings(steps=1000, learning_rate=1e-3, warmup_steps=20, final_rate=0.05)
    rates = [learning_rate_at(step, settings) for step in range(1000)]
    assert rates[0] == pytest.approx(1e-3 / 20)
    assert max(rates) == pytest.approx(1e-3)
    assert rates.index(max(rates)) in (19, 20)
    assert rates[-1] == pytest.approx(0.05e-3, rel=0.01)
    assert all(after < before for before, after in pairwise(rates[20:]))


@pytest.mark.parametrize(
    ("field", "value"),
    [("steps", 0), ("batch_size", 0), ("image_size", 8), ("learning_rate", 0), ("seed", -1)],
)
def test_impossible_settings_are_refused(field: str, value: float) -> None:
    with pytest.raises(InputError, match=field):
        TrainingSettings(**{field: value})  # type: ignore[arg-type]
