"""Batches of planes on their way to the device and back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import pytest
import torch

from nst_core.color.yuv import YuvFrames, join_frames, split_frames
from nst_core.engines import device_transfer
from nst_core.engines.device_transfer import overlapped, under_way

T = TypeVar("T")

CPU = torch.device("cpu")


def _frames(seed: int, count: int = 2, *, depth: int = 8, alpha: bool = False) -> YuvFrames:
    random = torch.Generator().manual_seed(seed)
    dtype = torch.uint8 if depth == 8 else torch.uint16

    def plane(*shape: int) -> torch.Tensor:
        return torch.randint(0, 2**depth, shape, generator=random).to(dtype)

    return YuvFrames(
        plane(count, 31, 46), plane(count, 2, 16, 23), plane(count, 31, 46) if alpha else None
    )


def _inverted(frames: YuvFrames) -> YuvFrames:
    return YuvFrames(255 - frames.luma, 255 - frames.chroma, frames.alpha)


def _equal(one: YuvFrames, other: YuvFrames) -> bool:
    alphas = (one.alpha, other.alpha)
    return (
        torch.equal(one.luma, other.luma)
        and torch.equal(one.chroma, other.chroma)
        and (alphas == (None, None) or torch.equal(*alphas))  # type: ignore[arg-type]
    )


class _Journey:
    """Batches that are started and waited for, and how many are at once."""

    def __init__(self, failing: int | None = None) -> None:
        self.failing = failing
        self.under_way = 0
        self.most = 0
        self.waited = 0

    def start(self, batch: YuvFrames) -> Callable[[], YuvFrames]:
        if int(batch.luma[0, 0, 0]) == self.failing:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        return _Traveller(self, batch).result

    def wait(self) -> None:
        self.waited += 1


class _Traveller:
    def __init__(self, journey: _Journey, batch: YuvFrames) -> None:
        self.journey = journey
        self.batch = batch

    def result(self) -> YuvFrames:
        self.journey.under_way -= 1
        return self.batch


def _numbered(count: int) -> list[YuvFrames]:
    return [
        YuvFrames(torch.full((1, 2, 2), number), torch.zeros(1, 2, 1, 1)) for number in range(count)
    ]


def _number(frames: YuvFrames) -> int:
    return int(frames.luma[0, 0, 0])


def _hand_out(results: Iterable[T], arrived: list[T]) -> None:
    """Fill ``arrived`` one by one: what came before an error stays."""
    for result in results:
        arrived.append(result)


def test_on_the_cpu_batches_are_computed_one_by_one_in_order() -> None:
    batches = [_frames(seed) for seed in range(3)]
    results = overlapped(iter(batches), _inverted, CPU)
    for batch, result in zip(batches, results, strict=True):
        assert _equal(result, _inverted(batch))


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_all_batches_arrive_in_order_and_two_are_under_way_at_most(count: int) -> None:
    journey = _Journey()
    results = under_way(_numbered(count), journey.start, journey.wait)
    assert [_number(result) for result in results] == [*range(count)]
    assert journey.most == min(2, count)
    assert (journey.under_way, journey.waited) == (0, 1)


def test_the_next_batch_is_started_before_a_result_is_handed_out() -> None:
    journey = _Journey()
    results = under_way(_numbered(5), journey.start, journey.wait)
    next(results)
    assert journey.under_way == 1


@pytest.mark.parametrize("failing", [0, 1, 2, 4])
def test_an_error_loses_no_other_batch(failing: int) -> None:
    journey = _Journey(failing)
    batches = iter(_numbered(5))
    results = under_way(batches, journey.start, journey.wait)
    arrived: list[int] = []
    with pytest.raises(torch.OutOfMemoryError):
        _hand_out(map(_number, results), arrived)
    arrived += map(_number, under_way(batches, journey.start, journey.wait))
    assert arrived == [number for number in range(5) if number != failing]
    assert (journey.under_way, journey.waited) == (0, 2)


def test_the_results_before_an_error_are_handed_out_first() -> None:
    journey = _Journey(failing=2)
    results = under_way(_numbered(5), journey.start, journey.wait)
    assert [_number(next(results)) for _ in range(2)] == [0, 1]
    with pytest.raises(torch.OutOfMemoryError):
        next(results)


def test_an_error_of_the_source_comes_after_what_it_gave() -> None:
    def broken() -> Iterator[YuvFrames]:
        yield from _numbered(2)
        raise ValueError("damaged")

    journey = _Journey()
    results = under_way(broken(), journey.start, journey.wait)
    assert [_number(next(results)) for _ in range(2)] == [0, 1]
    with pytest.raises(ValueError, match="damaged"):
        next(results)
    assert journey.waited == 1


def test_stopping_early_waits_for_what_is_under_way() -> None:
    journey = _Journey()
    results = under_way(_numbered(5), journey.start, journey.wait)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert journey.waited == 1


def _slowly(frames: YuvFrames) -> YuvFrames:
    """Compute long after it returns: a copy that does not wait takes what is not there yet."""
    torch.cuda._sleep(20_000_000)  # type: ignore[no-untyped-call]
    return _inverted(frames)


@pytest.mark.gpu
def test_results_from_cuda_are_right_in_order_and_keep_their_pixels(cuda: torch.device) -> None:
    sizes = [2, 2, 2, 2, 1, 2, 3, 3, 3, 1]
    batches = [_frames(seed, count, alpha=seed % 3 == 0) for seed, count in enumerate(sizes)]
    results = list(overlapped(iter(batches), _slowly, cuda))
    assert len(results) == len(batches)
    for batch, result in zip(batches, results, strict=True):
        assert result.luma.device == CPU
        assert _equal(result, _inverted(batch))


@pytest.mark.gpu
def test_deep_planes_that_pass_through_come_back_from_cuda(cuda: torch.device) -> None:
    batches = [_frames(seed, depth=16, alpha=True) for seed in range(5)]
    for batch, result in zip(batches, overlapped(batches, lambda f: f, cuda), strict=True):
        assert _equal(result, batch)


@pytest.mark.gpu
def test_frames_may_come_back_larger_from_cuda(cuda: torch.device) -> None:
    def doubled(frames: YuvFrames) -> YuvFrames:
        torch.cuda._sleep(20_000_000)  # type: ignore[no-untyped-call]
        return join_frames([*split_frames(frames), *split_frames(frames)])

    batches = [_frames(seed) for seed in range(5)]
    for batch, result in zip(batches, overlapped(batches, doubled, cuda), strict=True):
        assert _equal(result, join_frames([batch, batch]))


@pytest.mark.gpu
def test_an_error_on_cuda_loses_no_other_batch(cuda: torch.device) -> None:
    batches = [_frames(seed) for seed in range(6)]
    calls = 0

    def third_fails(frames: YuvFrames) -> YuvFrames:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return _slowly(frames)

    source = iter(batches)
    arrived: list[YuvFrames] = []
    with pytest.raises(torch.OutOfMemoryError):
        _hand_out(overlapped(source, third_fails, cuda), arrived)
    arrived += overlapped(source, third_fails, cuda)
    expected = [_inverted(batch) for number, batch in enumerate(batches) if number != 2]
    assert all(map(_equal, arrived, expected))
    assert len(arrived) == 5


@pytest.mark.gpu
@pytest.mark.parametrize("fitting", [0, 1, 2, 5])
def test_memory_that_cannot_be_pinned_costs_one_warning_and_no_frame(
    fitting: int,
    cuda: torch.device,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    room_for = device_transfer._room_for
    pinned = 0

    def scarce(
        frames: YuvFrames, kept: list[torch.Tensor], device: torch.device | None
    ) -> list[torch.Tensor]:
        nonlocal pinned
        pinned += device is None
        if device is None and pinned > fitting:
            raise RuntimeError("CUDA error: out of memory\nmore lines")
        return room_for(frames, kept, device)

    monkeypatch.setattr(device_transfer, "_room_for", scarce)
    batches = [_frames(seed) for seed in range(5)]
    with caplog.at_level(logging.WARNING):
        results = list(overlapped(batches, _slowly, cuda))
    assert all(map(_equal, results, map(_inverted, batches)))
    assert len(results) == 5
    assert [record.message for record in caplog.records] == [
        "memory cannot be pinned, copies will not overlap: CUDA error: out of memory"
    ]
