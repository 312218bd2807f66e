"""Pictures on their way to workers: how many at a time, and what happens when a worker dies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.pictures.task import ImageResult, ImageTask, OutputResult, OutputTask
from pipeline.pictures.units import ImageUnits
from pipeline.work.pool import MAX_ATTEMPTS, Outcome, Unit

Outcomes = dict[str, str | None]


def _task(number: int, size: int = 1000) -> ImageTask:
    outputs = tuple(OutputTask(style, f"/out/{number}-{style}.jpg") for style in ("wave", "candy"))
    return ImageTask(number, f"/in/{number}.jpg", outputs, size, "version")


def _result(task: ImageTask) -> ImageResult:
    outputs = tuple(OutputResult(output.path, size=5) for output in task.outputs)
    return ImageResult(task.number, "digest", outputs)


def _units(count: int, workers: int = 0, size: int = 1000) -> ImageUnits:
    tasks = (_task(number, size) for number in range(count))
    return ImageUnits(tasks, count, workers, lambda begun: None)


def _all(units: ImageUnits, deadly: frozenset[int] = frozenset()) -> tuple[Outcomes, list[int]]:
    """Do all units, as workers that die of some pictures; return errors, and sizes of units."""
    ended: Outcomes = {}
    sizes = []
    for unit in units:
        assert unit is not None
        sizes.append(len(unit.task))
        dies = any(task.number in deadly for task in unit.task)
        outcome = (
            Outcome[list[ImageResult]](unit.key, None, "its worker died")
            if dies
            else Outcome(unit.key, [_result(task) for task in unit.task])
        )
        for task, result in units.results(outcome):
            assert task.source not in ended
            ended[task.source] = result.outputs[0].error
    return ended, sizes


def test_every_picture_ends_once_and_sixteen_share_a_unit() -> None:
    ended, sizes = _all(_units(1000))
    assert ended == {f"/in/{number}.jpg": None for number in range(1000)}
    assert sizes == [16] * 62 + [8]


def test_few_pictures_are_spread_over_all_workers() -> None:
    for count, workers, most in ((8, 2, 1), (160, 4, 4), (76, 1, 7), (1, 8, 1)):
        ended, sizes = _all(_units(count, workers))
        assert len(ended) == count
        assert max(sizes) == most


def test_large_files_are_not_gathered() -> None:
    assert _all(_units(200, size=5 << 20))[1] == [1] * 200
    assert _all(_units(200, size=1 << 20))[1] == [4] * 50


def test_a_worker_that_dies_costs_the_one_picture_it_died_of() -> None:
    ended, sizes = _all(_units(400), deadly=frozenset((3, 99)))
    assert len(ended) == 400
    failed = {source: error for source, error in ended.items() if error}
    assert failed == {
        "/in/3.jpg": "/in/3.jpg: its worker died",
        "/in/99.jpg": "/in/99.jpg: its worker died",
    }
    assert sizes == [16, *[1] * 16, *[16] * 5, 16, *[1] * 16, *[16] * 18]


def test_each_output_of_a_picture_that_was_given_up_says_so() -> None:
    units = _units(1)
    (unit,) = _taken(iter(units), 1)
    ((task, result),) = units.results(Outcome(unit.key, None, "its worker died"))
    assert [output.path for output in result.outputs] == [o.path for o in task.outputs]
    assert all(output.error == "/in/0.jpg: its worker died" for output in result.outputs)


def test_a_unit_of_several_is_not_tried_again_as_a_whole() -> None:
    units = iter(_units(400))
    assert [unit.attempts for unit in _taken(units, 2)] == [1, 1]
    assert [unit.attempts for unit in _taken(iter(_units(2)), 2)] == [MAX_ATTEMPTS] * 2


def test_there_is_nothing_yet_as_long_as_units_that_are_out_may_come_back() -> None:
    units = _units(2)
    drawn = iter(units)
    first, second = _taken(drawn, 2)
    assert next(drawn) is None
    assert next(drawn) is None
    list(units.results(Outcome(first.key, [_result(task) for task in first.task])))
    assert next(drawn) is None
    list(units.results(Outcome(second.key, [_result(task) for task in second.task])))
    assert next(drawn, "end") == "end"


def test_a_picture_is_begun_before_any_worker_gets_it_and_once() -> None:
    begun: list[int] = []
    drawn = 0

    def tasks() -> Iterator[ImageTask]:
        nonlocal drawn
        for drawn in range(2500):
            yield _task(drawn)

    def begin(some: Sequence[ImageTask]) -> None:
        begun.extend(task.number for task in some)

    units = ImageUnits(tasks(), 2500, 1, begin)
    given = 0
    for unit in units:
        assert unit is not None
        given += len(unit.task)
        assert {task.number for task in unit.task} <= set(begun)
        assert drawn - given < 1000  # millions of pictures are not held in memory
        list(units.results(Outcome(unit.key, [_result(task) for task in unit.task])))
    assert begun == list(range(2500))


def _taken(
    units: Iterator[Unit[tuple[ImageTask, ...]] | None], count: int
) -> list[Unit[tuple[ImageTask, ...]]]:
    taken = [next(units) for _ in range(count)]
    return [unit for unit in taken if unit is not None]
