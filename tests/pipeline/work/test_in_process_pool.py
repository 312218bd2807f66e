"""Units in this process, one after the other and several at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from nst_core.errors import MediaError
from pipeline.work.in_process_pool import InProcessPool
from pipeline.work.pool import Unit


class _Worker:
    """Waits until as many units as it says are in work, and tells each of its steps."""

    engine = "abacus"

    def __init__(self, together: int = 1, steps: int = 3) -> None:
        self._barrier = threading.Barrier(together)
        self._steps = steps
        self._of_thread = threading.local()
        self.ended: list[int] = []

    @property
    def tell(self) -> Callable[[int, Any], None]:
        told: Callable[[int, Any], None] = getattr(self._of_thread, "tell", lambda *_: None)
        return told

    @tell.setter
    def tell(self, tell: Callable[[int, Any], None]) -> None:
        self._of_thread.tell = tell

    def process(self, number: int) -> int:
        if number == 13:
            raise MediaError("thirteen: unlucky")
        self._barrier.wait(60)
        for done in range(self._steps):
            self.tell(done, f"{number}: {done}")
            time.sleep(0.01)
        self.ended.append(number)
        return number * number


def test_units_are_done_at_once_and_told_in_the_callers_thread() -> None:
    pool = InProcessPool(lambda: _Worker(together=3), at_once=3)
    told: dict[int, list[Any]] = {number: [] for number in range(6)}
    threads = set()

    def on_advance(key: int, done: int, since: float, parts: Sequence[Any]) -> None:
        threads.add(threading.get_ident())
        told[key].append((done, *parts))

    outcomes = {
        outcome.key: outcome.result
        for outcome in pool.run([Unit(n, n) for n in range(6)], on_advance)
    }
    assert outcomes == {n: n * n for n in range(6)}
    assert threads == {threading.get_ident()}
    for number, each in told.items():
        assert each == [(done, f"{number}: {done}") for done in range(3)]


def test_an_error_ends_its_unit_and_not_those_beside_it() -> None:
    pool = InProcessPool(_Worker, at_once=4)
    outcomes = {each.key: each for each in pool.run([Unit(n, n) for n in (1, 13, 2)])}
    assert outcomes[13].error == "thirteen: unlucky"
    assert (outcomes[1].result, outcomes[2].result) == (1, 4)


def test_units_that_are_not_there_yet_are_asked_for_again() -> None:
    def units() -> Iterator[Unit[int] | None]:
        yield Unit(1, 1)
        for _ in range(3):
            yield None
        yield Unit(2, 2)

    outcomes = InProcessPool(_Worker, at_once=2).run(units())
    assert sorted(each.key for each in outcomes) == [1, 2]


@pytest.mark.parametrize("stop", ["listener", "caller"])
def test_what_stops_the_run_stops_units_in_their_midst(stop: str) -> None:
    worker = _Worker(together=2, steps=100_000)
    pool = InProcessPool(lambda: worker, at_once=2)

    def on_advance(*_: Any) -> None:
        if stop == "listener":
            raise OSError("nobody listens")
        raise KeyboardInterrupt

    with pytest.raises(OSError if stop == "listener" else KeyboardInterrupt):
        [*pool.run([Unit(n, n) for n in range(2)], on_advance)]
    assert worker.ended == []
