from __future__ import annotations

import pytest
import torch

from nst_core.objectives.settings import BOLD_STYLE_WEIGHT
from nst_core.training.style_balance import BOLD_CONTENT_ERROR, StyleBalance, content_error_aimed_at

_CPU = torch.device("cpu")


def _run(balance: StyleBalance, sensitivities: torch.Tensor, steps: int = 400) -> torch.Tensor:
    """Play a training whose content errors rise with each style's factor; returns the last."""
    errors = torch.zeros_like(sensitivities)
    for _ in range(steps):
        errors = 1 - torch.exp(-sensitivities * balance.factors)
        balance.observe(2 * errors, torch.full_like(errors, 2.0))
    return errors


def test_styles_of_every_kind_come_to_the_same_content_error() -> None:
    balance = StyleBalance(3, BOLD_STYLE_WEIGHT, _CPU)
    errors = _run(balance, torch.tensor([0.4, 1.0, 3.0]))
    torch.testing.assert_close(errors, torch.full((3,), BOLD_CONTENT_ERROR), rtol=0.02, atol=0)
    factors = balance.factors.tolist()
    assert factors[0] > 2 * factors[1] > 4 * factors[2]


def test_a_higher_style_weight_is_bolder_and_a_lower_one_tamer() -> None:
    aims = [content_error_aimed_at(weight) for weight in (1, 5, 15, 30, 60)]
    assert aims == sorted(aims)
    assert aims[2] == BOLD_CONTENT_ERROR
    assert aims[1] < 0.8 * aims[2] < aims[3] < 1
    assert content_error_aimed_at(1e9) < 1


def test_a_style_that_cannot_be_balanced_keeps_a_factor_within_bounds() -> None:
    balance = StyleBalance(2, BOLD_STYLE_WEIGHT, _CPU)
    for _ in range(1000):
        balance.observe(torch.tensor([0.0, 5.0]), torch.ones(2))
    assert balance.factors.tolist() == pytest.approx([6, 1 / 6])


def test_styles_without_a_picture_in_a_step_stay_as_they_are() -> None:
    balance = StyleBalance(2, BOLD_STYLE_WEIGHT, _CPU)
    balance.observe(torch.tensor([0.9, 0.0]), torch.tensor([1.0, 0.0]))
    assert balance.factors[0] < 1
    assert balance.factors[1] == 1


def test_a_step_over_several_pictures_is_as_their_steps_one_after_the_other() -> None:
    whole, parts = (StyleBalance(1, BOLD_STYLE_WEIGHT, _CPU) for _ in range(2))
    whole.observe(torch.tensor([1.3]), torch.tensor([2.0]))
    for error in (0.9, 0.4):
        parts.observe(torch.tensor([error]), torch.tensor([1.0]))
    torch.testing.assert_close(whole.factors, parts.factors)


def test_going_on_from_a_state_keeps_the_factors() -> None:
    balance = StyleBalance(2, BOLD_STYLE_WEIGHT, _CPU)
    balance.observe(torch.tensor([0.9, 0.1]), torch.ones(2))
    other = StyleBalance(2, BOLD_STYLE_WEIGHT, _CPU)
    other.load_state_dict(balance.state_dict())
    assert torch.equal(other.factors, balance.factors)
