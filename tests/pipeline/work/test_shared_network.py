"""One network for several threads, with a stylizer whose batches and order can be seen."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
import torch

from nst_core.color.yuv import YuvFrames
from nst_core.color.yuv_encoding import YuvEncoding
from nst_core.engines.device_transfer import under_way
from nst_core.stylizer import Stylizer
from pipeline.work.shared_network import SharedNetwork

_PLAIN = YuvEncoding("bt709")


def _frames(value: int, count: int = 1, width: int = 4) -> YuvFrames:
    luma = torch.full((count, 4, width), value, dtype=torch.uint8)
    return YuvFrames(luma, torch.full((count, 2, 2, width // 2), value, dtype=torch.uint8))


class _Device:
    """Adds 1, as a GPU does it: up to four frames in a batch, two batches under way."""

    works_ahead = True
    computes = True
    engine = "abacus"

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.may_begin = threading.Event()
        self.under_way = self.most_under_way = 0

    def frames_together(self, frames: YuvFrames) -> int:
        return 4

    def frames_a_batch(self, height: int, width: int) -> int:
        return 4

    def make_yuv_batches(
        self, batches: Iterable[YuvFrames | None], *_: Any, **__: Any
    ) -> Iterator[YuvFrames]:
        def start(batch: YuvFrames) -> Any:
            assert self.may_begin.wait(60)
            self.batches.append(len(batch.luma))
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)

            def arrived() -> YuvFrames:
                self.under_way -= 1
                return YuvFrames(batch.luma + 1, batch.chroma + 1)

            return arrived

        return under_way(batches, start, lambda: None)

    def finished(self, frames: YuvFrames, made: YuvFrames, *_: Any) -> YuvFrames:
        return made


def _run(network: SharedNetwork[float], inputs: list[YuvFrames]) -> list[int]:
    shared = network.at(1.0)
    outputs = shared.stylize_yuv_batches(iter(inputs), _PLAIN, _PLAIN)
    return [int(each.luma.flatten()[0]) for each in outputs]


def _network(device: _Device) -> SharedNetwork[float]:
    return SharedNetwork(lambda _: cast("Stylizer", device))


def test_each_thread_gets_its_own_frames_in_their_order() -> None:
    device = _Device()
    device.may_begin.set()
    network = _network(device)
    with ThreadPoolExecutor(8) as threads:
        wanted = [[*range(10 * n, 10 * n + 9)] for n in range(8)]
        runs = [threads.submit(_run, network, [_frames(v) for v in each]) for each in wanted]
        assert [run.result(60) for run in runs] == [[v + 1 for v in each] for each in wanted]
    assert sum(device.batches) == 72
    assert max(device.batches) <= 4


def test_frames_that_wait_are_computed_in_one_batch() -> None:
    device = _Device()
    network = _network(device)
    handed_over = threading.Semaphore(0)
    hand_over = network.hand_over

    def counted(request: Any) -> None:
        hand_over(request)
        handed_over.release()

    network.hand_over = counted  # type: ignore[method-assign]
    with ThreadPoolExecutor(9) as threads:
        runs = [threads.submit(_run, network, [_frames(n)]) for n in range(9)]
        assert all(handed_over.acquire(timeout=60) for _ in range(9))
        device.may_begin.set()
        assert sorted(run.result(60)[0] for run in runs) == [*range(1, 10)]
    assert len(device.batches) <= 4
    assert 4 in device.batches
    assert device.most_under_way == 2


def test_other_sizes_are_not_mixed_and_none_is_forgotten() -> None:
    device = _Device()
    network = _network(device)
    with ThreadPoolExecutor(8) as threads:
        runs = [
            threads.submit(_run, network, [_frames(n, 1 + n % 3, width=4 + 4 * (n % 2))])
            for n in range(8)
        ]
        device.may_begin.set()
        assert [run.result(60) for run in runs] == [[n + 1] for n in range(8)]


def test_the_last_frame_comes_at_once_though_no_other_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.work.shared_network._IDLE_SECONDS", 20)
    device = _Device()
    device.may_begin.set()
    network = _network(device)
    with ThreadPoolExecutor(1) as thread:
        for value in range(3):
            run = thread.submit(_run, network, [_frames(value)])
            assert run.result(15) == [value + 1]
        monkeypatch.setattr("pipeline.work.shared_network._IDLE_SECONDS", 0.01)


def test_a_thread_is_two_batches_ahead_at_most() -> None:
    device = _Device()
    network = _network(device)
    drawn = []
    three_drawn = threading.Event()

    def inputs() -> Iterator[YuvFrames]:
        for value in range(20):
            drawn.append(value)
            if len(drawn) == 3:
                three_drawn.set()
            yield _frames(value)

    outputs = network.at(1.0).stylize_yuv_batches(inputs(), _PLAIN, _PLAIN)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(next, outputs)
        assert three_drawn.wait(60)
        assert not first.done()
        device.may_begin.set()
        first.result(60)
    assert drawn == [0, 1, 2]


def test_an_error_reaches_all_whose_frames_were_in_the_batch_and_the_next_goes_on() -> None:
    device = _Device()
    network = _network(device)
    make, errors = device.make_yuv_batches, [ValueError("broken")]

    def failing(batches: Iterable[YuvFrames | None], *how: Any, **more: Any) -> Any:
        if errors:
            next(iter(batches))
            device.may_begin.wait(60)
            raise errors.pop()
        return make(batches, *how, **more)

    device.make_yuv_batches = failing  # type: ignore[method-assign]
    device.may_begin.set()
    with pytest.raises(ValueError, match="broken"):
        _run(network, [_frames(1)])
    assert _run(network, [_frames(2)]) == [3]
