"""Frames of several looks in a worker: computed where they have some, blended, and kept."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nst_core.stylizer
import pipeline.segments.begun
from nst_core.checkpoints.library import Style, find_style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.engines.device_transfer import under_way
from nst_core.errors import MediaError
from nst_core.stylizer import Stylizer
from pipeline.encoding.encoders import choose_encoder
from pipeline.encoding.output_frame import plan_output
from pipeline.films.settings import FilmSettings
from pipeline.looks.look import Look, Share
from pipeline.segments.packet_reader import PacketReader
from pipeline.segments.plan import plan_segments, warm_up_frames
from pipeline.segments.task import BegunPart, SegmentTask
from pipeline.segments.worker import SegmentWorker
from pipeline.source.source_video import probe
from pipeline.work.shared_network import SharedNetwork
from tests.kit.media import decoded_frames

_PLAIN, _STYLED = Look(StyleSpec("identity")), Look(StyleSpec("random"))


def _task(film: Path, coherence: float = 0.0, seconds: float = 0.5) -> SegmentTask:
    source = probe(film)
    encoder = choose_encoder(Path("out.mkv"), source.info, FilmSettings(codec="ffv1"))
    segment = plan_segments(
        source.packets,
        time_base=source.info.time_base,
        seconds=seconds,
        warm_up=warm_up_frames(coherence),
    )[seconds == 0.5]
    with PacketReader(source) as reader:
        output = plan_output(source.info, encoder)
        packets = reader.read(segment)
    return SegmentTask(
        segment, source.info, output, packets, film=0, looks=(_PLAIN, _STYLED), coherence=coherence
    )


class _Worker(SegmentWorker):
    """Notes the parts that are to be kept, and how many frames each look's network computes."""

    def __init__(self, style: Style, *, threads: int = 1) -> None:
        self.computed = 0
        self.parts: list[BegunPart] = []
        made = {_PLAIN: find_style("identity"), _STYLED: style}
        stylizers = {look: Stylizer(each, threads=threads) for look, each in made.items()}
        run = stylizers[_STYLED]._generated

        def counted(engine: Any, source: Any) -> Any:
            self.computed += len(source)
            return run(engine, source)

        stylizers[_STYLED]._generated = counted  # type: ignore[method-assign]
        super().__init__(stylizers[_PLAIN], stylizers.__getitem__)
        self.tell = lambda frames, part: self.parts.append(part) if part else None


def _luma(piece: bytes, folder: Path) -> np.ndarray:
    path = folder / "piece.nut"
    path.write_bytes(piece)
    return np.stack([luma for _, luma in decoded_frames(path)]).astype(float)


@pytest.mark.parametrize("threads", [1, 2])
def test_frames_are_blended_by_their_amounts_and_computed_where_they_have_some(
    clip: Path, style: Style, tmp_path: Path, threads: int
) -> None:
    task = _task(clip)
    frames = len(task.segment.owned_pts)
    amounts = [0.0, 0.0, 0.25, 0.5, 1.0, 0.5, *[0.0] * (frames - 6)]
    shares = tuple((Share(_PLAIN, 1 - part), Share(_STYLED, part)) for part in amounts)
    worker = _Worker(style, threads=threads)
    blended = _luma(worker.process(replace(task, shares=shares)).piece, tmp_path)
    assert worker.computed == 4
    plain, styled = (
        _luma(worker.process(replace(task, looks=(look,))).piece, tmp_path)
        for look in (_PLAIN, _STYLED)
    )
    part = np.array(amounts)[:, None, None]
    assert np.abs(blended - (plain * (1 - part) + styled * part)).max() <= 0.501
    np.testing.assert_array_equal(blended[4], styled[4])
    np.testing.assert_array_equal(blended[6:], plain[6:])


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("kind", ["one look", "a border", "a black mask", "a fade"])
def test_few_frames_of_a_segment_are_in_memory(
    clip: Path, style: Style, monkeypatch: pytest.MonkeyPatch, kind: str, is_shared: bool
) -> None:
    task = _task(clip, seconds=1.5)
    count = len(task.segment.owned_pts)
    half, plain, styled = count // 2, (Share(_PLAIN),), (Share(_STYLED),)
    shares = {
        "one look": (),
        "a border": (*[plain] * half, *[styled] * (count - half)),
        "a black mask": ((Share(_PLAIN, 0.0), *styled),) * count,
        "a fade": ((Share(_PLAIN, 0.5), Share(_STYLED, 0.5)),) * count,
    }[kind]
    looks = (_PLAIN, _STYLED) if shares else (_STYLED,)
    made = {_PLAIN: find_style("identity"), _STYLED: style}
    get: Callable[[Look], Any] = {n: Stylizer(s, threads=1) for n, s in made.items()}.__getitem__
    if is_shared:
        get = SharedNetwork(get).at
    alive: set[int] = set()
    most: list[int] = []
    decoded = SegmentWorker._decoded

    def watched(worker: SegmentWorker, task: SegmentTask, decoder: Any) -> Iterator[Any]:
        for number, batch in enumerate(decoded(worker, task, decoder)):
            alive.add(number)
            weakref.finalize(batch, alive.discard, number)
            most.append(len(alive))
            yield batch
            del batch

    monkeypatch.setattr(SegmentWorker, "_decoded", watched)
    SegmentWorker(get(_PLAIN), get).process(replace(task, shares=shares, looks=looks))
    assert len(most) == count > 30
    assert max(most) <= 4


def test_an_error_of_decoding_is_raised_though_batches_are_under_way(
    clip: Path, style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_on_a_gpu(batches: Any, compute: Any, device: Any) -> Iterator[Any]:
        return under_way(batches, lambda batch: partial(compute, batch), lambda: None)

    decoded = SegmentWorker._decoded

    def broken(worker: SegmentWorker, task: SegmentTask, decoder: Any) -> Iterator[Any]:
        yield from islice(decoded(worker, task, decoder), 2)
        raise MediaError("it breaks off")

    monkeypatch.setattr(nst_core.stylizer, "overlapped", as_on_a_gpu)
    monkeypatch.setattr(SegmentWorker, "_decoded", broken)
    worker = SegmentWorker(Stylizer(style, threads=1))
    with pytest.raises(MediaError, match="it breaks off"):
        worker.process(replace(_task(clip), looks=(_STYLED,)))


@pytest.fixture
def _every_segment_takes_long(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    seconds = iter(range(10**6))

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return next(seconds)

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.segments.begun, "time", Clock)
        patch.setattr(pipeline.segments.begun, "_SECONDS_BETWEEN", 3)
        yield


@pytest.mark.usefixtures("_every_segment_takes_long")
@pytest.mark.parametrize("coherence", [0.0, 0.7])
def test_a_stopped_segment_of_several_looks_comes_out_the_same(
    clip: Path, style: Style, coherence: float
) -> None:
    task = _task(clip, coherence)
    frames = len(task.segment.warm_pts) + len(task.segment.owned_pts)
    mixed = (Share(_PLAIN, 0.5), Share(_STYLED, 0.5))
    alone = (Share(_STYLED),)
    shares = tuple(alone if place % 3 else mixed for place in range(frames))
    task = replace(task, shares=shares)
    worker = _Worker(style)
    whole = worker.process(task)
    assert len(worker.parts) > 2
    again = _Worker(style)
    assert again.process(replace(task, begun=tuple(worker.parts[:2]))) == whole
    assert again.computed < worker.computed
