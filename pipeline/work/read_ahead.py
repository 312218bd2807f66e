"""Steps of a stream at once: each works ahead of the next, in a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")

_END = object()


def prefetch(items: Iterable[Item], *, depth: int = 2) -> Iterator[Item]:
    """Yield ``items``, drawn in a thread of its own: at most ``depth`` wait, and one is in work.

    An error of ``items`` is raised here, after the items before it. Whoever stops early (closes
    the iterator, or has an error) waits until the thread has ended its item; so does the process
    at its end, which would be aborted while a thread computes in C++.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(1, "prefetch") as thread:
        drawn = deque(thread.submit(next, iterator, _END) for _ in range(depth + 1))
        try:
            while (item := drawn.popleft().result()) is not _END:
                drawn.append(thread.submit(next, iterator, _END))
                yield item  # type: ignore[misc]
        finally:
            for waiting in drawn:
                waiting.cancel()
