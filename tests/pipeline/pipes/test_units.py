"""Units of a stream: how many are under way at once, and in which order they are written."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.pipes.reading import PipedSegment, PipeReader
from pipeline.pipes.units import PipedUnits
from pipeline.segments.task import SegmentResult, SegmentTask


class _Reader:
    """Gives so many segments, and then ends."""

    def __init__(self, count: int) -> None:
        self.given = 0
        self._count = count

    def next(self) -> PipedSegment:
        if self.given == self._count:
            raise StopIteration
        self.given += 1
        return cast(
            PipedSegment, SimpleNamespace(segment=SimpleNamespace(number=self.given - 1), beside=())
        )


def _units(reader: _Reader, workers: int) -> PipedUnits:
    def task(piped: PipedSegment) -> SegmentTask:
        return cast(SegmentTask, piped.segment.number)

    return PipedUnits(cast(PipeReader, reader), task, workers=workers)


def _result(number: int) -> SegmentResult[bytes]:
    return SegmentResult(number, b"", (), (), (), ())


def _written(units: PipedUnits, number: int) -> list[int]:
    return [result.number for result, _ in units.in_order(_result(number))]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_two_for_each_worker_are_out_until_the_first_of_them_is_written(workers: int) -> None:
    reader = _Reader(20)
    units = _units(reader, workers)
    most = 2 * max(1, workers)
    numbers = []
    while (unit := units.next_for(None)) is not None:
        numbers.append(unit.key)
    assert numbers == list(range(most))
    assert reader.given == most
    assert _written(units, 1) == []
    assert units.next_for(None) is None  # the first one is still awaited
    assert _written(units, 0) == [0, 1]
    assert [cast(Any, units.next_for(None)).key for _ in range(2)] == [most, most + 1]
    assert units.next_for(None) is None


def test_the_end_is_told_again_and_again() -> None:
    units = _units(_Reader(1), 1)
    assert units.next_for(None) is not None
    for _ in range(2):
        with pytest.raises(StopIteration):
            units.next_for(None)
    assert _written(units, 0) == [0]
