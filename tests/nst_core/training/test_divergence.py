from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import pytest

from nst_core.training.divergence import DivergenceWatch


def _first_bad(losses: Iterable[float], watch: DivergenceWatch | None = None) -> int | None:
    watch = watch or DivergenceWatch()
    for step, loss in enumerate(losses):
        if not watch.accept_loss(float(loss), 1.0):
            return step
    return None


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_finite_number_is_noticed_at_once(bad: float) -> None:
    watch = DivergenceWatch()
    assert watch.accept_loss(3.0, 1.0)
    before = watch.state_dict()
    assert not watch.accept_loss(bad, 1.0)
    assert not watch.accept_loss(3.0, bad)
    assert watch.state_dict() == before  # such a step leaves no trace in the averages


@pytest.mark.parametrize("falls_to", [1.0, 0.2])
def test_a_loss_with_much_noise_is_accepted(falls_to: float) -> None:
    # Log-normal with 0.6: one batch in twenty has more than 2.7 times the median's loss.
    mean = falls_to + (1 - falls_to) * np.exp(-np.arange(5000) / 300)
    for seed in range(10):
        noise = np.random.default_rng(seed).lognormal(0, 0.6, 5000)
        assert _first_bad(mean * noise) is None


def test_a_loss_that_stays_as_high_as_it_was_is_accepted() -> None:
    assert _first_bad([7.0] * 500) is None


def test_a_loss_that_climbs_back_to_the_start_is_noticed_soon() -> None:
    fallen = [10.0 * 0.97**step for step in range(100)]
    step = _first_bad([*fallen, *[12.0] * 100])
    assert step is not None
    assert 100 < step < 140


def test_a_loss_that_climbs_a_part_of_the_way_is_accepted() -> None:
    # Four times the lowest, but less than half of the start: much is learnt still.
    fallen = [10.0 * 0.97**step for step in range(80)]
    assert _first_bad([*fallen, *[4.0] * 300]) is None


def test_a_lone_high_loss_is_accepted() -> None:
    fallen = [10.0 * 0.95**step for step in range(100)]
    assert _first_bad([*fallen, 10.0, *[0.1] * 100]) is None


def test_the_first_steps_are_not_judged_by_each_other() -> None:
    assert _first_bad([1.0, 9.0, 1.0, 8.0, 1.0, 7.0, *[4.0] * 200]) is None


def test_a_watch_goes_on_from_its_state() -> None:
    losses = [*(10.0 * 0.97**step for step in range(100)), *[12.0] * 100]
    undisturbed = _first_bad(losses)
    assert undisturbed is not None
    for stop in (5, 50, 103):
        first, second = DivergenceWatch(), DivergenceWatch()
        assert _first_bad(losses[:stop], first) is None
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert _first_bad(losses[stop:], second) == undisturbed - stop


def test_a_loss_that_explodes_and_never_comes_back_below_the_start_is_noticed() -> None:
    watch = DivergenceWatch()
    step = _first_bad([2.6, 126.0, *[3.3] * 200], watch)  # as a learning rate of 0.5 has it
    assert step is not None
    assert 50 <= step < 60


def test_a_loss_that_explodes_and_recovers_is_well_and_in_doubt_until_then() -> None:
    watch = DivergenceWatch()
    assert _first_bad([2.6, 126.0, *[3.3] * 20], watch) is None
    assert watch.is_in_doubt
    restored = DivergenceWatch()
    restored.load_state_dict(json.loads(json.dumps(watch.state_dict())))
    assert restored.is_in_doubt
    assert _first_bad([*[2.0] * 300], restored) is None
    assert not restored.is_in_doubt
