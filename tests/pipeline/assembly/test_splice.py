from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.assembly.splice import SplicePlan, plan_splice


def _plan(*pts: int, last_duration: int) -> SplicePlan:
    return plan_splice(np.array(pts, dtype=np.int64), last_duration=last_duration)


def test_dts_follow_the_smallest_delay_that_works() -> None:
    plan = _plan(0, 30, 10, 20, 60, 40, 50, last_duration=10)
    assert plan.dts.tolist() == [-10, 0, 10, 20, 30, 40, 50]
    assert plan.duration.tolist() == [10] * 7


def test_without_reordering_dts_equal_pts() -> None:
    plan = _plan(5, 7, 12, last_duration=4)
    assert plan.dts.tolist() == plan.pts.tolist() == [5, 7, 12]
    assert plan.duration.tolist() == [2, 5, 4]


def test_a_single_frame_keeps_its_duration() -> None:
    assert _plan(3, last_duration=9).duration.tolist() == [9]


def test_no_step_between_dts_is_longer_than_its_frame_is_shown() -> None:
    """A keyframe after a pause: its DTS must not lie before the pause."""
    plan = _plan(0, 30, 10, 20, 9000, 9030, 9010, 9020, last_duration=10)
    assert plan.dts.tolist() == [-10, 0, 10, 20, 8990, 9000, 9010, 9020]


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=80, unique=True))
def test_any_order_gives_ascending_dts_at_or_before_pts(pts: list[int]) -> None:
    plan = _plan(*pts, last_duration=1)
    assert (np.diff(plan.dts) > 0).all()
    assert (plan.dts <= plan.pts).all()
    assert (plan.duration > 0).all()


@pytest.mark.parametrize("last", [0, 5])
def test_a_missing_last_duration_is_taken_from_the_frame_before(last: int) -> None:
    assert _plan(0, 8, last_duration=last).duration.tolist() == [8, last or 8]
