"""Times made usable: pure functions on numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.source.timestamps import (
    NO_TIME,
    ClockReset,
    Ticks,
    apply_resets,
    are_plain,
    decoding_times,
    find_resets,
    ordered_times,
    separate_hidden,
    without_strays,
)

TICK = Fraction(1, 1000)
STEP = Fraction(40)


def _ticks(*times: int) -> Ticks:
    return np.array(times, dtype=np.int64)


def _resets(dts: Ticks, pts: Ticks | None = None, *, may_jump: bool = False) -> list[ClockReset]:
    duration = np.full(len(dts), 40, dtype=np.int64)
    return list(
        find_resets(
            dts if pts is None else pts,
            dts,
            duration,
            time_base=TICK,
            step=STEP,
            may_jump=may_jump,
        )
    )


def test_times_that_fall_back_are_continued_from_the_frame_shown_last() -> None:
    pts = _ticks(1000, 1080, 1040, 1120, 1000, 1080, 1040)
    dts = _ticks(920, 960, 1000, 1040, 920, 960, 1000)
    (reset,) = _resets(dts, pts)
    assert reset == ClockReset(first_packet=4, offset=160)
    assert apply_resets(pts, (reset,)).tolist() == [1000, 1080, 1040, 1120, 1160, 1240, 1200]


def test_offsets_of_several_resets_add_up() -> None:
    dts = _ticks(0, 40, 80, 120, 0, 40, 80, 120, 0, 40)
    resets = tuple(_resets(dts))
    assert [(reset.first_packet, reset.offset) for reset in resets] == [(4, 160), (8, 320)]
    assert apply_resets(dts, resets).tolist() == list(range(0, 400, 40))


def test_what_has_no_time_gets_none_from_a_reset() -> None:
    assert apply_resets(_ticks(0, NO_TIME), (ClockReset(1, 500),)).tolist() == [0, NO_TIME]


@pytest.mark.parametrize("dts", [(0, 40, 80, 120), (0, 40, 30, 120), (0, 40, 90_000, 90_040)])
def test_disorder_and_pauses_are_no_resets(dts: tuple[int, ...]) -> None:
    assert _resets(_ticks(*dts)) == []


def test_hours_ahead_are_a_reset_where_recordings_are_joined() -> None:
    dts = _ticks(0, 40, 9_000_000, 9_000_040)
    assert _resets(dts) == []
    assert _resets(dts, may_jump=True) == [ClockReset(2, 80 - 9_000_000)]


@pytest.mark.parametrize(
    ("dts", "stray"),
    [((0, 40, 9000, 120, 160), 2), ((400, 440, 0, 520, 560), 2), ((0, 40, 80, 120), None)],
)
def test_a_single_wrong_time_is_taken_away(dts: tuple[int, ...], stray: int | None) -> None:
    pts, cleaned = without_strays(_ticks(*dts), _ticks(*dts), time_base=TICK)
    expected = [NO_TIME if place == stray else time for place, time in enumerate(dts)]
    assert pts.tolist() == cleaned.tolist() == expected
    assert _resets(cleaned) == []


def test_a_time_of_showing_hours_from_its_decoding_is_taken_away() -> None:
    pts, dts = without_strays(_ticks(0, 40, 99_000_000), _ticks(0, 40, 80), time_base=TICK)
    assert pts.tolist() == [0, 40, NO_TIME]
    assert dts.tolist() == [0, 40, 80]


def test_only_frames_to_show_need_times_of_their_own() -> None:
    dts = _ticks(0, 1, 2)
    shown = np.array([True, True, True])
    assert are_plain(_ticks(0, 2, 1), dts, shown)
    assert not are_plain(_ticks(0, 2, 2), dts, shown)
    assert not are_plain(_ticks(0, 2, NO_TIME), dts, shown)
    assert not are_plain(_ticks(0, 2, 1), _ticks(0, 2, 1), shown)
    assert are_plain(_ticks(0, 2, 2), dts, np.array([True, True, False]))


def test_gaps_are_filled_from_the_times_beside_them() -> None:
    given_times = _ticks(NO_TIME, 40, NO_TIME, NO_TIME, 160, NO_TIME)
    assert ordered_times(given_times, given_times, step=STEP).tolist() == [0, 40, 80, 120, 160, 200]


def test_without_times_of_showing_those_of_decoding_serve_and_then_the_rate() -> None:
    none = _ticks(NO_TIME, NO_TIME, NO_TIME)
    assert ordered_times(none, _ticks(20, 0, 10), step=STEP).tolist() == [0, 10, 20]
    assert ordered_times(none, none, step=Fraction(100, 3)).tolist() == [0, 33, 67]


def test_equal_times_move_apart_by_the_least() -> None:
    times = _ticks(5, 5, 5, 6, 20)
    assert ordered_times(times, times, step=STEP).tolist() == [5, 6, 7, 8, 20]


@given(st.lists(st.integers(-50, 50) | st.just(NO_TIME), min_size=1, max_size=40))
def test_every_frame_gets_a_later_time_than_the_one_before(times: list[int]) -> None:
    result = ordered_times(_ticks(*times), _ticks(*[NO_TIME] * len(times)), step=Fraction(7, 3))
    assert (np.diff(result) > 0).all()
    known = sorted(time for time in times if time != NO_TIME)
    if len(known) == len(times) == len(set(known)):
        assert result.tolist() == known


def test_hidden_frames_leave_the_times_of_shown_ones_to_them() -> None:
    shown = np.array([False, True, True, False])
    assert separate_hidden(_ticks(0, 40, 80, 40), shown).tolist() == [0, 40, 80, -1]
    assert separate_hidden(_ticks(NO_TIME, 40, 80, 120), shown).tolist() == [39, 40, 80, 120]


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=80, unique=True))
def test_decoding_times_ascend_and_are_not_after_those_of_showing(pts: list[int]) -> None:
    dts = decoding_times(_ticks(*pts))
    assert (np.diff(dts) > 0).all()
    assert (dts <= _ticks(*pts)).all()
