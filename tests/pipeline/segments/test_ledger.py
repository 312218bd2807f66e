"""The ledger against a real file and a real work folder."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest

import pipeline.segments.ledger
from pipeline.segments.ledger import SegmentLedger
from pipeline.segments.packet_reader import EncodedPacket, PacketReader
from pipeline.segments.plan import Segment, plan_segments
from pipeline.segments.task import BegunPart, KeptResult, SegmentResult
from pipeline.segments.work_folder import WorkFolder
from pipeline.source.source_video import SourceVideo, probe


@pytest.fixture
def source(clip: Path) -> SourceVideo:
    return probe(clip)


@pytest.fixture
def segments(source: SourceVideo) -> list[Segment]:
    return plan_segments(source.packets, time_base=source.info.time_base, seconds=0.5)


class _SlowFolder(WorkFolder):
    """Writes nothing before it is told to."""

    written = Event()

    def record(self, result: SegmentResult[bytes]) -> KeptResult:
        self.written.wait()
        return super().record(result)


@pytest.fixture
def ledger_in(
    source: SourceVideo, segments: list[Segment], tmp_path: Path
) -> Iterator[Callable[..., SegmentLedger]]:
    opened: list[tuple[SegmentLedger, WorkFolder]] = []

    def make(kind: type[WorkFolder] = WorkFolder) -> SegmentLedger:
        folder = kind(tmp_path / "work", {})
        folder.open(resume=True)
        opened.append((SegmentLedger(source, segments, folder), folder))
        return opened[-1][0]

    yield make
    for ledger, folder in opened:
        ledger.close()
        folder.close()


class _FullFolder(WorkFolder):
    """Has no room for the second segment."""

    def record(self, result: SegmentResult[bytes]) -> KeptResult:
        if result.number == 1:
            raise OSError("No space left on device")
        return super().record(result)


def _whole(segment: Segment, piece: bytes = b"piece") -> SegmentResult[bytes]:
    return SegmentResult(segment.number, piece, segment.owned_pts, (), (), ())


def _take_all(ledger: SegmentLedger) -> list[Segment]:
    taken = []
    while handed_out := ledger.next():
        taken.append(handed_out[0])
    return taken


def test_what_was_accepted_is_found_by_the_next_run(
    ledger_in: Callable[..., SegmentLedger], segments: list[Segment]
) -> None:
    ledger = ledger_in()
    for segment in _take_all(ledger):
        ledger.accept(segment.number, _whole(segment))
    assert ledger.complete
    ledger.close()  # as where a run is interrupted
    again = _reopened(ledger_in, ledger)
    assert again.reused == len(segments) == 4
    assert again.frames_done == sum(len(segment.owned_pts) for segment in segments)
    assert again.pieces() == ledger.pieces()


def _reopened(make: Callable[..., SegmentLedger], ledger: SegmentLedger) -> SegmentLedger:
    ledger._folder.close()
    return make()


@pytest.mark.parametrize("most_bytes", [0, 1 << 30])
def test_packets_are_the_same_read_ahead_or_when_they_are_due(
    most_bytes: int,
    source: SourceVideo,
    ledger_in: Callable[..., SegmentLedger],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline.segments.ledger, "_BYTES_READ_AHEAD", most_bytes)
    ledger = ledger_in()
    read: list[int] = []
    read_one = ledger._reader.read

    def noted(segment: Segment) -> tuple[EncodedPacket, ...]:
        read.append(segment.number)
        return read_one(segment)

    monkeypatch.setattr(ledger._reader, "read", noted)
    first = ledger.next()
    assert first
    end = time.monotonic() + 300
    while most_bytes and len(read) < 4 and time.monotonic() < end:
        time.sleep(0.01)
    assert read == (list(range(4)) if most_bytes else [0])
    others = list(iter(ledger.next, None))
    with PacketReader(source) as reader:
        for handed_out in (first, *others):
            assert handed_out
            segment, packets = handed_out
            assert packets == reader.read(segment)
    assert read == list(range(4))


def test_a_ledger_that_is_closed_early_reads_no_further(
    ledger_in: Callable[..., SegmentLedger],
) -> None:
    ledger = ledger_in()
    before = threading.active_count()
    assert ledger.next()
    ledger.close()
    assert threading.active_count() <= before


def test_segments_go_out_while_results_are_still_written(
    ledger_in: Callable[..., SegmentLedger], segments: list[Segment]
) -> None:
    ledger = ledger_in(_SlowFolder)
    _SlowFolder.written.clear()
    try:
        for _ in segments:
            handed_out = ledger.next()
            assert handed_out
            assert ledger.accept(handed_out[0].number, _whole(handed_out[0]))
        assert ledger.complete
        assert not list(ledger._folder.path.glob("*.piece"))
    finally:
        _SlowFolder.written.set()
    pieces = [finished.piece for finished in ledger.pieces()]
    assert all(piece and piece.read_bytes() == b"piece" for piece in pieces)


def test_what_could_not_be_written_is_not_done(
    ledger_in: Callable[..., SegmentLedger], segments: list[Segment]
) -> None:
    ledger = ledger_in(_FullFolder)
    for segment in _take_all(ledger):
        with suppress(OSError):
            ledger.accept(segment.number, _whole(segment))
    ledger.close()
    assert ledger.done == len(segments) - 1


def test_no_more_than_so_much_waits_to_be_written(
    ledger_in: Callable[..., SegmentLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.segments.ledger, "_MOST_UNWRITTEN_BYTES", 10)
    ledger = ledger_in()
    first, second, third, _ = _take_all(ledger)
    ledger.accept(first.number, _whole(first, b"x" * 11))
    assert not ledger._unwritten
    for segment in (second, third):
        ledger.accept(segment.number, _whole(segment, b"x" * 6))
        assert len(ledger._unwritten) <= 1


def test_a_full_disk_is_told_by_what_comes_next(
    ledger_in: Callable[..., SegmentLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = threading.Event()

    def full_disk(_: Path, __: Path) -> None:
        accepted.wait(60)  # else the same call might already tell
        raise OSError(28, "No space left on device")

    ledger = ledger_in()
    first, second, *_ = _take_all(ledger)
    monkeypatch.setattr(Path, "replace", full_disk)
    ledger.accept(first.number, _whole(first))
    accepted.set()
    wait([written for written, _ in ledger._unwritten])
    with pytest.raises(OSError, match="No space"):
        ledger.accept(second.number, _whole(second))
    with pytest.raises(OSError, match="No space"):
        ledger.pieces()


def test_the_better_of_two_results_is_kept_though_the_first_is_still_written(
    ledger_in: Callable[..., SegmentLedger],
) -> None:
    ledger = ledger_in()
    taken = _take_all(ledger)
    damaged = dataclasses.replace(_whole(taken[2], b"worse"), errors=("invalid data",))
    frames = len(taken[2].owned_pts)
    assert ledger.accept(2, damaged) == frames
    handed_out = ledger.next()
    assert handed_out
    assert handed_out[0].number == 2
    assert handed_out[0].first_packet < taken[2].first_packet
    assert ledger.at_work
    assert ledger.accept(2, _whole(taken[2], b"better")) == 0
    assert ledger.frames_done == frames
    for number in (0, 1, 3):
        ledger.accept(number, _whole(taken[number]))
    assert ledger.complete
    kept = ledger.pieces()[2]
    assert kept.redone
    assert kept.piece
    assert kept.piece.read_bytes() == b"better"


def test_frames_told_by_workers_count_once_and_not_where_the_worker_fails(
    ledger_in: Callable[..., SegmentLedger], segments: list[Segment]
) -> None:
    ledger = ledger_in()
    _take_all(ledger)
    ledger.advanced(0, 3)
    ledger.advanced(0, 7)
    ledger.advanced(1, 2)
    ledger.advanced(0, 1)  # begun again after its worker died
    assert ledger.frames_done == 9
    assert ledger.accept(0, _whole(segments[0])) == len(segments[0].owned_pts) == 12
    assert ledger.frames_done == 14
    assert ledger.accept(1, None) is None
    assert ledger.frames_done == 12


def test_a_second_attempt_tells_of_no_more_frames(
    ledger_in: Callable[..., SegmentLedger], segments: list[Segment]
) -> None:
    ledger = ledger_in()
    _take_all(ledger)
    damaged = dataclasses.replace(_whole(segments[2]), errors=("damaged",))
    ledger.accept(2, damaged)
    assert ledger.next()
    ledger.advanced(2, 5)
    assert ledger.frames_done == len(segments[2].owned_pts)


def test_a_second_attempt_is_given_none_of_the_first_ones_frames(
    ledger_in: Callable[..., SegmentLedger],
) -> None:
    """They are still there while the first result is on its way to the disk."""
    _SlowFolder.written.clear()
    ledger = ledger_in(_SlowFolder)
    segments = _take_all(ledger)
    ledger.advanced(2, 1, [BegunPart(0, b"frames")])
    assert ledger.begun(2)
    ledger.accept(
        2, dataclasses.replace(_whole(segments[2]), corrupt_pts=segments[2].owned_pts[:1])
    )
    assert ledger.begun(2) == ()
    _SlowFolder.written.set()
