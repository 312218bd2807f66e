"""Several segments at once in one worker, with one network for all of them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.color.yuv import YuvFrames
from nst_core.errors import InputError
from nst_core.stylizer import Stylizer
from pipeline.films.settings import FilmSettings
from pipeline.looks.look import Look
from pipeline.segments.decoder import SegmentDecoder
from pipeline.segments.many_segments import ManySegments
from pipeline.segments.task import SegmentTask
from pipeline.segments.worker import SegmentWorker
from tests.kit.segments import segment_tasks


def _tasks(
    folder: Path, *, keyframes: str, coherence: float = 0.0, frames: int = 96, **clip: Any
) -> list[SegmentTask]:
    options = {"g": keyframes, "sc_threshold": "0"}
    return segment_tasks(
        folder,
        output="out.mkv",
        settings=FilmSettings(codec="ffv1"),
        coherence=coherence,
        frames=frames,
        options=options,
        **clip,
    )


def _many(stylizer: Stylizer, at_once: int = 3) -> ManySegments:
    return ManySegments(lambda _: stylizer, Look(StyleSpec("identity")), at_once=at_once)


def _at_once(worker: ManySegments, tasks: list[SegmentTask]) -> list[Any]:
    with ThreadPoolExecutor(len(tasks)) as threads:
        return [*threads.map(worker.process, tasks)]


@pytest.mark.parametrize(
    ("keyframes", "coherence"),
    [
        *(("12", 0.7), ("1000", 0.0)),
        pytest.param("12", 0.0, marks=pytest.mark.slow),
        pytest.param("1000", 0.7, marks=pytest.mark.slow),
    ],
)
def test_segments_done_at_once_are_what_they_are_alone(
    keyframes: str, coherence: float, style: Style, tmp_path: Path
) -> None:
    tasks = _tasks(tmp_path, keyframes=keyframes, coherence=coherence)
    assert len(tasks) > 5
    stylizer = Stylizer(style, device="cpu", threads=1)
    alone = [SegmentWorker(stylizer).process(task) for task in tasks]
    assert _at_once(_many(stylizer), tasks) == alone


@pytest.mark.parametrize("keyframes", ["12", "1000"], ids=["many keyframes", "one keyframe"])
def test_one_thread_computes_while_several_have_segments(
    keyframes: str, style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first frames of three segments are computed only once all three have been begun."""
    begun, computing = set(), set()
    all_begun = threading.Event()
    make, frames = Stylizer._made, SegmentDecoder.frames

    def made(self: Stylizer, *arguments: Any) -> YuvFrames:
        assert all_begun.wait(60)
        computing.add(threading.get_ident())
        return make(self, *arguments)

    def decoded(self: SegmentDecoder) -> Any:
        begun.add(threading.get_ident())
        if len(begun) == 3:
            all_begun.set()
        return frames(self)

    monkeypatch.setattr(Stylizer, "_made", made)
    monkeypatch.setattr(SegmentDecoder, "frames", decoded)
    tasks = _tasks(tmp_path, keyframes=keyframes)[:3]
    _at_once(_many(Stylizer(style, device="cpu", threads=1)), tasks)
    assert len(computing) == 1
    assert not computing & begun


def test_a_segment_goes_on_with_the_decoder_of_the_one_before_it(
    style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed: list[int] = []
    feed = SegmentDecoder._feed

    def counted(decoder: SegmentDecoder, packet: Any, pts: int) -> Any:
        fed.extend([pts] if packet is not None else [])
        return feed(decoder, packet, pts)

    monkeypatch.setattr(SegmentDecoder, "_feed", counted)
    tasks = _tasks(tmp_path, keyframes="1000")
    worker = _many(Stylizer(style, device="cpu", threads=1), 3)
    middle = len(tasks) // 2
    for first, second in zip(tasks[:middle], tasks[middle:], strict=False):
        worker.process(first)
        worker.process(second)
    twice = sum(len(task.segment.owned_pts) for task in tasks[:middle])
    assert len(fed) < 1.1 * (96 + twice)


def test_each_thread_is_told_how_far_its_own_segment_is(style: Style, tmp_path: Path) -> None:
    worker = _many(Stylizer(style, device="cpu", threads=1))
    tasks = _tasks(tmp_path, keyframes="12")
    told: dict[int, list[int]] = {task.segment.number: [] for task in tasks}

    def process(task: SegmentTask) -> None:
        worker.tell = lambda frames, _: told[task.segment.number].append(frames)
        worker.process(task)

    with ThreadPoolExecutor(len(tasks)) as threads:
        [*threads.map(process, tasks)]
    for task in tasks:
        assert told[task.segment.number] == [*range(len(task.segment.owned_pts))]


def test_what_fails_in_the_network_fails_its_segment_and_no_other(
    style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, calls = Stylizer._made, []

    def made(self: Stylizer, *arguments: Any) -> YuvFrames:
        calls.append(arguments)
        if len(calls) == 5:
            raise InputError("no such network")
        return make(self, *arguments)

    tasks = _tasks(tmp_path, keyframes="12")
    stylizer = Stylizer(style, device="cpu", threads=1)
    alone = [SegmentWorker(stylizer).process(task) for task in tasks]
    monkeypatch.setattr(Stylizer, "_made", made)
    worker = _many(stylizer)

    def process(task: SegmentTask) -> Any:
        try:
            return worker.process(task)
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor(len(tasks)) as threads:
        results = [*threads.map(process, tasks)]
    assert [each for each in results if isinstance(each, str)] == ["no such network"]
    failed = results.index("no such network")
    assert results[:failed] + results[failed + 1 :] == alone[:failed] + alone[failed + 1 :]
    assert worker.process(tasks[failed]) == alone[failed]


def test_films_of_other_sizes_and_depths_go_through_one_network(
    style: Style, tmp_path: Path
) -> None:
    tasks = []
    kinds: list[dict[str, Any]] = [{}, {"width": 96}, {"pixel_format": "yuv420p10le"}]
    for number, options in enumerate(kinds):
        folder = tmp_path / str(number)
        folder.mkdir()
        of_film = _tasks(folder, keyframes="12", frames=24, **options)
        tasks += [replace(task, film=number) for task in of_film]
    stylizer = Stylizer(style, device="cpu", threads=1)
    alone = [SegmentWorker(stylizer).process(task) for task in tasks]
    mixed = tasks[::2] + tasks[1::2]
    assert _at_once(_many(stylizer, 4), mixed) == alone[::2] + alone[1::2]
