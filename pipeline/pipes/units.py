"""Segments of a stream on their way through a pool: handed out as they come, written in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import av

from pipeline.pipes.reading import PipedSegment, PipeReader
from pipeline.segments.task import SegmentResult, SegmentTask
from pipeline.work.pool import Unit

Written: TypeAlias = "tuple[SegmentResult[bytes], tuple[av.Packet[Any], ...]]"
"""A segment's result, and the packets of other streams that came with it."""


class PipedUnits:
    """The units of a stream; no more are out than two for each worker, so memory is bounded."""

    def __init__(
        self,
        reader: PipeReader,
        make_task: Callable[[PipedSegment], SegmentTask],
        *,
        workers: int,
    ) -> None:
        self._reader = reader
        self._make_task = make_task
        self._most = 2 * max(1, workers)
        self._out = 0
        """How many were handed out."""
        self._written = 0
        self._beside: dict[int, tuple[av.Packet[Any], ...]] = {}
        self._results: dict[int, SegmentResult[bytes]] = {}
        self._has_ended = False

    def next_for(self, _: Any) -> Unit[SegmentTask] | None:
        """Return the next one; None: ask again. Raises StopIteration at the end, and MediaError."""
        if self._has_ended:
            raise StopIteration
        if self._out - self._written >= self._most:
            return None
        try:
            piped = self._reader.next()
        except StopIteration:
            self._has_ended = True
            raise
        if piped is None:
            return None
        self._out += 1
        self._beside[piped.segment.number] = piped.beside
        return Unit(piped.segment.number, self._make_task(piped))

    def in_order(self, result: SegmentResult[bytes]) -> Iterator[Written]:
        """Take a result back, and yield what can be written now."""
        self._results[result.number] = result
        while self._written in self._results:
            number = self._written
            yield self._results.pop(number), self._beside.pop(number)
            self._written += 1
