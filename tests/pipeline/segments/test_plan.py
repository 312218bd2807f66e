"""The ownership rule, on packet orders that real encoders write and on random ones."""

from __future__ import annotations

import heapq
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.segments.plan import Segment, plan_segments, sample_of, with_pre_roll
from pipeline.source.packet_index import PacketIndex

TIME_BASE = Fraction(1, 24)
DENSE = Fraction(1, 48)
"""24 frames last as long as the shortest segment."""


def _index(pts: list[int], keyframes: set[int], hidden: set[int] = frozenset()) -> PacketIndex:  # type: ignore[assignment]
    return PacketIndex(
        pts=np.array(pts, dtype=np.int64),
        duration=np.ones(len(pts), dtype=np.int64),
        is_keyframe=np.array([p in keyframes for p in pts]),
        is_shown=np.array([p not in hidden for p in pts]),
    )


def _closed_gops(gops: int, length: int) -> PacketIndex:
    """I P B B P B B ... in decoding order; every GOP decodes by itself."""
    pts = []
    for gop in range(gops):
        start = gop * length
        pts.append(start)
        for p in range(3, length, 3):
            pts += [start + p, start + p - 2, start + p - 1]
        pts += [start + rest for rest in range(length - (length - 1) % 3, length)]
    return _index(pts, {gop * length for gop in range(gops)})


def test_cuts_fall_on_keyframes_where_some_are_near() -> None:
    packets = _closed_gops(30, 24)
    segments = plan_segments(packets, time_base=TIME_BASE, seconds=2.2)
    starts = [segment.owned_pts[0] for segment in segments]
    assert starts[:7] == [0, 48, 96, 144, 192, 240, 288]
    assert all(packets.is_keyframe[segment.first_packet] for segment in segments)
    # Closed GOPs need no packet twice.
    assert [s.end_packet - s.first_packet for s in segments[:6]] == [48] * 6


def test_one_long_gop_is_cut_anyway_with_pre_roll() -> None:
    packets = _closed_gops(1, 240)
    segments = plan_segments(packets, time_base=TIME_BASE, seconds=3)
    assert len(segments) > 2
    assert all(segment.first_packet == 0 for segment in segments)
    assert all(before.end_packet < after.end_packet for before, after in pairwise(segments))


def _seconds_of_the_last_worker(segments: list[Segment], workers: int) -> float:
    """When all is done, each worker taking the next segment once it is free."""
    free = [0.0] * workers
    for segment in segments:
        heapq.heapreplace(free, free[0] + len(segment.owned_pts) / 24)
    return max(free)


@pytest.mark.parametrize("seconds", [12, 41, 60, 63, 300])
@pytest.mark.parametrize("workers", [2, 3, 5])
def test_workers_end_at_nearly_the_same_time(seconds: int, workers: int) -> None:
    packets = _closed_gops(seconds // 2, 48)
    segments = plan_segments(packets, time_base=TIME_BASE, seconds=5)
    assert _seconds_of_the_last_worker(segments, workers) < seconds / workers + 0.5


@pytest.mark.parametrize(("gops", "most_times"), [(2, 2.8), (6, 2.1)])
def test_short_segments_are_not_bought_with_decoding(gops: int, most_times: float) -> None:
    packets = _closed_gops(gops, 250)
    segments = plan_segments(packets, time_base=TIME_BASE, seconds=5)
    decoded = sum(segment.end_packet - segment.first_packet for segment in segments)
    assert decoded < most_times * len(packets)


def test_segments_are_as_long_as_asked_until_the_end_comes_near() -> None:
    segments = plan_segments(_closed_gops(300, 24), time_base=TIME_BASE, seconds=5)
    lengths = [len(segment.owned_pts) for segment in segments]
    assert set(lengths[:52]) == {120}
    seconds = [length / 24 for length in lengths[52:]]
    assert seconds[:11] == [5, 4, 4, 3, 3, 3, 2, 2, 2, 1, 1]  # cut at keyframes while one is near
    assert set(lengths[-8:]) == {12}
    assert min(lengths) == 10  # to the next keyframe


def test_what_is_little_longer_than_asked_stays_whole() -> None:
    for frames, segments in ((24 * 5, 1), (24 * 7, 1), (24 * 8, 13)):
        packets = _index(list(range(frames)), set(range(0, frames, 24)))
        assert len(plan_segments(packets, time_base=TIME_BASE, seconds=5)) == segments


def test_leading_pictures_of_an_open_gop_belong_to_the_segment_before() -> None:
    # Keyframe 24 comes before its leading pictures 22 and 23 in decoding order.
    first = [0, *range(1, 22)]
    packets = _index([*first, 24, 22, 23, *range(25, 48)], {0, 24})
    before, after = plan_segments(packets, time_base=DENSE, seconds=0.5)
    assert before.owned_pts[-1] == 23
    assert before.end_packet == len(first) + 3  # 24, 22, 23 included: 22 and 23 refer to 24
    assert after.owned_pts[0] == 24
    assert packets.pts[after.first_packet] == 24


def test_a_cut_among_leading_pictures_starts_at_the_keyframe_before() -> None:
    first = [0, *range(1, 20)]
    packets = _index([*first, 40, *range(20, 40), *range(41, 60)], {0, 40})
    segments = plan_segments(packets, time_base=TIME_BASE, seconds=22 / 24)
    for segment in segments:
        if segment.owned_pts[0] < 40:
            assert segment.first_packet == 0


def test_frames_that_an_edit_list_hides_are_owned_by_nobody() -> None:
    packets = _index(list(range(10)), {0}, hidden={0, 1, 2})
    (segment,) = plan_segments(packets, time_base=TIME_BASE, seconds=5)
    assert segment.owned_pts == tuple(range(3, 10))
    assert segment.first_packet == 0  # decoded all the same: the others refer to them


def test_nothing_shown_gives_no_segment() -> None:
    packets = _index([0, 1], {0}, hidden={0, 1})
    assert plan_segments(packets, time_base=TIME_BASE, seconds=5) == []


def test_a_short_rest_stays_with_the_last_segment() -> None:
    segments = plan_segments(_closed_gops(1, 30), time_base=TIME_BASE, seconds=1)
    assert [len(segment.owned_pts) for segment in segments] == [30]


def test_pre_roll_begins_one_keyframe_earlier_and_owns_the_same_frames() -> None:
    packets = _closed_gops(4, 24)
    first, *others = plan_segments(packets, time_base=DENSE, seconds=0.5)
    assert with_pre_roll(packets, first) is None
    for before, segment in pairwise([first, *others]):
        longer = with_pre_roll(packets, segment)
        assert longer is not None
        assert longer.first_packet == before.first_packet
        assert (longer.number, longer.end_packet) == (segment.number, segment.end_packet)
        assert longer.owned_pts == segment.owned_pts


def test_a_sample_begins_at_the_keyframe_and_is_no_longer_than_the_film() -> None:
    closed = _closed_gops(40, 24)
    segment = plan_segments(closed, time_base=Fraction(1, 24), seconds=5)[2]
    sample = sample_of(closed, segment, 7)
    assert sample.first_packet == segment.first_packet
    assert sample.owned_pts == segment.owned_pts[:7]
    one_gop = _index(list(range(1000)), {0})
    late = plan_segments(one_gop, time_base=Fraction(1, 24), seconds=5)[-1]
    assert sample_of(one_gop, late, 7).owned_pts == tuple(range(7))  # no pre-roll
    assert len(sample_of(one_gop, late, 5000).owned_pts) == 1000


def test_pre_roll_without_a_keyframe_before_begins_at_the_first_packet() -> None:
    # A file that was cut out of another one begins in the middle of a GOP.
    packets = _index(list(range(48)), {24})
    _, segment = plan_segments(packets, time_base=DENSE, seconds=0.5)
    assert segment.first_packet == 24
    longer = with_pre_roll(packets, segment)
    assert longer is not None
    assert longer.first_packet == 0


@st.composite
def _random_index(draw: st.DrawFn) -> PacketIndex:
    count = draw(st.integers(1, 120))
    gaps = draw(st.lists(st.integers(1, 40), min_size=count, max_size=count))
    shown_order = np.cumsum(gaps).tolist()
    pts = []
    while shown_order:  # mini-GOPs: the last of a group is decoded first
        size = draw(st.integers(1, 4))
        group, shown_order = shown_order[:size], shown_order[size:]
        pts += [group[-1], *group[:-1]]
    keyframes = {pts[0]} | set(draw(st.sets(st.sampled_from(pts), max_size=6)))
    hidden = set(draw(st.sets(st.sampled_from(pts), max_size=3)))
    return _index(pts, keyframes, hidden)


@given(_random_index(), st.floats(0.1, 20))
@settings(max_examples=150, deadline=None)
def test_every_shown_frame_is_owned_once_and_its_packet_is_there(
    packets: PacketIndex, seconds: float
) -> None:
    segments = plan_segments(packets, time_base=TIME_BASE, seconds=seconds)
    owned = [pts for segment in segments for pts in segment.owned_pts]
    assert owned == packets.shown_pts.tolist()
    for number, segment in enumerate(segments):
        assert segment.number == number
        sent = packets.pts[segment.first_packet : segment.end_packet]
        assert set(segment.owned_pts) <= set(sent.tolist())
        start = segment.first_packet
        assert start == 0 or packets.is_keyframe[start]


def test_a_film_with_one_keyframe_is_decoded_a_few_times_in_all() -> None:
    frames = 24 * 7200
    packets = _index(list(range(frames)), {0})
    segments = plan_segments(packets, time_base=Fraction(1, 24), seconds=5)
    assert sum(len(segment.owned_pts) for segment in segments) == frames
    assert len(segments) >= 20  # there is work for many
    assert len(segments[0].owned_pts) == 120
    decoded = sum(segment.end_packet - segment.first_packet for segment in segments)
    assert decoded < 6 * frames


def test_keyframes_that_come_again_make_segments_short_again() -> None:
    late = 24 * 600
    packets = _index(list(range(2 * late)), {0, *range(late, 2 * late, 48)})
    segments = plan_segments(packets, time_base=Fraction(1, 24), seconds=5)
    assert late in {segment.owned_pts[0] for segment in segments}
    assert all(len(s.owned_pts) <= 200 for s in segments if s.owned_pts[0] >= late)


def test_segments_of_one_frame_come_to_an_end() -> None:
    packets = _index(list(range(60)), set(range(0, 60, 12)))
    segments = plan_segments(packets, time_base=Fraction(1, 10), seconds=0.1)
    assert [pts for segment in segments for pts in segment.owned_pts] == list(range(60))
