"""Segments encoded on other machines: the same pieces, whatever happens there."""

from __future__ import annotations

import dataclasses
import pickle
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import MediaError
from nst_core.stylizer import Stylizer
from pipeline.encoding.encoder_elsewhere import EncoderHost, EncoderLost, HiredEncoders
from pipeline.films.settings import FilmSettings
from pipeline.looks.look import Look
from pipeline.segments.many_segments import ManySegments
from pipeline.segments.task import SegmentResult, SegmentTask
from pipeline.segments.worker import SegmentWorker
from pipeline.work.rates import Used
from tests.kit.segments import segment_tasks


class _Far:
    """An encoder with a process of its own, but for the process; lost after some calls."""

    def __init__(self, *, calls: float = float("inf"), seconds: float = 0.0) -> None:
        self._host = EncoderHost()
        self._thread = ThreadPoolExecutor(1)
        self._left = calls
        self._seconds = seconds
        self.pieces = 0
        self.waiting = self.most_waiting = 0

    def is_ready(self) -> bool:
        return True

    def call(self, method: str, *arguments: Any) -> Callable[[], Any]:
        self.pieces += method == "finish"
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        self._left -= 1
        future = self._thread.submit(self._do, method, pickle.dumps(arguments), self._left < 0)
        return partial(future.result, 60)

    def _do(self, method: str, arguments: bytes, is_lost: bool) -> Any:
        time.sleep(self._seconds)
        self.waiting -= 1
        if is_lost:
            raise EncoderLost
        return getattr(self._host, method)(*pickle.loads(arguments))  # noqa: S301


def _worker(stylizer: Stylizer, *far: _Far, at_once: int = 1) -> ManySegments:
    waiting = [*far]
    hired = HiredEncoders(lambda: waiting.pop() if waiting else None, len(far), wanted=len(far))
    look = Look(StyleSpec("identity"))
    worker = ManySegments(lambda _: stylizer, look, at_once=at_once, encoders=hired)
    worker.places()  # starts them
    assert worker.places() == at_once + len(far)
    return worker


def _at_once(worker: ManySegments, tasks: list[SegmentTask]) -> list[SegmentResult[bytes]]:
    with ThreadPoolExecutor(len(tasks)) as threads:
        return [*threads.map(worker.process, tasks)]


_EBML, _CLUSTER = b"\x1a\x45\xdf\xa3", b"\x1f\x43\xb6\x75"
_DEEP = {"pixel_format": "yuv420p10le", "codec": "libx265", "options": {"x265-params": "keyint=12"}}
_CLEAR = {"pixel_format": "yuva444p", "codec": "ffv1", "options": {}}


@pytest.mark.parametrize(
    "case",
    [
        {},
        {"coherence": 0.7},
        {"output": "out.mkv", "settings": FilmSettings(codec="hevc"), **_DEEP},
        {"output": "out.mov", "settings": FilmSettings(codec="prores"), **_CLEAR},
        {"output": "out.webm", "pixel_format": "yuva444p", "codec": "ffv1", "options": {}},
        {"output": "out.gif"},
        {"output": "out.mkv", "settings": FilmSettings(codec="ffv1"), "width": 95, "height": 63}
        | _CLEAR,
    ],
    ids=["h264", "coherent", "10 bits", "prores with alpha", "vp9 with alpha", "gif", "odd sizes"],
)
def test_pieces_from_elsewhere_are_those_made_here(
    case: dict[str, Any], style: Style, tmp_path: Path
) -> None:
    tasks = segment_tasks(tmp_path, **case)
    assert len(tasks) > 3
    stylizer = Stylizer(style, device="cpu", threads=1)
    alone = [SegmentWorker(stylizer).process(task) for task in tasks]
    far = [_Far(), _Far()]
    done = _at_once(_worker(stylizer, *far), tasks)
    for there, here in zip(done, alone, strict=True):
        assert _without_random_numbers(there) == _without_random_numbers(here)
    assert all(each.pieces for each in far)


def _without_random_numbers(result: SegmentResult[bytes]) -> SegmentResult[bytes]:
    """Leave out what is before the packets of Matroska: numbers that differ each time."""
    start = result.piece.index(_CLUSTER) if result.piece.startswith(_EBML) else 0
    return dataclasses.replace(result, piece=result.piece[start:])


def test_a_lost_encoder_costs_its_segment_and_another_comes(
    style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = segment_tasks(tmp_path)
    stylizer = Stylizer(style, device="cpu", threads=1)
    alone = [SegmentWorker(stylizer).process(task) for task in tasks]
    begun: list[int] = []
    held: list[BaseException | None] = []
    process = SegmentWorker.process

    def counted(self: SegmentWorker, task: SegmentTask) -> SegmentResult[bytes]:
        begun.append(task.segment.number)
        held.append(sys.exception())
        return process(self, task)

    monkeypatch.setattr(SegmentWorker, "process", counted)
    last, first = _Far(), _Far(calls=1)
    far = [last, first]
    hired = HiredEncoders(lambda: far.pop() if far else None, 1, wanted=1)
    look = Look(StyleSpec("identity"))
    worker = ManySegments(lambda _: stylizer, look, at_once=1, encoders=hired)
    assert [worker.places() for _ in range(2)] == [1, 2]
    monkeypatch.setattr(worker, "_used_before", Used(wall=0.0))
    results = _at_once(worker, tasks)
    notes = [result.notes for result in results if result.notes]
    assert notes == [("an encoder on another node was lost; what it had was done anew",)]
    assert [result.piece for result in results] == [result.piece for result in alone]
    assert [result.pts for result in results] == [result.pts for result in alone]
    assert not any(held)  # an error would hold the first try's frames
    assert worker._used_before is None
    assert {*begun} == {*range(len(tasks))}
    assert len(begun) == len(tasks) + 1
    assert [worker.places() for _ in range(2)] == [1, 2]
    again = _at_once(worker, tasks)
    assert [result.piece for result in again] == [result.piece for result in alone]
    assert last.pieces


def test_a_slow_encoder_has_two_messages_waiting_at_most(
    style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.encoding.encoder_elsewhere._BYTES_AT_ONCE", 1)
    tasks = segment_tasks(tmp_path)[:2]
    assert len(tasks[0].segment.owned_pts) >= 12
    slow = _Far(seconds=0.02)
    worker = _worker(Stylizer(style, device="cpu", threads=1), slow)
    done_elsewhere = threading.Event()
    (here,) = (lane for lane in worker._lanes if lane.elsewhere is None)
    monkeypatch.setattr(here, "process", lambda task: done_elsewhere.wait(60))

    def process(task: SegmentTask) -> None:
        worker.process(task)
        done_elsewhere.set()

    with ThreadPoolExecutor(2) as threads:
        [*threads.map(process, tasks)]
    assert slow.pieces == 1
    assert slow.most_waiting <= 3  # what ends the piece comes behind


def test_what_an_encoder_elsewhere_raises_fails_its_segment(
    style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise MediaError("no such frame")

    monkeypatch.setattr(EncoderHost, "encode", refuse)
    tasks = segment_tasks(tmp_path)
    worker = _worker(Stylizer(style, device="cpu", threads=1), _Far(), at_once=1)

    def process(task: SegmentTask) -> Any:
        try:
            return worker.process(task)
        except MediaError as error:
            return error

    with ThreadPoolExecutor(2) as threads:
        results = [*threads.map(process, tasks)]
    failed = [each for each in results if isinstance(each, MediaError)]
    assert failed
    assert "no such frame" in str(failed[0])
    assert len(failed) < len(tasks)


def test_encoders_that_are_lost_again_and_again_are_given_up(style: Style, tmp_path: Path) -> None:
    class Lost(_Far):
        def is_ready(self) -> bool:
            raise EncoderLost

    tried: list[_Far] = []

    def hire() -> _Far:
        tried.append(Lost())
        return tried[-1]

    hired = HiredEncoders(hire, 2, wanted=2)
    stylizer = Stylizer(style, device="cpu", threads=1)
    worker = ManySegments(
        lambda _: stylizer, Look(StyleSpec("identity")), at_once=1, encoders=hired
    )
    task = segment_tasks(tmp_path)[0]
    assert worker.process(task).notes == ()
    assert [worker.places() for _ in range(20)] == [1] * 20
    assert len(tried) <= 7
    (note,) = worker.process(task).notes
    assert note.startswith("encoders on other nodes do not start")


def test_an_encoder_that_is_ready_is_not_lost_where_another_cannot_be_hired() -> None:
    hires: list[_Far | None] = [_Far(), None]

    def hire() -> _Far | None:
        if not hires:
            raise ConnectionError
        return hires.pop(0)

    hired = HiredEncoders(hire, 2, wanted=2)
    assert hired.newly_ready() == []
    with pytest.raises(ConnectionError):
        hired.newly_ready()
    hires.append(None)
    assert len(hired.newly_ready()) == 1


def test_as_many_encoders_are_hired_as_frames_cost_of_late(
    style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    hired = HiredEncoders(_Far, 5, wanted=0)
    stylizer = Stylizer(style, device="cpu", threads=1)
    look = Look(StyleSpec("identity"))
    worker = ManySegments(lambda _: stylizer, look, at_once=4, encoders=hired)
    used = [
        Used(wall=0.0),
        Used(wall=20.0, processors=80.0, frames=400),  # kernels are compiled
        # 100 frames a second in 4 processors; the device is idle for two thirds of the time.
        Used(wall=30.0, waited=6.67, processors=120.0, decoding=10.0, frames=1400),
        Used(wall=32.0, waited=6.67, processors=128.0, decoding=12.0, frames=1600),
        Used(wall=42.0, waited=6.67, processors=168.0, decoding=22.0, frames=2600),
    ]
    monkeypatch.setattr(worker, "_used", lambda: used.pop(0))
    assert [worker.places() for _ in range(2)] == [4, 4]
    assert worker.places() == 4
    assert hired.wanted == 5
    assert worker.places() == 9
    assert worker.places() == 9


def test_none_are_hired_where_the_device_has_always_work(
    style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    hired = HiredEncoders(_Far, 5, wanted=0)
    stylizer = Stylizer(style, device="cpu", threads=1)
    worker = ManySegments(
        lambda _: stylizer, Look(StyleSpec("identity")), at_once=4, encoders=hired
    )
    used = [
        Used(wall=20.0, processors=80.0, frames=400),
        Used(wall=30.0, waited=0.2, processors=119.0, decoding=10.0, frames=1400),
        Used(wall=60.0, waited=0.4, processors=230.0, decoding=40.0, frames=4400),
    ]
    monkeypatch.setattr(worker, "_used", lambda: used.pop(0))
    assert [worker.places() for _ in range(3)] == [4, 4, 4]
    assert hired.wanted == 0
