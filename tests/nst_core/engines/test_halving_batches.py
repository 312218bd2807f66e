"""Batches that shrink to what the device's memory takes."""

from __future__ import annotations

import pytest
import torch

from nst_core.engines.halving_batches import HalvingBatches
from nst_core.errors import EnvironmentProblem


def _runner(most: int, calls: list[tuple[int, int]]):  # type: ignore[no-untyped-def]
    def run(part: slice) -> list[int]:
        calls.append((part.start, part.stop))
        if part.stop - part.start > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return list(range(part.start, part.stop))

    return run


def test_memory_that_suffices_takes_all_at_once() -> None:
    calls: list[tuple[int, int]] = []
    assert HalvingBatches().run(8, _runner(8, calls)) == [[*range(8)]]
    assert calls == [(0, 8)]


def test_batches_are_halved_until_they_fit_and_nothing_is_lost() -> None:
    calls: list[tuple[int, int]] = []
    batches = HalvingBatches()
    assert batches.run(7, _runner(2, calls)) == [[0], [1], [2], [3], [4], [5], [6]]
    assert calls[:3] == [(0, 7), (0, 3), (0, 1)]
    calls.clear()
    batches.run(2, _runner(2, calls))
    assert calls == [(0, 1), (1, 2)]  # from then on


def test_a_picture_that_does_not_fit_alone_is_told_with_ways_out() -> None:
    with pytest.raises(EnvironmentProblem, match="--max-side"):
        HalvingBatches().run(2, _runner(0, []))
