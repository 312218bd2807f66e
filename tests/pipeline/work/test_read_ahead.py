import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.work.read_ahead import prefetch


def test_items_come_in_order_from_another_thread() -> None:
    threads = set()

    def items() -> Iterator[int]:
        for number in range(50):
            threads.add(threading.get_ident())
            yield number

    assert list(prefetch(items())) == list(range(50))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_no_more_items_are_drawn_than_may_wait() -> None:
    drawn: list[int] = []
    enough = threading.Event()

    def items() -> Iterator[int]:
        for number in range(20):
            drawn.append(number)
            if len(drawn) == 4:
                enough.set()
            yield number

    stream = prefetch(items(), depth=2)
    assert next(stream) == 0
    assert enough.wait(10)  # one is taken, two wait, one has been drawn and finds no room
    time.sleep(0.3)
    assert drawn == [0, 1, 2, 3]
    stream.close()  # type: ignore[attr-defined]


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("the third")

    stream = prefetch(items())
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(stream)


def test_two_steps_work_at_once() -> None:
    """Each step waits for the other to have begun its next item: alone, neither would go on."""
    second_has = [threading.Event() for _ in range(3)]

    def first() -> Iterator[int]:
        for number in range(3):
            if number:
                assert second_has[number - 1].wait(10)
            yield number

    def second(numbers: Iterator[int]) -> Iterator[int]:
        for number in numbers:
            second_has[number].set()
            yield number

    assert list(prefetch(second(prefetch(first())))) == [0, 1, 2]


def test_whoever_stops_early_leaves_no_thread_behind() -> None:
    def endless() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    before = threading.active_count()
    for item in prefetch(prefetch(endless())):
        if item == 3:
            break
    deadline = time.monotonic() + 300
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() == before


_LEFT_DRAWING = """
import torch
from pipeline.work.read_ahead import prefetch

def computed():
    picture = torch.rand(1, 16, 256, 256)
    layer = torch.nn.Conv2d(16, 16, 3)
    while True:
        with torch.no_grad():
            for _ in range(3):
                layer(picture)
        yield 1

left = prefetch(prefetch(computed()))
next(left)
"""


def test_a_process_ends_well_whose_steps_were_not_closed() -> None:
    for _ in range(3):
        subprocess.run([sys.executable, "-c", _LEFT_DRAWING], check=True, timeout=600)
