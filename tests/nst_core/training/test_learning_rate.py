"""Learning rates, by numbers computed by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from nst_core.training.learning_rate import learning_rate_at
from nst_core.training.settings import TrainingSettings


def test_the_warm_up_rises_in_equal_parts_to_the_rate() -> None:
    settings = TrainingSettings(steps=100, learning_rate=1e-3, warmup_steps=5, schedule="constant")
    rates = [learning_rate_at(step, settings) for step in range(6)]
    assert rates == pytest.approx([2e-4, 4e-4, 6e-4, 8e-4, 1e-3, 1e-3])


def test_a_short_training_spends_a_quarter_at_most_on_warming_up() -> None:
    settings = TrainingSettings(steps=8, learning_rate=0.1, warmup_steps=20, schedule="constant")
    rates = [learning_rate_at(step, settings) for step in range(8)]
    assert rates == pytest.approx([0.05, *[0.1] * 7])
    one = TrainingSettings(steps=1, learning_rate=0.1, schedule="constant")
    assert learning_rate_at(0, one) == 0.1


def test_a_constant_rate_stays() -> None:
    settings = TrainingSettings(
        steps=50, learning_rate=1e-3, warmup_steps=0, schedule="constant", decay_every=3
    )
    assert {learning_rate_at(step, settings) for step in range(50)} == {1e-3}


def test_a_step_schedule_multiplies_every_so_many_steps() -> None:
    # Ulyanov et al.: times 0.8 every 2000 iterations.
    settings = TrainingSettings(
        steps=7000, learning_rate=1e-2, warmup_steps=0, schedule="step", decay_every=2000
    )
    rates = {step: learning_rate_at(step, settings) for step in range(7000)}
    assert [rates[0], rates[1999]] == [1e-2, 1e-2]
    assert [rates[2000], rates[3999]] == pytest.approx([8e-3, 8e-3])
    assert [rates[4000], rates[6999]] == pytest.approx([6.4e-3, 5.12e-3])


def test_a_cosine_falls_from_the_rate_to_its_end() -> None:
    settings = TrainingSettings(
        steps=1020, learning_rate=1e-3, warmup_steps=20, final_rate=0.05, schedule="cosine"
    )
    rates = [learning_rate_at(step, settings) for step in range(1021)]
    assert rates[19] == rates[20] == pytest.approx(1e-3)
    assert rates[520] == pytest.approx(0.525e-3)  # half way between 1 and 0.05
    assert rates[270] == pytest.approx(1e-3 * (0.05 + 0.95 * (1 + math.sqrt(0.5)) / 2))
    assert rates[1020] == pytest.approx(0.05e-3)
    assert all(after < before for before, after in pairwise(rates[20:]))
    assert learning_rate_at(5000, settings) == pytest.approx(0.05e-3)  # it does not rise again
