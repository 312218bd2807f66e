"""Frames that follow each other: the same on any worker, and across the borders of segments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.stylizer import Stylizer
from pipeline.encoding.encoders import choose_encoder
from pipeline.encoding.output_frame import plan_output
from pipeline.films.settings import FilmSettings
from pipeline.looks.look import Look
from pipeline.segments.packet_reader import PacketReader
from pipeline.segments.plan import plan_segments, warm_up_frames
from pipeline.segments.task import SegmentResult, SegmentTask
from pipeline.segments.worker import SegmentWorker
from pipeline.source.source_video import probe
from tests.kit.media import decoded_frames, make_clip, psnr

_FRAMES = 72


@pytest.fixture(
    params=["12", pytest.param("1000", marks=pytest.mark.slow)],
    ids=["many keyframes", "one keyframe"],
)
def film(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    options = {"g": request.param, "bf": "3", "sc_threshold": "0"}
    make_clip(path, frames=_FRAMES, options=options, sound=False)
    return path


def _tasks(film: Path, *, seconds: float, warm_up: int = warm_up_frames(0.7)) -> list[SegmentTask]:
    source = probe(film)
    encoder = choose_encoder(Path("out.mkv"), source.info, FilmSettings(codec="ffv1"))
    frame = plan_output(source.info, encoder)
    segments = plan_segments(
        source.packets, time_base=source.info.time_base, seconds=seconds, warm_up=warm_up
    )
    with PacketReader(source) as reader:
        return [
            SegmentTask(each, source.info, frame, reader.read(each), film=0, coherence=0.7)
            for each in segments
        ]


def _luma(results: list[SegmentResult[bytes]], folder: Path) -> list[np.ndarray]:
    frames = []
    for result in results:
        path = folder / f"{result.number}.nut"
        path.write_bytes(result.piece)
        frames += [luma for _, luma in decoded_frames(path)]
    return frames


def test_a_segment_is_the_same_on_whichever_worker_in_whatever_order(
    film: Path, style: Style
) -> None:
    tasks = _tasks(film, seconds=0.6)
    assert len(tasks) > 3
    stylizer = Stylizer(style)  # it remembers nothing
    alone = [SegmentWorker(stylizer).process(task) for task in tasks]
    one = SegmentWorker(stylizer)
    assert [one.process(task) for task in tasks] == alone
    assert [one.process(task) for task in reversed(tasks)] == alone[::-1]
    two = [SegmentWorker(Stylizer(style)) for _ in range(2)]
    assert [two[number % 2].process(task) for number, task in enumerate(tasks)] == alone


@pytest.mark.parametrize(("order", "computed"), [((0, 1, 2), 0), ((0, 2, 1), 2)])
def test_who_has_done_the_segment_before_warms_up_without_the_network(
    film: Path, style: Style, order: tuple[int, ...], computed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = _tasks(film, seconds=0.6)
    runs: list[object] = []
    run = Stylizer._generated

    def generated(*how: Any) -> Any:
        runs.append(how)
        return run(*how)

    monkeypatch.setattr(Stylizer, "_generated", generated)
    worker = SegmentWorker(Stylizer(style))
    for number in order:
        worker.process(tasks[number])
    owned = sum(len(tasks[number].segment.owned_pts) for number in order)
    assert len(runs) == owned + computed * len(tasks[1].segment.warm_pts)


def test_where_work_overlaps_nothing_is_remembered(film: Path, style: Style) -> None:
    """Frames of a GPU lie in memory that is used again, and its batches are cut elsewhere."""
    worker = SegmentWorker(Stylizer(style, threads=2))
    for task in _tasks(film, seconds=0.6)[:2]:
        worker.process(task)
    assert not any(each._remembered for each in worker._coherences.values())


def test_what_another_film_looked_like_is_not_remembered(film: Path, style: Style) -> None:
    """Two films, or two strokes, of the same source: their frames are equal, their pictures not."""
    first, second = _tasks(film, seconds=0.6)[:2]
    worker = SegmentWorker(
        Stylizer(style), stylizer_for=lambda look: Stylizer(style, strength=look.stroke)
    )
    worker.process(replace(first, looks=(Look(StyleSpec("wave"), 0.5),)))
    alone = SegmentWorker(Stylizer(style)).process(second)
    assert worker.process(second) == alone


def test_each_delivers_its_own_frames_alone(film: Path, style: Style) -> None:
    worker = SegmentWorker(Stylizer(style))
    results = [worker.process(task) for task in _tasks(film, seconds=0.6)]
    pts = [time for result in results for time in result.pts]
    assert pts == sorted(set(pts))
    assert len(pts) == _FRAMES
    assert not any(result.missing_pts or result.errors for result in results)


def test_a_border_cannot_be_told_from_the_inside(film: Path, style: Style, tmp_path: Path) -> None:
    """Cut or not, the frames are the same to the eye; without a warm-up they would jump."""
    whole = _luma([SegmentWorker(Stylizer(style)).process(_tasks(film, seconds=60)[0])], tmp_path)
    tasks = _tasks(film, seconds=0.6)
    border = len(tasks[0].segment.owned_pts)
    cut = _luma([SegmentWorker(Stylizer(style)).process(task) for task in tasks], tmp_path)
    assert psnr(cut[border], whole[border]) > 42
    cold = replace(tasks[1], segment=replace(tasks[1].segment, warm_pts=()))
    jumps = _luma([SegmentWorker(Stylizer(style)).process(cold)], tmp_path)[0]
    assert psnr(jumps, whole[border]) < psnr(cut[border], whole[border]) - 3


def test_without_coherence_nothing_is_stylized_for_nothing(film: Path, style: Style) -> None:
    tasks = _tasks(film, seconds=0.6, warm_up=0)
    assert not any(task.segment.warm_pts for task in tasks)
    plain = [replace(task, coherence=0.0) for task in tasks]
    worker = SegmentWorker(Stylizer(style))
    assert [worker.process(task) for task in plain] != [worker.process(task) for task in tasks]
