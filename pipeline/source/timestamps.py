"""Times for frames whose file gives none, gives some twice, or starts its clock again.

Times are ticks of the stream's time base, one for each packet, in decoding order; NO_TIME stands
for one that is not there. Nothing here reads a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Ticks = NDArray[np.int64]

NO_TIME = int(np.iinfo(np.int64).min)
_FALLS_BACK_SECONDS = Fraction(1, 10)
"""A decoding time this much before the one before it starts a new clock, as in FFmpeg's own tool;
less is taken for disorder."""
_AN_HOUR = 3600
"""Seconds. For less, a recording may have been interrupted."""


@dataclass(frozen=True)
class ClockReset:
    """A place in the main stream at which the clock of the file starts again."""

    first_packet: int
    """The first packet by the new clock."""
    offset: int
    """Ticks from the file's times to continued ones, for all packets up to the next reset."""


def without_strays(pts: Ticks, dts: Ticks, *, time_base: Fraction) -> tuple[Ticks, Ticks]:
    """Take away single times that are plainly wrong, so that those around them can stand in.

    The DTS of such a packet leaves the order in which its neighbours are, or its PTS is hours off.
    """
    pts, dts = pts.copy(), dts.copy()
    known = np.flatnonzero(dts != NO_TIME)
    clock = dts[known]
    limit = int(_FALLS_BACK_SECONDS / time_base)
    for place in _falls(clock, limit):
        if _is_ahead(clock, place - 1):
            dts[known[place - 1]] = pts[known[place - 1]] = NO_TIME
        elif _is_behind(clock, place):
            dts[known[place]] = pts[known[place]] = NO_TIME
    both = (pts != NO_TIME) & (dts != NO_TIME)
    delay = np.abs(np.where(both, pts, 0) - np.where(both, dts, 0))
    pts[delay > int(_AN_HOUR / time_base)] = NO_TIME
    return pts, dts


def find_resets(
    pts: Ticks,
    dts: Ticks,
    duration: Ticks,
    *,
    time_base: Fraction,
    step: Fraction,
    may_jump: bool = False,
) -> tuple[ClockReset, ...]:
    """Find where the decoding times fall back, and what continues the times before.

    The first frame after a reset is shown when the last one before it ends: after its
    ``duration``, or ``step`` ticks where that is 0. ``may_jump`` says that the container is made
    for joined recordings: a jump of hours is a reset, too. Strays must have been taken away.
    """
    known = np.flatnonzero(dts != NO_TIME)
    clock = dts[known]
    limit = int(_FALLS_BACK_SECONDS / time_base)
    places = _falls(clock, limit)
    if may_jump:
        places = sorted({*places, *_falls(-clock, int(_AN_HOUR / time_base))})
    starts = [int(known[place]) for place in places]
    shown = np.where(pts != NO_TIME, pts, dts)
    resets: list[ClockReset] = []
    offset = first = 0
    for start, end in zip(starts, [*starts, len(pts)][1:], strict=True):
        before, after = slice(first, start), slice(start, end)
        last = first + int(np.argmax(shown[before]))
        earliest = int(np.min(shown[after], where=shown[after] != NO_TIME, initial=2**62))
        offset += int(shown[last]) + (int(duration[last]) or round(step) or 1) - earliest
        resets.append(ClockReset(start, offset))
        first = start
    return tuple(resets)


def apply_resets(times: Ticks, resets: tuple[ClockReset, ...]) -> Ticks:
    """Continue the times of the packets after each reset."""
    result = times.copy()
    ends = [*(reset.first_packet for reset in resets), len(times)][1:]
    for reset, end in zip(resets, ends, strict=True):
        part = result[reset.first_packet : end]
        part[part != NO_TIME] += reset.offset
    return result


def are_plain(pts: Ticks, dts: Ticks, is_shown: NDArray[np.bool_]) -> bool:
    """Whether every shown frame has a time of its own, and decoding times never fall back."""
    shown = pts[is_shown]
    known = dts[is_shown & (dts != NO_TIME)]
    return bool(
        np.all(shown != NO_TIME)
        and len(np.unique(shown)) == len(shown)
        and np.all(np.diff(known) >= 0)
    )


def ordered_times(pts: Ticks, dts: Ticks, *, step: Fraction) -> Ticks:
    """Give each frame a time of its own; all arguments and the result are in the order of showing.

    The times of the file, sorted, go to the frames in their order; equal ones move apart by the
    least change. Without any, decoding times do the same; without these, frames are ``step`` ticks
    apart, from zero.
    """
    if np.any(pts != NO_TIME):
        known = pts
    elif np.all(dts != NO_TIME):
        known = dts
    else:
        return np.array([round(place * step) for place in range(len(pts))], dtype=np.int64)
    return _strictly_increasing(np.sort(_filled(known, step)))


def separate_hidden(pts: Ticks, is_shown: NDArray[np.bool_]) -> Ticks:
    """Give frames that are not shown times of their own, before all others, where they lack them.

    An edit list may use a time for a frame to show and for one to decode only.
    """
    if not np.any(is_shown):
        return pts
    unusable = ~is_shown & ((pts == NO_TIME) | np.isin(pts, pts[is_shown]))
    count = int(unusable.sum())
    result = pts.copy()
    earliest = int(np.min(pts, where=pts != NO_TIME, initial=2**62))
    result[unusable] = earliest - np.arange(count, 0, -1)
    return result


def decoding_times(pts: Ticks) -> Ticks:
    """DTS for unique PTS in decoding order, ascending and each at or before its PTS.

    ``dts[n] = sorted_pts[n - d]`` with the smallest delay d that allows it.
    """
    if not len(pts):
        return pts
    order = np.sort(pts)
    delay = int(np.max(np.arange(len(pts)) - np.searchsorted(order, pts)))
    step = max(1, int(order[1] - order[0])) if len(order) > 1 else 1
    before = order[0] - np.arange(delay, 0, -1, dtype=np.int64) * step
    return np.concatenate((before, order))[: len(order)]


def without_long_steps(dts: Ticks, pts: Ticks, duration: Ticks) -> Ticks:
    """Raise DTS so that none is further from the next than its frame is shown, where PTS allow.

    After a pause, reordering puts a frame's DTS before the pause and the next one's behind it. In
    mp4 that step counts as the frame's duration: FFmpeg takes a keyframe that seems to last beyond
    the end for the last frame.
    """
    result = dts.copy()
    following = None
    for place in range(len(dts) - 1, -1, -1):
        if following is not None and following - result[place] > duration[place]:
            result[place] = min(following - duration[place], pts[place])
        following = result[place]
    return result


def _falls(clock: Ticks, limit: int) -> list[int]:
    """Places whose time is more than ``limit`` ticks before the one before."""
    places: list[int] = (np.flatnonzero(np.diff(clock) < -limit) + 1).tolist()
    return places


def _is_ahead(clock: Ticks, place: int) -> bool:
    """Whether the times on both sides are in order, and this one is beyond."""
    return place > 0 and bool(clock[place - 1] < clock[place + 1] < clock[place])


def _is_behind(clock: Ticks, place: int) -> bool:
    return place + 1 < len(clock) and bool(clock[place] < clock[place - 1] < clock[place + 1])


def _filled(times: Ticks, step: Fraction) -> Ticks:
    """Fill gaps evenly between the times beside them, and ends by the step."""
    places = np.arange(len(times), dtype=np.int64)
    known = np.flatnonzero(times != NO_TIME)
    result = times.copy()
    for place in np.flatnonzero(times == NO_TIME).tolist():
        after = int(np.searchsorted(known, place))
        if 0 < after < len(known):
            left, right = int(known[after - 1]), int(known[after])
            span = int(times[right]) - int(times[left])
            result[place] = int(times[left]) + span * (place - left) // (right - left)
        else:
            nearest = int(known[0 if after == 0 else -1])
            result[place] = int(times[nearest]) + round((int(places[place]) - nearest) * step)
    return result


def _strictly_increasing(times: Ticks) -> Ticks:
    """Move each time as little beyond the one before as it takes; ascending times go in."""
    places = np.arange(len(times), dtype=np.int64)
    return np.maximum.accumulate(times - places) + places
