from __future__ import annotations

import time
from functools import partial
from typing import Any

import pytest

from pipeline.work.background import BackgroundThread


def test_functions_run_in_order_and_the_block_waits_for_them() -> None:
    done: list[int] = []

    def work(number: int) -> None:
        time.sleep(0.02)
        done.append(number)

    with BackgroundThread("test") as thread:
        for number in range(3):
            thread.submit(partial(work, number))
    assert done == [0, 1, 2]


def test_an_error_is_told_to_whoever_asks_for_the_result() -> None:
    def fail() -> None:
        raise ValueError("no")

    with BackgroundThread("test") as thread:
        future = thread.submit(fail)
    with pytest.raises(ValueError, match="no"):
        future.result()


def test_an_interrupt_ends_what_runs_and_what_waits_and_cleans_up() -> None:
    seen: list[str] = []

    def work() -> None:
        try:
            while True:
                time.sleep(0.01)
                if "began" not in seen:
                    seen.append("began")
        finally:
            seen.append("cleaned up")

    def interrupted(thread: Any) -> None:
        thread.submit(work)
        thread.submit(lambda: seen.append("never"))
        while not seen:
            time.sleep(0.01)
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), BackgroundThread("test") as thread:
        interrupted(thread)
    assert seen == ["began", "cleaned up"]
    assert time.monotonic() - start < 5
