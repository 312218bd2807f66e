"""Cutting a video into segments: a pure function of the packet index.

A *segment* is the frames that one task owns. The ownership rule: segment i owns the frames shown
from cut i up to cut i+1 (exclusive); its packets start at the last keyframe from which all of
them can be decoded and end at the last packet that any of them needs. That one rule covers
closed GOPs, the leading pictures of open GOPs (they follow the next keyframe in the file and are
shown before it) and cuts within a long GOP (the packets before the cut are pre-roll).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.films.settings import LONGEST_ALONE
from pipeline.source.packet_index import PacketIndex

_KEYFRAME_REACH = 0.5
"""A keyframe within this fraction of a segment's length attracts the cut."""
_REST_BY_SEGMENT = 8
"""Towards the end of a film a segment is this part of what is left, so that about as many workers
end at nearly the same time."""
_SHORTEST_SECONDS = 0.5
"""Minimum length of such a segment, unless less was asked for: each costs a keyframe of the output.
Less gains nothing more (simulated)."""
_PRE_ROLL_BY_SEGMENT = 2
"""Maximum pre-roll of such a segment, as a multiple of its length: all of it is decoded again.
Simulated with a keyframe each ten seconds: half as much leaves nothing of the gain, three times as
much loses it again in decoding, where that is a tenth of the work."""
_MOST_PRE_ROLL = 4
"""Maximum pre-roll of any segment, as a multiple of its length."""
_PACKETS_AHEAD = 40
"""Packets that a decoder may want before a frame comes out: 16 for frames shown in another order,
and some for each of its threads. Where they are too few, the pre-roll is decoded again."""
_LEFT_OF_THE_START = 0.05
"""Part of the first frame that may be left in a segment's own frames, where each follows the last:
where it began cannot be seen then."""
_MOST_WARM_UP = 24


@dataclass(frozen=True)
class Segment:
    """One task's share of a video."""

    number: int
    """From 0, in the order of showing."""
    first_packet: int
    end_packet: int
    """Exclusive."""
    owned_pts: tuple[int, ...]
    """PTS of the frames that this segment must deliver, ascending."""
    ahead: int = 0
    """Packets beyond the end that come along, where the next segment begins at the same keyframe:
    with them the last frames come out of a decoder that can then go on."""
    warm_pts: tuple[int, ...] = ()
    """PTS of the frames before it that are stylized too, and not delivered: those that its first
    ones follow where frames follow each other."""

    def __post_init__(self) -> None:
        assert self.owned_pts, "a segment without frames"
        assert self.first_packet < self.end_packet

    @property
    def name(self) -> str:
        """Its name in records and file names: ``00042``."""
        return f"{self.number:05d}"


def warm_up_frames(coherence: float) -> int:
    """Frames before a segment that are stylized too, so that its first ones can follow them."""
    if not 0 < coherence < 1:
        return _MOST_WARM_UP if coherence else 0
    return min(_MOST_WARM_UP, math.ceil(math.log(_LEFT_OF_THE_START) / math.log(coherence)))


def plan_segments(
    packets: PacketIndex, *, time_base: Fraction, seconds: float, warm_up: int = 0
) -> list[Segment]:
    """Cut into segments of about ``seconds``; every shown frame is owned exactly once.

    ``warm_up`` frames before each segment come along, to be stylized and not delivered.

    Towards the end they are shorter, that no worker is long at its last one while the others have
    nothing to do (guided self-scheduling, Polychronopoulos and Kuck 1987). The plan depends on
    nothing but the arguments: never on the number of workers.
    """
    shown = packets.shown_pts
    if not len(shown):
        return []
    asked, shortest = (max(1, round(Fraction(s) / time_base)) for s in (seconds, _SHORTEST_SECONDS))
    cuts = _cuts(packets, shown, asked=asked, shortest=min(asked, shortest))
    bounds = [*np.searchsorted(shown, cuts).tolist(), len(shown)]
    segments = [
        segment_of(packets, number, shown[start:end], shown[max(0, start - warm_up) : start])
        for number, (start, end) in enumerate(pairwise(bounds))
    ]
    return [*(_linked(a, b, len(packets)) for a, b in pairwise(segments)), segments[-1]]


def with_pre_roll(packets: PacketIndex, segment: Segment) -> Segment | None:
    """The same share with packets from one keyframe earlier on; None where there is none.

    For a segment that came out damaged. Its keyframe may be none that a decoder can begin at:
    H.264 with intra refresh marks places from which a picture is whole only some frames later,
    and a damaged keyframe can be concealed only by pictures before it.
    """
    before = np.flatnonzero(packets.is_keyframe[: segment.first_packet])
    if segment.first_packet == 0:
        return None
    return replace(segment, first_packet=int(before[-1]) if len(before) else 0, ahead=0)


def sample_of(packets: PacketIndex, segment: Segment, frames: int) -> Segment:
    """The first ``frames`` from the keyframe that a segment is decoded from, without pre-roll."""
    shown = packets.shown_pts
    start = min(int(packets.pts[segment.first_packet]), segment.owned_pts[0])
    place = int(np.searchsorted(shown, start))
    return segment_of(packets, segment.number, shown[place : place + frames])


def _linked(segment: Segment, following: Segment, packets: int) -> Segment:
    if segment.first_packet != following.first_packet:
        return segment
    return replace(segment, ahead=min(_PACKETS_AHEAD, packets - segment.end_packet))


def _cuts(
    packets: PacketIndex, shown: NDArray[np.int64], *, asked: int, shortest: int
) -> list[int]:
    """PTS at which segments begin: at keyframes where one is near, else at any frame.

    Segments far from their keyframe are longer, because each decodes the pre-roll again: so a film
    with one keyframe is decoded a few times in all, not once for each segment.
    """
    starts = np.sort(packets.pts[packets.is_keyframe])
    keyframes = np.sort(packets.pts[packets.is_keyframe & packets.is_shown])
    cuts = [int(shown[0])]
    end = int(shown[-1])
    if end - cuts[0] < LONGEST_ALONE * asked:
        return cuts
    while True:
        before = starts[starts <= cuts[-1]]
        pre_roll = cuts[-1] - int(before[-1]) if len(before) else 0
        part_of_rest = (end - cuts[-1]) // _REST_BY_SEGMENT
        length = min(asked, max(shortest, part_of_rest, pre_roll // _PRE_ROLL_BY_SEGMENT))
        reach = int(length * _KEYFRAME_REACH)
        target = cuts[-1] + length
        at_most = max(target, cuts[-1] + pre_roll // _MOST_PRE_ROLL)
        if at_most + max(1, reach) > end:  # what is left would make no more than one segment
            return cuts
        near = keyframes[
            (keyframes > cuts[-1]) & (keyframes >= target - reach) & (keyframes <= at_most + reach)
        ]
        if len(near):
            cut = int(near[np.argmin(np.abs(near - target))])
        else:
            cut = int(shown[np.searchsorted(shown, at_most)])
        cuts.append(cut)


def segment_of(
    packets: PacketIndex,
    number: int,
    owned: NDArray[np.int64],
    warm: NDArray[np.int64] | None = None,
) -> Segment:
    """Return the segment that owns some frames, with the packets from their keyframe on."""
    begin = owned[0] if warm is None or not len(warm) else warm[0]
    needed = np.flatnonzero((packets.pts >= begin) & (packets.pts <= owned[-1]))
    first, last = int(needed[0]), int(needed[-1])
    starts = np.flatnonzero(packets.is_keyframe[: first + 1] & (packets.pts[: first + 1] <= begin))
    return Segment(
        number=number,
        first_packet=int(starts[-1]) if len(starts) else 0,
        end_packet=last + 1,
        owned_pts=tuple(owned.tolist()),
        warm_pts=() if warm is None else tuple(warm.tolist()),
    )
