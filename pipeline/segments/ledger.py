"""Which segments of one video are finished, which are at workers, and which wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial

from pipeline.segments.order import SegmentOrder
from pipeline.segments.packet_reader import EncodedPacket, PacketReader
from pipeline.segments.packets import RunReaders
from pipeline.segments.plan import Segment, with_pre_roll
from pipeline.segments.task import StylizedSegment
from pipeline.segments.work_folder import FinishedSegment, WorkFolder
from pipeline.source.source_video import SourceVideo
from pipeline.work.read_ahead import prefetch

_WRITERS = 4
"""Threads that hash and write: what a disk far away takes its time for, it does for several."""
_MOST_UNWRITTEN = 16
_MOST_UNWRITTEN_BYTES = 64 << 20
_MOST_READ_AHEAD = 4
_BYTES_READ_AHEAD = 8 << 20
"""As many of a file's largest segment as fit in it: those of large frames are read in time."""


class SegmentLedger:
    """Hands out the segments of a video and keeps what comes back, in an opened work folder.

    Results are written beside the hand-out of others: ``close`` and ``pieces`` wait for them. What
    writing raised is raised by the ``accept`` or the ``pieces`` that comes next.

    A segment that comes out damaged is handed out a second time, with pre-roll where there is any,
    and the better of its two results is kept: see ``with_pre_roll``.
    """

    def __init__(
        self, source: SourceVideo, segments: Sequence[Segment], folder: WorkFolder
    ) -> None:
        self._source = source
        self._segments = segments
        self._folder = folder
        self._finished: dict[int, FinishedSegment] = {}
        self._unwritten: dict[int, _Unwritten] = {}
        """By number, oldest first."""
        self.frames_done = 0
        """Frames in finished segments, the missing ones counted too."""
        self._again: deque[Segment] = deque()
        self._out: dict[int, Segment] = {}
        for segment in segments:
            found = folder.finished(segment)
            if found:
                self._finished[segment.number] = found
                self._count(found, segment, redone=found.redone)
        self.reused = len(self._finished)
        fresh = [s for s in segments if s.number not in self._finished]
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

    @property
    def complete(self) -> bool:
        """Whether nothing waits or is at a worker."""
        return not (len(self._order) or self._again or self._out)

    @property
    def at_work(self) -> bool:
        """Whether segments are at workers."""
        return bool(self._out)

    @property
    def done(self) -> int:
        """How many segments are written, beside those used again; once closed, all that will be."""
        records = {number: unwritten.record for number, unwritten in self._unwritten.items()}
        written = {n for n, record in records.items() if record.done() and not record.exception()}
        return len(self._finished.keys() | written) - self.reused

    def next(self, after: int | None = None) -> tuple[Segment, tuple[EncodedPacket, ...]] | None:
        """Hand out a segment that waits, with its packets; second attempts come first.

        ``after`` is the number of the last one that the worker has had. Raises MediaError when the
        file has changed meanwhile.
        """
        if self._again:
            segment = self._again.popleft()
            packets = self._reader_behind.read(segment)
        else:
            found = self._order.take(after, self._out)
            if found is None:
                return None
            segment = found
            if self._is_in_order:
                packets = next(self._read)
            else:
                packets = self._run_readers.read(segment, self._order.linked)
        self._out[segment.number] = segment
        return segment, packets

    def _read_in_order(
        self, fresh: Sequence[Segment]
    ) -> Generator[tuple[EncodedPacket, ...], None, None]:
        """Read what was never handed out, ahead of the hand-out where that takes little memory."""
        packets = map(self._reader.read, fresh)
        most = max((s.end_packet - s.first_packet for s in fresh), default=1)
        largest = most / len(self._source.packets.pts) * self._source.path.stat().st_size
        depth = min(_MOST_READ_AHEAD, int(_BYTES_READ_AHEAD / max(1.0, largest)))
        yield from prefetch(packets, depth=depth) if depth else packets

    def accept(self, number: int, result: StylizedSegment) -> int:
        """Keep the result of a segment handed out; returns how many more frames are done.

        Waits while too much of what came before is still to be written. Raises OSError when that
        could not be.
        """
        segment = self._out.pop(number)
        first = self._recorded(number)
        if first is None:
            self._write(number, len(result.piece), partial(self._folder.record, result))
            frames = self._count(result, segment, redone=False)
        else:
            better = partial(self._folder.record_better, first, result)
            self._write(number, len(result.piece), better)
            frames = 0
        self._settle(_MOST_UNWRITTEN, _MOST_UNWRITTEN_BYTES)
        return frames

    def give_up(self, number: int) -> bool:
        """Take back a segment whose worker failed; tells whether an earlier result is there."""
        self._out.pop(number)
        first = self._recorded(number)
        if first is None:
            return False
        self._finished[number] = self._folder.record_better(first, None)
        return True

    def pieces(self) -> list[FinishedSegment]:
        """All finished segments, in the order of showing. Raises OSError: see ``accept``."""
        self._settle(0, 0)
        return [self._finished[segment.number] for segment in self._segments]

    def close(self) -> None:
        """Wait until what was accepted is written, and close the source."""
        self._resources.close()

    def _count(
        self, result: FinishedSegment | StylizedSegment, segment: Segment, *, redone: bool
    ) -> int:
        """Count a segment's frames as done, and have it done again where that may help."""
        if (result.missing_pts or result.corrupt_pts or result.errors) and not redone:
            longer = with_pre_roll(self._source.packets, segment)
            if longer:
                self._again.append(longer)
        frames = len(result.pts) + len(result.missing_pts)
        self.frames_done += frames
        return frames

    def _write(self, number: int, size: int, record: Callable[[], FinishedSegment]) -> None:
        self._unwritten[number] = _Unwritten(self._writers.submit(record), size)

    def _recorded(self, number: int) -> FinishedSegment | None:
        """The segment's earlier result, if there is one; waits until it is written."""
        if number in self._unwritten:
            self._settle(0, 0)
        return self._finished.get(number)

    def _settle(self, most: int, most_bytes: int) -> None:
        """Take note of what is written, and wait until no more than so much is not."""
        size = sum(unwritten.size for unwritten in self._unwritten.values())
        for number, oldest in list(self._unwritten.items()):
            if len(self._unwritten) <= most and size <= most_bytes and not oldest.record.done():
                return
            del self._unwritten[number]
            size -= oldest.size
            self._finished[number] = oldest.record.result()


@dataclass(frozen=True)
class _Unwritten:
    """A result on its way to the work folder."""

    record: Future[FinishedSegment]
    size: int
    """Bytes of its piece."""
