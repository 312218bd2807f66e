"""A worker that works on several segments at once, while one network computes for all of them.

The encoder of one segment keeps one processor busy, and a GPU computes more frames than that takes.
So a worker of several processors decodes and encodes as many segments at once, each in the thread
that brings it, and frames of all of them go through one thread with the network. Each encoder on
another machine makes room for one segment more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from threading import Condition, local

from nst_core.stylizer import Stylizer
from pipeline.encoding.encoder_elsewhere import EncoderLost, FarEncoder, HiredEncoders
from pipeline.looks.look import Look
from pipeline.segments.task import BegunPart, SegmentResult, SegmentTask
from pipeline.segments.worker import SegmentWorker
from pipeline.work.rates import Used, encoders_needed
from pipeline.work.shared_network import SharedNetwork

_Place = tuple[int | None, int]
"""A film, and the number of a segment in it."""
_Tell = Callable[[int, BegunPart | None], None]

_FRAMES_TO_WARM_UP = 200
"""In which kernels are compiled and sizes seen for the first time."""
_SECONDS_TO_JUDGE = 10.0
_LOST = "an encoder on another node was lost; what it had was done anew"
_GIVEN_UP = "encoders on other nodes do not start, or are lost again and again; the worker encodes"


class ManySegments:
    """Stylizes segments, ``at_once`` of them in as many threads of its caller's.

    A segment goes on with the decoder of the one before it, where that has ended.
    """

    def __init__(
        self,
        stylizer_for: Callable[[Look], Stylizer],
        first: Look,
        *,
        at_once: int,
        encoders: HiredEncoders | None = None,
    ) -> None:
        """``stylizer_for`` gives the Stylizer of a look; that of the ``first`` is made at once.

        Each of the ``encoders`` on other machines, once it is there, is used for one segment more.
        """
        self._network = SharedNetwork(stylizer_for)
        self._stylizer = self._network.at(first)
        self._processors = at_once
        self._encoders = encoders
        self._lanes = [self._lane() for _ in range(at_once)]
        """A worker for each segment that may be in work."""
        self._free = [*self._lanes]
        self._engine = self._lanes[0]
        self._last: dict[SegmentWorker, _Place] = {}
        self._changed = Condition()
        self._told = local()
        self._used_before: Used | None = None
        """What the last decision on encoders is founded on; until then the network warms up."""

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
        worker = self._taken(after=(task.film, task.segment.number - 1))
        worker.tell = self.tell
        try:
            done = None
            with suppress(EncoderLost):
                done = worker.process(task)
            if done is None:  # the error's traceback is gone, with the decoder and frames it held
                done = self._done_here(worker, task)
            if self._encoders is not None and self._encoders.given_up:
                done = replace(done, notes=(*done.notes, _GIVEN_UP))
            return done
        finally:
            with self._changed:
                if worker in self._lanes:
                    self._last[worker] = (task.film, task.segment.number)
                    self._free.append(worker)
                self._changed.notify_all()

    def places(self) -> int:
        """How many segments it works on at once by now: to be asked every second or so."""
        if self._encoders is not None:
            with self._changed:  # a loss, in another thread, begins the reckoning anew
                self._decide(self._encoders)
            lanes = [self._lane(far) for far in self._encoders.newly_ready()]
            with self._changed:
                self._lanes += lanes
                self._free += lanes
                self._changed.notify_all()
        return len(self._lanes)

    def _lane(self, elsewhere: FarEncoder | None = None) -> SegmentWorker:
        return SegmentWorker(self._stylizer, self._network.at, elsewhere=elsewhere)

    def _done_here(self, worker: SegmentWorker, task: SegmentTask) -> SegmentResult[bytes]:
        """Do a segment anew whose encoder is lost; its worker goes with that."""
        assert self._encoders is not None
        with self._changed:
            self._lanes.remove(worker)
            self._last.pop(worker, None)
            self._encoders.lose()
            self._used_before = None
        instead = self._lane()
        instead.tell = self.tell
        done = instead.process(task)
        return replace(done, notes=(*done.notes, _LOST))

    def _decide(self, encoders: HiredEncoders) -> None:
        """Want more encoders where what frames have cost of late says so."""
        now, before = self._used(), self._used_before
        if encoders.wanted == encoders.most or now.frames < _FRAMES_TO_WARM_UP:
            return
        if before is not None and now.wall < before.wall + _SECONDS_TO_JUDGE:
            return
        self._used_before = now
        if before is not None and (costs := (now - before).costs()) is not None:
            needed = min(encoders.most, encoders_needed(costs, self._processors))
            encoders.wanted = max(encoders.wanted, needed)

    def _used(self) -> Used:
        apart = [lane for lane in self._lanes if lane.elsewhere is not None]
        return Used(
            wall=time.monotonic(),
            waited=self._network.seconds_waited,
            processors=time.process_time(),
            decoding=self._network.processor_seconds
            + sum(lane.other_seconds for lane in self._lanes),
            packing=sum(lane.encoding_seconds for lane in apart),
            frames=sum(lane.frames for lane in self._lanes),
            packed=sum(lane.frames for lane in apart),
        )

    def _taken(self, after: _Place) -> SegmentWorker:
        """Wait for a worker, best the one that has done the segment before."""
        with self._changed:
            self._changed.wait_for(lambda: self._free)
            self._free.sort(key=lambda worker: self._last.get(worker) != after)
            return self._free.pop(0)
