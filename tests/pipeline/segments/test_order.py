"""Neighbouring segments go to one worker: counted is what decoders are given, never time."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.applying.workers import make_segment_worker
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.library import find_style
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.films.film import Film
from pipeline.films.output import PlannedFilm
from pipeline.looks.direction import Direction, Scene
from pipeline.looks.look import Look
from pipeline.segments.decoder import SegmentDecoder
from pipeline.segments.order import SegmentOrder
from pipeline.segments.packet_reader import EncodedPacket, PacketReader, RunReaders
from pipeline.segments.plan import Segment, plan_segments
from pipeline.segments.task import SegmentResult
from pipeline.source.source_video import probe
from pipeline.work.pool import Outcome, Worker
from tests.kit.media import make_clip

_FRAMES = 288


@pytest.fixture(scope="module")
def one_keyframe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds with one keyframe."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    make_clip(path, frames=_FRAMES, sound=False, options={"g": "9999", "sc_threshold": "0"})
    return path


@pytest.fixture(scope="module")
def some_keyframes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a keyframe each second, two segments from one to the next."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    make_clip(path, frames=_FRAMES, sound=False, options={"g": "24", "sc_threshold": "0"})
    return path


def _stylized(path: Path, output: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> float:
    """Stylize with so many workers; returns how many packets were decoded for each frame."""
    fed: list[int] = []
    feed = SegmentDecoder._feed

    def counted(decoder: SegmentDecoder, packet: Any, pts: int) -> Any:
        if packet is not None:
            fed.append(pts)
        return feed(decoder, packet, pts)

    spec, style = StyleSpec("identity"), find_style("identity")
    job = StylizeVideo((path,), output, spec, PoolSpec(workers=0), segment_seconds=0.5)
    run = Film(PlannedFilm(path, output), job, Direction(Scene(spec), {spec: style}))
    with monkeypatch.context() as patch:
        patch.setattr(SegmentDecoder, "_feed", counted)
        run.scan()
        assert run.report.error is None
        _work(
            run,
            [make_segment_worker({spec: style}, Look(spec), threads=1) for _ in range(workers)],
            fed,
        )
        run.finish()
    run.close()
    assert run.report.status == "done", run.report.error
    return len(fed) / run.report.frames_out


def _work(run: Film, workers: Sequence[Worker], fed: list[int]) -> None:
    """Have the workers work at once, as if a frame took one tick, and a tenth to decode."""
    turns = [(0.0, number) for number in range(len(workers))]
    last: dict[int, Any] = {}
    done: dict[int, Outcome[SegmentResult[bytes]]] = {}
    while turns:
        now, number = heapq.heappop(turns)
        if number in done:  # it asks before its result is looked at, as in a pool
            unit = run.next_unit(0, last[number])
            run.accept(done.pop(number))
        else:
            unit = run.next_unit(0, last.get(number))
        if unit is not None:
            before = len(fed)
            done[number] = Outcome(unit.key, workers[number].process(unit.task))
            last[number] = unit.key
            now += len(unit.task.segment.owned_pts) + (len(fed) - before) / 10
        elif run.waiting:
            now += 5
        else:
            continue
        heapq.heappush(turns, (now, number))


@pytest.mark.parametrize(
    ("film", "most"),
    [("one_keyframe", {1: 1.01, 2: 1.6, 8: 4.15}), ("some_keyframes", {1: 1.01, 2: 1.01, 8: 1.3})],
)
def test_what_one_worker_has_decoded_few_others_decode_again(
    film: str,
    most: dict[int, float],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Handed out in their order, whoever asks: 1.81 and 4.22 frames for each, and twice 1.58."""
    path, outputs = request.getfixturevalue(film), set()
    for workers, ratio in most.items():
        folder = tmp_path / str(workers)
        folder.mkdir()
        assert _stylized(path, folder / "out.mp4", workers, monkeypatch) <= ratio
        outputs.add((folder / "out.mp4").read_bytes())
    assert len(outputs) == 1


def _segments(*chains: int) -> list[Segment]:
    """Chains of so many segments of one frame, each chain with a keyframe of its own."""
    first_packets = [
        sum(chains[:chain]) for chain, length in enumerate(chains) for _ in range(length)
    ]
    return [Segment(n, first, n + 1, (n,)) for n, first in enumerate(first_packets)]


def test_a_worker_goes_on_and_a_new_one_begins_elsewhere() -> None:
    order = SegmentOrder(_segments(3, 2, 1), range(6))
    taken = [_number(order.take(after, ())) for after in (None, None, 0, 3, 1, 4)]
    assert taken == [0, 3, 1, 4, 2, 5]
    assert len(order) == 0
    assert order.take(None, ()) is None


def test_segments_that_follow_each_other_are_a_chain_whatever_their_keyframes() -> None:
    segments = [replace(each, warm_pts=each.owned_pts) for each in _segments(1, 1, 1, 1)]
    order = SegmentOrder(segments, range(4))
    assert [
        _number(order.take(after, at_work))
        for after, at_work in ((None, ()), (None, (0,)), (0, (0, 2)), (2, (1, 2)))
    ] == [0, 2, 1, 3]


def test_the_second_half_of_a_long_chain_goes_to_the_next_worker() -> None:
    order = SegmentOrder(_segments(8), range(8))
    assert [_number(order.take(None, at_work)) for at_work in ((), (0,), (0, 4))] == [0, 4, 2]


def test_a_little_at_the_end_of_a_long_chain_is_left_to_the_worker_that_comes_by() -> None:
    order = SegmentOrder(_segments(1, 20), [19, 20])
    assert _number(order.take(None, ())) == 19
    assert order.take(0, {19}) is None
    assert _number(order.take(19, {19})) == 20


def test_after_a_stop_what_has_no_one_before_it_begins_a_chain() -> None:
    order = SegmentOrder(_segments(6), [1, 2, 4, 5])
    assert [_number(order.take(after, ())) for after in (None, None, 1, 4)] == [1, 4, 2, 5]


def _number(segment: Segment | None) -> int:
    assert segment is not None
    return segment.number


def test_packets_are_those_of_a_plain_reader_in_whatever_order(some_keyframes: Path) -> None:
    source = probe(some_keyframes)
    segments = plan_segments(source.packets, time_base=source.info.time_base, seconds=0.5)
    with closing(RunReaders(source)) as readers, PacketReader(source) as reader:
        for number in (0, 2, 1, 6, 3, 7, 4, 5):
            expected = {number + 1, 3}
            found = readers.read(segments[number], expected)
            assert found == reader.read(segments[number])
        assert len(readers._readers) <= 4


def test_a_film_of_many_bytes_is_read_once_and_its_packets_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "intra.mp4"
    make_clip(path, frames=48, sound=False, options={"g": "1"})
    monkeypatch.setattr("pipeline.segments.packet_reader._MOST_KEPT_BYTES", 0)
    read: list[EncodedPacket] = []
    following = PacketReader._next

    def counted(reader: PacketReader) -> EncodedPacket:
        read.append(following(reader))
        return read[-1]

    monkeypatch.setattr(PacketReader, "_next", counted)
    source = probe(path)
    segments = plan_segments(source.packets, time_base=source.info.time_base, seconds=0.25)
    with closing(RunReaders(source)) as readers, PacketReader(source) as alone:
        found = [readers.read(segment, ()) for segment in segments]
        assert len(read) == 48
        assert not any(reader._kept for reader in readers._readers.values())
        assert found[5] == alone.read(segments[5])
