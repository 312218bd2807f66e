from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.reassembly import plan_splice


def test_dts_follow_the_smallest_delay_that_works() -> None:
    plan = plan_splice([0, 30, 10, 20, 60, 40, 50], last_duration=10)
    assert plan.dts == (-10, 0, 10, 20, 30, 40, 50)
    assert plan.duration == (10,) * 7


def test_without_reordering_dts_equal_pts() -> None:
    plan = plan_splice([5, 7, 12], last_duration=4)
    assert plan.dts == plan.pts == (5, 7, 12)
    assert plan.duration == (2, 5, 4)


def test_a_single_frame_keeps_its_duration() -> None:
    assert plan_splice([3], last_duration=9).duration == (9,)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=80, unique=True), st.randoms())
def test_any_order_gives_ascending_dts_at_or_before_pts(pts: list[int], random: object) -> None:
    plan = plan_splice(pts, last_duration=1)
    assert all(before < after for before, after in itertools.pairwise(plan.dts))
    assert all(dts <= p for dts, p in zip(plan.dts, pts, strict=True))
    assert all(duration > 0 for duration in plan.duration)


@pytest.mark.parametrize("last", [0, 5])
def test_a_missing_last_duration_is_taken_from_the_frame_before(last: int) -> None:
    assert plan_splice([0, 8], last_duration=last).duration == (8, last or 8)
