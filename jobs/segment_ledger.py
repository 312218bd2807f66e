"""Which segments of one video are finished, which are at workers, and which wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack

from pipeline.packet_reader import EncodedPacket, PacketReader
from pipeline.segment_worker import StylizedSegment
from pipeline.segments import Segment, with_pre_roll
from pipeline.source_video import SourceVideo
from pipeline.work_folder import FinishedSegment, WorkFolder


class SegmentLedger:
    """Hands out the segments of a video and keeps what comes back, in an opened work folder.

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
        self._again: deque[Segment] = deque()
        self._out: dict[int, Segment] = {}
        for segment in segments:
            found = folder.finished(segment)
            if found:
                self._keep(found, segment)
        self.reused = len(self._finished)
        self._fresh = deque(s for s in segments if s.number not in self._finished)
        self._resources = ExitStack()
        # Second attempts lie behind the first ones in the file: each way is read forward.
        self._reader = self._resources.enter_context(PacketReader(source))
        self._reader_behind = self._resources.enter_context(PacketReader(source))

    @property
    def complete(self) -> bool:
        """Whether nothing waits or is at a worker."""
        return not (self._fresh or self._again or self._out)

    @property
    def at_work(self) -> bool:
        """Whether segments are at workers."""
        return bool(self._out)

    @property
    def frames_done(self) -> int:
        """Frames in finished segments, the missing ones counted too."""
        return sum(_frames(finished) for finished in self._finished.values())

    def next(self) -> tuple[Segment, tuple[EncodedPacket, ...]] | None:
        """Hand out a segment that waits, with its packets; second attempts come first.

        Raises MediaError when the file has changed meanwhile.
        """
        if self._again:
            segment = self._again.popleft()
            packets = self._reader_behind.read(segment)
        elif self._fresh:
            segment = self._fresh.popleft()
            packets = self._reader.read(segment)
        else:
            return None
        self._out[segment.number] = segment
        return segment, packets

    def accept(self, number: int, result: StylizedSegment) -> int:
        """Keep the result of a segment handed out; returns how many more frames are done."""
        segment = self._out.pop(number)
        first = self._finished.get(number)
        if first is None:
            self._keep(self._folder.record(result), segment)
            return _frames(self._finished[number])
        self._finished[number] = self._folder.record_better(first, result)
        return 0

    def give_up(self, number: int) -> bool:
        """Take back a segment whose worker failed; tells whether an earlier result is there."""
        self._out.pop(number)
        first = self._finished.get(number)
        if first is None:
            return False
        self._finished[number] = self._folder.record_better(first, None)
        return True

    def pieces(self) -> list[FinishedSegment]:
        """All finished segments, in the order of showing."""
        return [self._finished[segment.number] for segment in self._segments]

    def close(self) -> None:
        """Close the source."""
        self._resources.close()

    def _keep(self, finished: FinishedSegment, segment: Segment) -> None:
        self._finished[finished.number] = finished
        if any(finished.damage) and not finished.redone:
            longer = with_pre_roll(self._source.packets, segment)
            if longer:
                self._again.append(longer)


def _frames(finished: FinishedSegment) -> int:
    return len(finished.pts) + len(finished.missing_pts)
