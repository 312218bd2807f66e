"""The model of a worker with a device: what its processors make of frames, and who helps them."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline.work.rates import FrameCosts, Used, balance_of, encoders_needed

_COSTS = FrameCosts(network=0.0015, decode=0.010, encode=0.029, pack=0.009, unpack=0.010)
"""A frame of 1080p on an H200, in seconds: shared estimates, rounded."""


def test_processors_that_decode_and_encode_are_the_limit_without_encoders_elsewhere() -> None:
    alone = balance_of(_COSTS, 16)
    assert alone.frames_a_second == pytest.approx(16 / 0.039)
    assert alone.processors == pytest.approx(1.0)
    assert alone.device == pytest.approx(16 / 0.039 * 0.0015)


@pytest.mark.parametrize("network", [0.0005, 0.0010, 0.0015, 0.0020])
@pytest.mark.parametrize("processors", [2, 16, 48])
def test_as_many_encoders_as_are_needed_and_no_more(network: float, processors: int) -> None:
    costs = dataclasses.replace(_COSTS, network=network)
    best = min(1 / network, processors / (costs.decode + costs.pack))
    needed = encoders_needed(costs, processors)
    with_them = balance_of(costs, processors, needed)
    assert with_them.frames_a_second >= 0.95 * best
    if needed:
        assert with_them.frames_a_second == pytest.approx(best)
        fewer = balance_of(costs, processors, needed - 1).frames_a_second
        assert fewer < best
    assert balance_of(costs, processors, needed + 50).frames_a_second <= best * (1 + 1e-9)


def test_none_are_needed_where_the_device_is_the_limit_or_packing_costs_as_much() -> None:
    assert encoders_needed(dataclasses.replace(_COSTS, network=0.01), 16) == 0
    assert encoders_needed(dataclasses.replace(_COSTS, encode=0.008), 4) == 0


def test_what_frames_cost_is_told_from_what_was_used_between_two_times() -> None:
    before = Used(wall=100.0, waited=3.0, processors=50.0, decoding=12.0, frames=1000)
    now = Used(110.0, 8.0, 50.0 + 40.0, 12.0 + 10.0, packing=2.0, frames=2000, packed=200)
    costs = (now - before).costs()
    assert costs is not None
    assert dataclasses.astuple(costs) == pytest.approx((0.005, 0.010, 28 / 800, 0.010, 0.010))
    assert (now - now).costs() is None
