"""Which segments of one video are finished, which are at workers, and which wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

from pipeline.segments.order import SegmentOrder
from pipeline.segments.packet_reader import EncodedPacket, PacketReader, RunReaders
from pipeline.segments.plan import Segment, with_pre_roll
from pipeline.segments.task import BegunPart, KeptResult, SegmentResult
from pipeline.segments.work_folder import WorkFolder
from pipeline.source.source_video import SourceVideo
from pipeline.work.read_ahead import prefetch

Packets = tuple[EncodedPacket, ...]

_WRITERS = 4
"""Threads that hash and write: what a disk far away takes its time for, it does for several."""
_MOST_UNWRITTEN = 16
_MOST_UNWRITTEN_BYTES = 64 << 20
_MOST_READ_AHEAD = 4
_BYTES_READ_AHEAD = 8 << 20
"""As many of a file's largest segment as fit in it: those of large frames are read in time."""


class SegmentLedger:
    """Hands out the segments of a video and keeps what comes back, in an opened work folder.

    It is for one thread at a time. Results are written beside the hand-out of others: ``close`` and
    ``pieces`` wait for them. What writing raised is raised by the next ``accept`` or ``pieces``.

    A segment that comes out damaged is handed out a second time, with pre-roll where there is any,
    and the better of its two results is kept: see ``with_pre_roll``.
    """

    def __init__(
        self, source: SourceVideo, segments: Sequence[Segment], folder: WorkFolder
    ) -> None:
        self._source = source
        self._segments = segments
        self._folder = folder
        self._results: dict[int, Future[KeptResult]] = {}
        """By segment number: what is in the work folder, or on its way there."""
        self._unwritten: deque[tuple[Future[KeptResult], int]] = deque()
        """Those on their way with the bytes of their pieces, oldest first."""
        self.frames_done = 0
        """Frames in finished segments, the missing ones counted too, and as many of those at
        workers as these have told."""
        self._told: dict[int, int] = {}
        """By segment number: frames that its worker has told as done."""
        self._again: deque[Segment] = deque()
        self._out: dict[int, Segment] = {}
        for segment in segments:
            found = folder.finished(segment)
            if found:
                self._results[segment.number] = Future()
                self._results[segment.number].set_result(found)
                self._count(found, segment, redone=found.redone)
        self.reused = len(self._results)
        fresh = [s for s in segments if s.number not in self._results]
        self._order = SegmentOrder(segments, [segment.number for segment in fresh])
        self._resources = ExitStack()
        self._writers = self._resources.enter_context(ThreadPoolExecutor(_WRITERS, "record"))
        # Second attempts lie behind the first ones in the file: each way is read forward.
        self._reader = self._resources.enter_context(PacketReader(source))
        self._reader_behind = self._resources.enter_context(PacketReader(source))
        self._run_readers = self._resources.enter_context(closing(RunReaders(source)))
        self._is_in_order = not self._order.linked
        in_order = fresh if self._is_in_order else []
        self._read = self._resources.enter_context(closing(self._read_in_order(in_order)))
        # Its end is waited for first: a generator at work cannot be closed.
        self._reading = self._resources.enter_context(ThreadPoolExecutor(1, "read"))

    @property
    def complete(self) -> bool:
        """Whether nothing waits or is at a worker."""
        return not (len(self._order) or self._again or self._out)

    @property
    def at_work(self) -> bool:
        """Whether segments are at workers."""
        return bool(self._out)

    @property
    def without_result(self) -> list[Segment]:
        """Segments that are not finished, in the order of showing."""
        return [segment for segment in self._segments if segment.number not in self._results]

    @property
    def done(self) -> int:
        """How many segments are written, beside those used again; once closed, all that will be."""
        written = [each for each in self._results.values() if each.done() and not each.exception()]
        return len(written) - self.reused

    def next(self, after: int | None = None) -> tuple[Segment, tuple[EncodedPacket, ...]] | None:
        """Hand out a segment that waits, with its packets; second attempts come first.

        ``after`` is the number of the last one that the worker has had. Raises MediaError when the
        file has changed meanwhile.
        """
        if self._again:
            segment = self._again.popleft()
            packets = self._read_beside(self._reader_behind.read, segment)
        else:
            found = self._order.take(after, self._out)
            if found is None:
                return None
            segment = found
            if self._is_in_order:
                packets = self._read_beside(next, self._read)
            else:
                packets = self._read_beside(self._run_readers.read, segment, self._order.linked)
        self._out[segment.number] = segment
        return segment, packets

    def _read_in_order(
        self, fresh: Sequence[Segment]
    ) -> Generator[tuple[EncodedPacket, ...], None, None]:
        """Read what was never handed out, ahead of the hand-out where that takes little memory."""
        packets = map(self._reader.read, fresh)
        most = max((s.end_packet - s.first_packet for s in fresh), default=1)
        largest = most / len(self._source.packets.pts) * self._source.packets.size
        depth = min(_MOST_READ_AHEAD, int(_BYTES_READ_AHEAD / max(1.0, largest)))
        yield from prefetch(packets, depth=depth) if depth else packets

    def _read_beside(self, read: Callable[..., Packets], *arguments: Any) -> Packets:
        """Read in a thread: PyAV drops a Ctrl-C that comes while it reads from a Python file."""
        return self._reading.submit(read, *arguments).result()

    def begun(self, number: int) -> tuple[BegunPart, ...]:
        """Find what an earlier run has kept of a segment; nothing for a second attempt."""
        return () if number in self._results else self._folder.begun(number)

    def frames_kept(self, segment: Segment) -> int:
        """How many of its own frames an earlier run has kept, which are not stylized again."""
        from pipeline.segments.begun import unpacked  # torch

        frames = [*segment.warm_pts, *segment.owned_pts]
        kept = sum(len(batch.pts) for batch in unpacked(self.begun(segment.number), frames))
        return max(0, kept - len(segment.warm_pts))

    def advanced(self, number: int, frames: int, parts: Sequence[BegunPart] = ()) -> None:
        """Count ``frames`` of a segment at a worker as done, and keep ``parts`` of it."""
        if number in self._results:  # a second attempt: all frames of the first one are counted
            return
        for part in parts:
            self._folder.keep_begun(number, part)
        more = frames - self._told.get(number, 0)
        if more > 0:
            self._told[number] = frames
            self.frames_done += more

    def accept(self, number: int, result: SegmentResult[bytes] | None) -> int | None:
        """Take back a segment handed out, with None where its worker failed.

        Returns how many more frames are done; None where the segment has no result at all. Waits
        while too much of what came before is still to be written. Raises OSError when that could
        not be.
        """
        segment = self._out.pop(number)
        self.frames_done -= self._told.pop(number, 0)
        before = self._results.get(number)
        size = len(result.piece) if result else 0
        if before is not None:
            self._write(number, size, partial(self._folder.record_better, before.result(), result))
            return 0
        if result is None:
            return None
        frames = self._count(result, segment, redone=False)
        self._write(number, size, partial(self._folder.record, result))
        return frames

    def start_seconds(self, number: int) -> float:
        """When a segment is shown first, in seconds."""
        return float(self._segments[number].owned_pts[0] * self._source.info.time_base)

    def pieces(self) -> list[KeptResult]:
        """All finished segments, in the order of showing. Raises OSError: see ``accept``."""
        return [self._results[segment.number].result() for segment in self._segments]

    def close(self) -> None:
        """Wait until what was accepted is written, and close the source."""
        self._resources.close()

    def _count(
        self, result: KeptResult | SegmentResult[bytes], segment: Segment, *, redone: bool
    ) -> int:
        """Count a segment's frames as done, and have it done again where that may help."""
        if any(result.damage) and not (redone or self._source.pictures):
            longer = with_pre_roll(self._source.packets, segment)
            if longer:
                self._again.append(longer)
        frames = len(result.pts) + len(result.missing_pts)
        self.frames_done += frames
        return frames

    def _write(self, number: int, size: int, record: Callable[[], KeptResult]) -> None:
        """Write beside the caller; wait for the oldest ones while too much is unwritten."""
        self._results[number] = self._writers.submit(record)
        self._unwritten.append((self._results[number], size))
        total = sum(size for _, size in self._unwritten)
        while self._unwritten:
            oldest, size = self._unwritten[0]
            few = len(self._unwritten) <= _MOST_UNWRITTEN and total <= _MOST_UNWRITTEN_BYTES
            if few and not oldest.done():
                return
            self._unwritten.popleft()
            total -= size
            oldest.result()
