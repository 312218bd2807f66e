"""A segment that is stopped half way goes on with the frames it has, and comes out the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import accumulate, chain, count, repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import pipeline.segments.begun
from nst_core.checkpoints.library import Style
from nst_core.color.yuv import YuvFrames
from nst_core.stylizer import Stylizer
from pipeline.encoding.encoders import choose_encoder
from pipeline.encoding.output_frame import plan_output
from pipeline.segments.begun import Batch, FrameKeeper, unpacked
from pipeline.segments.packet_reader import PacketReader
from pipeline.segments.plan import plan_segments, warm_up_frames
from pipeline.segments.task import BegunPart, SegmentResult, SegmentTask
from pipeline.segments.worker import SegmentWorker
from pipeline.source.source_video import probe
from tests.kit.media import make_clip

_FRAMES_A_PART = 3


@pytest.fixture(autouse=True)
def _every_segment_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by a second with each look: one for each frame."""
    _set_clock(monkeypatch, count())
    monkeypatch.setattr(pipeline.segments.begun, "_SECONDS_BETWEEN", _FRAMES_A_PART)


def _set_clock(monkeypatch: pytest.MonkeyPatch, seconds: Iterator[float]) -> None:
    monkeypatch.setattr(
        pipeline.segments.begun, "time", SimpleNamespace(monotonic=partial(next, seconds))
    )


def _task(folder: Path, coherence: float = 0.0, **clip: Any) -> SegmentTask:
    film = folder / "film.mkv"
    make_clip(film, frames=48, sound=False, **clip)
    source = probe(film)
    encoder = choose_encoder(Path("out.mkv"), source.info)
    segment = plan_segments(
        source.packets,
        time_base=source.info.time_base,
        seconds=0.5,
        warm_up=warm_up_frames(coherence),
    )[1]
    with PacketReader(source) as reader:
        output = plan_output(source.info, encoder)
        packets = reader.read(segment)
    return SegmentTask(segment, source.info, output, packets, film=0, coherence=coherence)


def _done(
    task: SegmentTask, style: Style, *, threads: int = 1
) -> tuple[SegmentResult[bytes], list[BegunPart], int]:
    """What comes of a task, the parts that were to be kept, and how often the network ran."""
    parts: list[BegunPart] = []
    stylizer = Stylizer(style, threads=threads)
    worker = SegmentWorker(stylizer)
    worker.tell = lambda frames, part: parts.append(part) if part else None
    runs = 0
    run = stylizer._generated

    def counted(*how: Any) -> Any:
        nonlocal runs
        runs += 1
        return run(*how)

    stylizer._generated = counted  # type: ignore[assignment, method-assign]
    return worker.process(task), parts, runs


@pytest.mark.parametrize(
    ("pixel_format", "coherence"),
    [
        *(("yuv420p", 0.0), ("yuv420p10le", 0.7)),
        pytest.param("yuv420p", 0.7, marks=pytest.mark.slow),
        pytest.param("yuv420p10le", 0.0, marks=pytest.mark.slow),
    ],
)
def test_a_segment_goes_on_from_any_part_to_the_same_bytes(
    coherence: float, pixel_format: str, style: Style, tmp_path: Path
) -> None:
    task = _task(tmp_path, coherence, pixel_format=pixel_format)
    whole, parts, runs = _done(task, style)
    frames = len(task.segment.owned_pts) + len(task.segment.warm_pts)
    assert runs == frames
    assert [part.number for part in parts] == list(range(len(parts)))
    assert len(parts) >= 3
    for kept in (1, len(parts) - 1):
        begun = replace(task, begun=tuple(parts[:kept]))
        again, more, runs = _done(begun, style)
        assert again == whole
        assert runs == frames - sum(len(each.pts) for each in _batches(parts[:kept], task))
        assert kept > 1 or more[0].number == 1
    assert 0 < runs < _FRAMES_A_PART * 2


@pytest.mark.parametrize("coherence", [0.0, 0.7])
def test_a_worker_that_takes_more_frames_at_once_goes_on_too(
    coherence: float, style: Style, tmp_path: Path
) -> None:
    task = _task(tmp_path, coherence)
    whole, parts, _ = _done(task, style)
    frames = [len(batch.pts) for batch in _batches(parts[:2], task)]
    threads = next(threads for threads in (2, 3, 5) if sum(frames) % threads)
    again, _, runs = _done(replace(task, begun=tuple(parts[:2])), style, threads=threads)
    assert again == whole
    assert runs <= len(task.segment.owned_pts) + len(task.segment.warm_pts) - sum(frames)


def _batches(parts: list[BegunPart], task: SegmentTask) -> Iterator[Any]:
    return unpacked(parts, [*task.segment.warm_pts, *task.segment.owned_pts])


@pytest.mark.parametrize(
    "damage", ["cut", "changed", "its header changed", "missing", "of another segment"]
)
def test_parts_that_are_damaged_or_out_of_place_are_done_again(
    damage: str, style: Style, tmp_path: Path
) -> None:
    task = _task(tmp_path)
    whole, parts, _ = _done(task, style)
    data = bytearray(parts[1].data)
    data[len(data) // 2] ^= 255
    header = bytearray(parts[1].data)
    header[29] ^= 255
    second = {
        "cut": [BegunPart(1, parts[1].data[:-100])],
        "changed": [BegunPart(1, bytes(data))],
        "its header changed": [BegunPart(1, bytes(header))],
        "missing": [],
        "of another segment": [parts[0]],
    }[damage]
    begun = replace(task, begun=(parts[0], *second, *parts[2:]))
    assert len(list(_batches(list(begun.begun), task))) == 1
    assert _done(begun, style)[0] == whole


def test_no_more_is_kept_of_a_segment_than_a_run_to_come_can_hold(
    style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.segments.begun, "_MOST_BYTES", 1)
    task = _task(tmp_path)
    whole, parts, _ = _done(task, style)
    assert len(parts) == 1
    assert _done(replace(task, begun=tuple(parts)), style)[0] == whole


def test_a_segment_that_goes_on_holds_no_more_than_one_that_did_not_stop(
    style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = _task(tmp_path)
    _, parts, _ = _done(task, style)
    monkeypatch.setattr(pipeline.segments.begun, "_MOST_BYTES", len(parts[0].data))
    assert _done(replace(task, begun=tuple(parts[:1])), style)[1] == []


def test_frames_that_come_quickly_are_let_go(
    style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.segments.begun, "_BYTES_AT_ONCE", 1)
    monkeypatch.setattr(pipeline.segments.begun, "_SOON_SECONDS", 12)
    assert _done(_task(tmp_path), style)[1] == []


def test_what_comes_slowly_after_a_quick_beginning_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where other work begins on the machine."""
    monkeypatch.setattr(pipeline.segments.begun, "_SECONDS_BETWEEN", 5)
    _set_clock(monkeypatch, accumulate(chain([0.0] + [0.01] * 50, repeat(1.0))))
    assert _frames_kept(100) == [*range(100)]


@pytest.mark.parametrize(("frames", "kept"), [(100, []), (150, [*range(20)])])
def test_large_frames_are_kept_where_all_to_come_take_more_than_some_seconds(
    frames: int, kept: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten in a second, a part for each."""
    monkeypatch.setattr(pipeline.segments.begun, "_SECONDS_BETWEEN", 5)
    monkeypatch.setattr(pipeline.segments.begun, "_SOON_SECONDS", 12)
    monkeypatch.setattr(pipeline.segments.begun, "_BYTES_AT_ONCE", 1)
    _set_clock(monkeypatch, accumulate(repeat(0.1)))
    assert _frames_kept(frames)[:20] == kept


def test_no_part_is_larger_than_it_is_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    size = _batch(0).size
    monkeypatch.setattr(pipeline.segments.begun, "_SECONDS_BETWEEN", 10**6)
    monkeypatch.setattr(pipeline.segments.begun, "_SOON_SECONDS", 0)
    monkeypatch.setattr(pipeline.segments.begun, "_BYTES_AT_ONCE", 4 * size)
    keeper = FrameKeeper(12)
    parts = [keeper.add(_batch(number)) for number in range(12)]
    assert [number for number, part in enumerate(parts) if part] == [3, 7, 11]


def _batch(pts: int) -> Batch:
    planes = YuvFrames(torch.zeros((1, 8, 8)), torch.zeros((1, 2, 4, 4)))
    return Batch([pts], planes)


def _frames_kept(frames: int) -> list[int]:
    keeper = FrameKeeper(frames)
    parts = filter(None, [keeper.add(_batch(pts)) for pts in range(frames)])
    return [pts for batch in unpacked(parts, range(frames)) for pts in batch.pts]
