"""A worker that works on several segments at once, while one network computes for all of them.

The encoder of one segment keeps one processor busy, and a GPU computes more frames than that takes.
So a worker of several processors decodes and encodes as many segments at once, each in the thread
that brings it, and frames of all of them go through one thread with the network.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, local

from nst_core.stylizer import Stylizer
from pipeline.looks.look import Look
from pipeline.segments.task import BegunPart, SegmentResult, SegmentTask
from pipeline.segments.worker import SegmentWorker
from pipeline.work.shared_network import SharedNetwork

_Group = tuple[object, ...]
"""A film's segments that begin at one keyframe: one decoder goes through all of them."""
_Tell = Callable[[int, BegunPart | None], None]


class ManySegments:
    """Stylizes segments, ``at_once`` of them in as many threads of its caller's.

    Segments that one decoder goes through are done one after the other, by the one that has it.
    """

    def __init__(
        self, stylizer_for: Callable[[Look], Stylizer], first: Look, *, at_once: int
    ) -> None:
        """``stylizer_for`` gives the Stylizer of a look; that of the ``first`` is made at once."""
        network = SharedNetwork(stylizer_for)
        self._free = [SegmentWorker(network.at(first), network.at) for _ in range(at_once)]
        self._engine = self._free[0]
        self._last: dict[SegmentWorker, _Group] = {}
        self._at_work: set[_Group] = set()
        self._waiting: list[tuple[_Group, int]] = []
        self._changed = Condition()
        self._told = local()

    @property
    def engine(self) -> str:
        """What computes, for the report."""
        return self._engine.engine

    @property
    def tell(self) -> _Tell:
        """What is told how far the segment is that this thread has in work."""
        told: _Tell = getattr(self._told, "tell", lambda frames, part: None)
        return told

    @tell.setter
    def tell(self, tell: _Tell) -> None:
        self._told.tell = tell

    def process(self, task: SegmentTask) -> SegmentResult[bytes]:
        """Decode, stylize and encode. Damage is reported in the result, not raised."""
        group: _Group = (task.film, task.segment.first_packet)
        worker = self._taken(group, task.segment.number)
        worker.tell = self.tell
        try:
            return worker.process(task)
        finally:
            with self._changed:
                self._last[worker] = group
                self._free.append(worker)
                self._at_work.discard(group)
                self._changed.notify_all()

    def _taken(self, group: _Group, number: int) -> SegmentWorker:
        """Wait for a worker, the one with the decoder before all; neighbours in their order."""
        with self._changed:
            self._waiting.append((group, number))
            self._changed.wait_for(
                lambda: (
                    self._free
                    and group not in self._at_work
                    and number == min(n for each, n in self._waiting if each == group)
                )
            )
            self._waiting.remove((group, number))
            self._free.sort(key=lambda worker: self._last.get(worker) != group)
            self._at_work.add(group)
            return self._free.pop(0)
