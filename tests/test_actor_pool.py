"""The pool against real Ray actors that fail, die and refuse to start."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nst_core.errors import EnvironmentProblem, MediaError
from pipeline.actor_pool import MAX_ATTEMPTS, ActorPool, Resources
from pipeline.worker_pool import InProcessPool, Outcome, Unit


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


def _refuse() -> Any:
    raise EnvironmentProblem("no abacus here; buy one")


@pytest.fixture
def pool_of(ray_here: None) -> Iterator[Any]:
    pools = []

    def make(factory: Any, workers: int = 2) -> ActorPool:
        pools.append(ActorPool(factory, Resources(cpus=1), workers=workers))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def _run(pool: Any, numbers: range) -> dict[int, Outcome[int]]:
    return {o.key: o for o in pool.run(Unit(number, number) for number in numbers)}


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


def test_the_pool_in_this_process_tells_the_same_outcomes(tmp_path: Path) -> None:
    outcomes = _run(InProcessPool(partial(_Worker, tmp_path)), range(20))
    assert outcomes[13].error == "thirteen: unlucky"
    assert all(outcomes[n].result == n * n for n in range(20) if n != 13)
