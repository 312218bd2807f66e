"""The pool against real Ray actors that fail, die and refuse to start."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cluster.workers.actor_pool import ActorPool
from cluster.workers.host import WorkerHost
from cluster.workers.room import Resources
from nst_core.errors import EnvironmentProblem, MediaError
from pipeline.pictures.task import ImageResult, ImageTask, OutputTask
from pipeline.pictures.units import ImageUnits
from pipeline.work.in_process_pool import InProcessPool
from pipeline.work.pool import MAX_ATTEMPTS, Deadline, Outcome, Unit


class _Worker:
    """Squares numbers; some numbers are poison. Deaths are counted in a folder."""

    engine = "abacus"

    def __init__(self, folder: Path, deaths: int = 0) -> None:
        self._folder = folder
        self._deaths = deaths

    def process(self, number: int) -> int:
        if number == 13:
            raise MediaError("thirteen: unlucky")
        if number == 7:
            died = len(list(self._folder.iterdir()))
            if died < self._deaths:
                (self._folder / str(died)).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return number * number


class _Sleeper:
    """Sleeps for as long as its task says, and tells when, on a clock that processes share."""

    engine = "bed"

    def __init__(self, seconds_to_build: float = 0.0) -> None:
        time.sleep(seconds_to_build)

    def process(self, seconds: float) -> tuple[int, float, float]:
        begin = time.time()
        time.sleep(seconds)
        return os.getpid(), begin, time.time()


class _Dreamer(_Sleeper):
    """Sleeps like others, but dies after less than no time."""

    def process(self, seconds: float) -> tuple[int, float, float]:
        slept = super().process(abs(seconds))
        if seconds < 0:
            _die()
        return slept


class _Counter:
    """Counts up to its task, slower than it is asked, and tells so; odd numbers are to be kept."""

    engine = "abacus"

    def __init__(self) -> None:
        self.tell: Callable[[int, Any], None] = lambda done, part: None

    def process(self, number: int) -> int:
        for done in range(number):
            self.tell(done, f"{done} of {number}" if done % 2 else None)
            time.sleep(0.4)
        return number


class _ThreadedCounter(_Counter):
    """Counts up for several threads at once."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    @property
    def tell(self) -> Callable[[int, Any], None]:
        told: Callable[[int, Any], None] = getattr(self._of_thread, "tell", lambda *_: None)
        return told

    @tell.setter
    def tell(self, tell: Callable[[int, Any], None]) -> None:
        self._of_thread.tell = tell


class _PictureWorker:
    """Dies of one picture, whatever others it has beside it."""

    engine = "abacus"

    def process(self, tasks: Sequence[ImageTask]) -> list[ImageResult]:
        if any(task.number == 7 for task in tasks):
            os.kill(os.getpid(), signal.SIGKILL)
        return [ImageResult(task.number, "digest", ()) for task in tasks]


class _WiderSleeper(_Sleeper):
    """Finds out, on its way, that it can sleep three times at once."""

    def places(self) -> int:
        return 3


def _die() -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def _refuse() -> Any:
    raise EnvironmentProblem("no abacus here; buy one")


@pytest.fixture
def _asked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.workers.actor_pool._SECONDS_BETWEEN_SIGNS", 0.1)


@pytest.fixture
def pool_of(ray_here: None) -> Iterator[Any]:
    pools = []

    def make(factory: Any, workers: int = 2, **options: Any) -> ActorPool:
        pools.append(ActorPool(factory, Resources(cpus=1), workers=workers, **options))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def _run(pool: Any, numbers: range) -> dict[int, Outcome[int]]:
    return {o.key: o for o in pool.run(Unit(number, number) for number in numbers)}


def test_libraries_are_set_up_before_a_worker_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    built: list[int | None] = []
    WorkerHost(lambda: built.append(Image.MAX_IMAGE_PIXELS))  # type: ignore[return-value, arg-type]
    assert built == [None]


def test_parts_of_a_unit_in_work_outlast_a_question_that_fails() -> None:
    class Worker:
        engine = "none"
        fails = True

        def process(self, task: Any) -> None: ...

        def places(self) -> int:
            if self.fails:
                raise ConnectionError
            return 1

    worker = Worker()
    host = WorkerHost(lambda: worker)
    host._tell("a", 1, "part")
    with pytest.raises(ConnectionError):
        host.how_far()
    worker.fails = False
    assert host.how_far() == ([("a", 1, ["part"])], 1)


def test_every_unit_has_one_outcome_and_a_failing_unit_stops_nobody(
    pool_of: Any, tmp_path: Path
) -> None:
    pool = pool_of(partial(_Worker, tmp_path))
    outcomes = _run(pool, range(20))
    assert sorted(outcomes) == list(range(20))
    assert outcomes[13].error == "thirteen: unlucky"
    assert outcomes[13].result is None
    assert all(outcomes[n].result == n * n for n in range(20) if n != 13)
    assert pool.engine() == "abacus"


@pytest.mark.slow
def test_a_killed_workers_unit_is_done_by_another(pool_of: Any, tmp_path: Path) -> None:
    outcomes = _run(pool_of(partial(_Worker, tmp_path, deaths=1)), range(12))
    assert all(outcomes[n].result == n * n for n in range(12))
    assert outcomes[7].attempts == 2
    assert sum(outcome.attempts for outcome in outcomes.values()) <= 12 + 2  # and its neighbour


def test_a_unit_that_kills_every_worker_is_given_up_and_named(pool_of: Any, tmp_path: Path) -> None:
    outcomes = _run(pool_of(partial(_Worker, tmp_path, deaths=99)), range(12))
    assert f"{MAX_ATTEMPTS} times" in str(outcomes[7].error)
    assert len(list(tmp_path.iterdir())) == MAX_ATTEMPTS
    assert all(outcomes[n].result == n * n for n in range(12) if n != 7)


def test_a_picture_that_kills_its_worker_takes_none_of_its_unit_with_it(pool_of: Any) -> None:
    output = OutputTask("wave", "/out.jpg")
    tasks = (ImageTask(n, f"/{n}.jpg", (output,), 1, "version") for n in range(100))
    units = ImageUnits(tasks, 100, 2, lambda begun: None)
    ended: dict[int, ImageResult] = {}
    for outcome in pool_of(_PictureWorker).run(units):
        ended |= {result.number: result for _, result in units.results(outcome)}
    (given_up,) = ended.pop(7).outputs
    assert given_up.error == f"/7.jpg: its worker died {MAX_ATTEMPTS} times; given up"
    assert sorted(ended) == [number for number in range(100) if number != 7]
    assert all(result.digest for result in ended.values())


@pytest.mark.usefixtures("_asked_often")
def test_how_far_units_are_is_told_from_their_workers(pool_of: Any) -> None:
    told: list[tuple[str, int]] = []
    kept: list[str] = []
    pool = pool_of(_Counter)
    began = time.monotonic()

    def on_advance(key: str, done: int, since: float, parts: Sequence[str]) -> None:
        assert key not in ended
        assert began < since <= time.monotonic()
        told.append((key, done))
        kept.extend(parts)

    ended: dict[str, Any] = {}
    for outcome in pool.run([Unit("four", 4), Unit("six", 6)], on_advance):
        ended[outcome.key] = outcome.result
    assert ended == {"four": 4, "six": 6}
    for key, last in ended.items():
        counted = [done for each, done in told if each == key]
        assert counted == sorted(counted)
        assert len(set(counted)) >= 2
        assert counted[-1] < last
    assert {"1 of 4", "1 of 6", "3 of 6"} <= {*kept}
    assert len(kept) == len({*kept})


def test_workers_that_cannot_start_end_the_run_with_their_reason(pool_of: Any) -> None:
    with pytest.raises(EnvironmentProblem, match="no abacus here; buy one"):
        _run(pool_of(_refuse), range(3))


def test_more_workers_than_the_cluster_holds_are_refused_at_once(ray_here: None) -> None:
    with pytest.raises(EnvironmentProblem, match="lower --workers"):
        ActorPool(_refuse, Resources(cpus=1), workers=1000)


def test_units_are_drawn_only_as_workers_become_free(pool_of: Any, tmp_path: Path) -> None:
    drawn = []

    def units() -> Iterator[Unit[int]]:
        for number in range(50):
            drawn.append(number)
            yield Unit(number, number + 100)

    outcomes = pool_of(partial(_Worker, tmp_path)).run(units())
    next(outcomes)
    assert len(drawn) <= 2 * 2 + 2  # two at each of two workers, one on its way, one replaced
    assert len(list(outcomes)) == 49


def _spans(pool: ActorPool, seconds: list[float], pause: float = 0) -> list[Any]:
    """When each worker was at work, after a consumer that takes ``pause`` for each outcome."""
    spans: dict[int, list[tuple[float, float]]] = {}
    for outcome in pool.run(Unit(n, s) for n, s in enumerate(seconds)):
        assert outcome.result is not None
        worker, begin, end = outcome.result
        spans.setdefault(worker, []).append((begin, end))
        time.sleep(pause)  # hashes, writes, waits for the disk
    return [sorted(of_one) for of_one in spans.values()]


def test_no_worker_is_idle_while_units_wait(pool_of: Any) -> None:
    pool = pool_of(_Sleeper, depth=1)
    _spans(pool, [0.5, 0.5, 0.5])  # both have started
    # Were a unit queued behind the first, long one, it would wait beside an idle worker.
    spans = _spans(pool, [1.0, *[0.2] * 4])
    assert len(spans) == 2
    last_begin = max(begin for of_one in spans for begin, _ in of_one)
    assert all(of_one[-1][1] >= last_begin for of_one in spans), spans


def test_a_worker_has_its_next_unit_before_the_last_ones_outcome_is_looked_at(
    pool_of: Any,
) -> None:
    (spans,) = _spans(pool_of(_Sleeper, workers=1, depth=1), [0.3] * 4, pause=0.25)
    pauses = [after - end for (_, end), (after, _) in pairwise(spans)]
    assert max(pauses) < 0.2, pauses


def test_only_short_units_are_handed_out_ahead(pool_of: Any) -> None:
    for seconds, at_the_worker in ((0.05, 2), (1.3, 1)):
        pool = pool_of(_Sleeper, workers=1, depth=1)
        outcomes = pool.run(Unit(n, seconds) for n in range(4))
        next(outcomes)
        assert [len(seat.calls) for seat in pool._seats] == [at_the_worker]
        pool.close()


def test_an_idle_worker_takes_over_what_waits_behind_a_long_unit(pool_of: Any) -> None:
    pool = pool_of(_Sleeper, depth=1)
    _spans(pool, [0.1] * 6)  # both have started, and units are known to be short
    seconds = [3.0, *[0.1] * 6]
    outcomes = list(pool.run(Unit(n, s) for n, s in enumerate(seconds)))
    assert sorted(outcome.key for outcome in outcomes) == list(range(7))  # each of them once
    assert outcomes[-1].key == 0  # all others have ended beside it


def test_a_unit_that_was_taken_over_is_not_tried_again_with_its_first_worker(
    pool_of: Any,
) -> None:
    pool = pool_of(_Dreamer, depth=1)
    list(pool.run(Unit(n, 0.1) for n in range(6)))
    # The first dies in its sleep, and one waits behind it.
    units = [Unit(0, -1.0, attempts=1), *(Unit(n, 0.1) for n in range(1, 5))]
    outcomes = list(pool.run(units))
    assert sorted(outcome.key for outcome in outcomes) == list(range(5))
    assert {outcome.key for outcome in outcomes if outcome.error} == {0}
    assert {outcome.attempts for outcome in outcomes if outcome.key} == {1}


def test_units_that_appear_later_are_done_too(pool_of: Any, tmp_path: Path) -> None:
    for pool in (pool_of(partial(_Worker, tmp_path)), InProcessPool(partial(_Worker, tmp_path))):
        ended: list[Any] = []

        def units(ended: list[Any] = ended) -> Iterator[Unit[int] | None]:
            yield Unit(2, 2)
            for number in (3, 4):
                nothing_before = time.monotonic() + 0.3
                while len(ended) < number - 2 or time.monotonic() < nothing_before:
                    yield None
                yield Unit(number, number)

        for outcome in pool.run(units()):
            ended.append(outcome.result)
        assert ended == [4, 9, 16]


def test_a_unit_past_its_deadline_is_given_up_and_the_rest_is_done(pool_of: Any) -> None:
    pool = pool_of(_Sleeper, depth=1, deadline=Deadline(0.6, "take more time"))
    seconds = [0.01, 60.0, *[0.01] * 6]
    outcomes = {o.key: o for o in pool.run(Unit(n, s) for n, s in enumerate(seconds))}
    assert sorted(outcomes) == list(range(8))
    words = "took more than 0.6 s 3 times; given up; take more time"
    assert (outcomes[1].error, outcomes[1].attempts) == (words, MAX_ATTEMPTS)
    assert all(outcomes[n].result and outcomes[n].attempts == 1 for n in range(8) if n != 1)


def test_units_behind_one_past_its_deadline_are_innocent(pool_of: Any) -> None:
    pool = pool_of(_Sleeper, workers=1, depth=4, deadline=Deadline(0.4))
    # The last four together take longer than allowed.
    units = [Unit(0, 60.0, attempts=1), *(Unit(n, 0.15) for n in range(1, 5))]
    outcomes = {o.key: o for o in pool.run(units)}
    assert "took more than 0.4 s" in str(outcomes[0].error)
    assert all(outcomes[n].result and outcomes[n].attempts == 1 for n in range(1, 5))


def test_building_a_worker_takes_nothing_from_the_deadline(pool_of: Any) -> None:
    pool = pool_of(partial(_Sleeper, 1.0), workers=1, depth=1, deadline=Deadline(0.5))
    (outcome,) = pool.run([Unit(0, 0.01)])
    assert outcome.result
    assert outcome.attempts == 1


def test_workers_that_die_while_they_start_end_the_run(pool_of: Any) -> None:
    with pytest.raises(EnvironmentProblem, match="a worker could not start"):
        _run(pool_of(_die), range(3))


def test_one_unit_starts_one_worker(pool_of: Any, tmp_path: Path) -> None:
    pool = pool_of(partial(_Worker, tmp_path))
    assert len(_run(pool, range(1))) == 1
    assert len(pool._seats) == 1


def test_the_pool_in_this_process_tells_the_same_outcomes(tmp_path: Path) -> None:
    outcomes = _run(InProcessPool(partial(_Worker, tmp_path)), range(20))
    assert outcomes[13].error == "thirteen: unlucky"
    assert all(outcomes[n].result == n * n for n in range(20) if n != 13)


class _Chains:
    """Units of which each goes well with the one before it in its chain."""

    def __init__(self) -> None:
        self._left = [(chain, number) for chain in range(2) for number in range(4)]
        self.drawn: list[tuple[tuple[int, int] | None, tuple[int, int]]] = []

    def next_for(self, last: tuple[int, int] | None) -> Unit[int]:
        if not self._left:
            raise StopIteration
        following = last and (last[0], last[1] + 1)
        begins = next((key for key in self._left if key[1] == 0), self._left[0])
        key = following if following in self._left else begins
        self._left.remove(key)
        self.drawn.append((last, key))
        return Unit(key, 0)


def test_a_worker_is_given_what_goes_with_its_last_unit(pool_of: Any) -> None:
    for pool in (pool_of(_Sleeper, workers=1, depth=1), InProcessPool(_Sleeper)):
        keys = [outcome.key for outcome in pool.run(_Chains())]
        assert keys == [(chain, number) for chain in range(2) for number in range(4)]


def test_a_worker_of_several_at_once_is_not_given_what_goes_with_one_in_work(
    pool_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.workers.actor_pool._SHORT_UNIT_SECONDS", 0.0)
    for pool in (pool_of(_Sleeper, workers=1, concurrency=2), InProcessPool(_Sleeper, at_once=2)):
        chains = _Chains()
        assert len([*pool.run(chains)]) == 8
        assert chains.drawn[:2] == [(None, (0, 0)), (None, (1, 0))]
        for last, key in chains.drawn[2:]:
            assert last is not None
            assert key == (last[0], last[1] + 1) or last[1] == 3


def test_units_at_once_in_one_worker_begin_together(pool_of: Any) -> None:
    pool = pool_of(_Sleeper, workers=1, concurrency=3)
    slept = [outcome.result for outcome in pool.run([Unit(n, 0.5) for n in range(6)])]
    assert len({process for process, _, _ in slept}) == 1
    begun = sorted(begin for _, begin, _ in slept)
    ended = sorted(end for _, _, end in slept)
    assert begun[2] < ended[0]
    assert begun[3] >= ended[0]


def test_a_unit_past_its_deadline_is_found_beside_others_that_end(pool_of: Any) -> None:
    """The others beside it end and begin all the time; those in work then are done again.

    Two units at once have twice the time.
    """
    pool = pool_of(_Sleeper, workers=1, concurrency=2, deadline=Deadline(1.0))
    units = [Unit("stuck", 600.0, attempts=1), *(Unit(n, 0.3) for n in range(8))]
    outcomes = {outcome.key: outcome for outcome in pool.run(units)}
    assert outcomes["stuck"].error == "took more than 2 s 1 times; given up"
    assert all(outcomes[n].error is None for n in range(8))


@pytest.mark.usefixtures("_asked_often")
def test_how_far_units_at_once_are_is_told_of_each(pool_of: Any) -> None:
    told: dict[str, list[int]] = {"three": [], "five": []}

    def on_advance(key: str, done: int, since: float, parts: Sequence[str]) -> None:
        told[key].append(done)

    pool = pool_of(_ThreadedCounter, workers=1, concurrency=2)
    [*pool.run([Unit("three", 3), Unit("five", 5)], on_advance)]
    for key, last in (("three", 3), ("five", 5)):
        assert told[key] == sorted(told[key])
        assert told[key]
        assert told[key][-1] < last


def test_a_worker_that_comes_to_do_more_at_once_is_given_more(pool_of: Any) -> None:
    pool = pool_of(_WiderSleeper, workers=1, depth=1, most_at_once=3)
    units = [Unit(number, 1.2) for number in range(5)]
    slept = [outcome.result for outcome in pool.run(units, lambda *_: None)]
    most = max(sum(b <= begin < end for _, b, end in slept) for _, begin, _ in slept)
    assert most == 3
    first = sorted(begin for _, begin, _ in slept)
    assert first[1] > first[0] + 0.3  # it began with one
