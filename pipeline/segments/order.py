"""Which segment of a film goes out next: neighbours to one worker, as far as all have work.

A segment that begins at the same keyframe as the one before it is cheap for the worker that has
done that one, whose decoder goes on; any other decodes all the way from the keyframe again. So is
one whose frames follow those before it: that worker has stylized them already.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from pipeline.segments.plan import Segment

_NOT_WORTH = 5
"""How many times more frames a worker would decode than stylize before it leaves the rest of a run
to the worker that is on its way there. Simulated with one keyframe in ten minutes: 1.5 instead of
1.9 frames are decoded for each with 2 workers, 4.1 instead of 4.7 with 8, in less time too."""


class SegmentOrder:
    """The waiting segments of a film; the order depends on who asks, what is computed never."""

    def __init__(self, segments: Sequence[Segment], waiting: Iterable[int]) -> None:
        self._segments = segments
        numbers = sorted(waiting)
        known = set(numbers)
        self._linked = {n: None for n in numbers if self._is_linked(n) and n - 1 in known}
        self._starts = deque(n for n in numbers if n not in self._linked)

    def __len__(self) -> int:
        return len(self._linked) + len(self._starts)

    @property
    def linked(self) -> Collection[int]:
        """Those that are cheap for one worker: with any, the order depends on who asks."""
        return self._linked

    def take(self, after: int | None, at_work: Collection[int]) -> Segment | None:
        """The next one for a worker that has done ``after`` last; None: it should ask again.

        ``at_work`` are those at workers. With ``after`` None there is always one.
        """
        if after is not None and after + 1 in self._linked:
            number: int | None = after + 1
        elif self._starts:
            return self._segments[self._starts.popleft()]
        else:
            number = self._part_of_longest_run(after, at_work)
        if number is None:
            return None
        del self._linked[number]
        return self._segments[number]

    def _is_linked(self, number: int) -> bool:
        before, segment = self._segments[number - 1 : number + 1] if number else (None, None)
        if not before or not segment:
            return False
        return bool(segment.warm_pts) or before.first_packet == segment.first_packet

    def _part_of_longest_run(self, after: int | None, at_work: Collection[int]) -> int | None:
        """Where the second half of the longest run begins; what its worker does now counts too."""
        run = max(self._runs(), key=self._frames, default=None)
        if run is None:
            return None
        lead = [run[0] - 1] if run[0] - 1 in at_work else []
        half = self._frames([*lead, *run]) / 2
        done = self._frames(lead)
        distances = []
        for number in run:
            distances.append((abs(done - half), number))
            done += self._frames([number])
        _, number = min(distances)
        stylized = self._frames([each for each in run if each >= number])
        in_vain = self._frames_before(number, after)
        return None if lead and after is not None and in_vain > _NOT_WORTH * stylized else number

    def _runs(self) -> list[list[int]]:
        """Waiting neighbours that a decoder can go through."""
        numbers = list(self._linked)
        runs = [numbers[:1]]
        for before, number in pairwise(numbers):
            if number == before + 1:  # linked, as all here are
                runs[-1].append(number)
            else:
                runs.append([number])
        return [run for run in runs if run]

    def _frames(self, numbers: Iterable[int]) -> int:
        return sum(len(self._segments[number].owned_pts) for number in numbers)

    def _frames_before(self, number: int, after: int | None) -> int:
        """How many a worker would decode before a segment's own."""
        segment = self._segments[number]
        start = segment.first_packet
        if after is not None and after < number:
            start = max(start, self._segments[after].end_packet)
        return self._segments[number - 1].end_packet - start
