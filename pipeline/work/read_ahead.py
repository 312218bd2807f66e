"""Steps of a stream at once: each works ahead of the next, in a thread of its own."""

from __future__ import annotations

import atexit
import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")

_SECONDS_BETWEEN_LOOKS = 0.1


@dataclass(frozen=True)
class _Failed:
    error: BaseException


class _End:
    pass


_not_stopped: list[_Prefetch[Any]] = []


@atexit.register
def _stop_all() -> None:
    """Stop those that nobody has closed, after Ctrl-C at a bad moment for instance.

    A process that ends while one of its threads computes in C++ would be aborted. The outer ones
    come first: they wait for items of the inner ones.
    """
    while _not_stopped:
        _not_stopped[0].stop()


class _Prefetch(Generic[Item]):
    """Draws from an iterable in a thread, at most ``depth`` items ahead."""

    def __init__(self, items: Iterable[Item], depth: int) -> None:
        self._items = items
        self._drawn: queue.Queue[Item | _Failed | _End] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="prefetch", daemon=True)
        _not_stopped.append(self)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        try:
            while not isinstance(item := self._drawn.get(), _End):
                if isinstance(item, _Failed):
                    raise item.error
                yield item
        finally:
            self.stop()

    def stop(self) -> None:
        """Draw no more, and wait until the thread has ended its item."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        with suppress(ValueError):  # stopped twice
            _not_stopped.remove(self)

    def _draw(self) -> None:
        last: _Failed | _End = _End()
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as error:  # told where the items are used
            last = _Failed(error)
        self._put(last)

    def _put(self, item: Item | _Failed | _End) -> bool:
        """Wait for room; False when nobody takes items any more."""
        while not self._stopped.is_set():
            try:
                self._drawn.put(item, timeout=_SECONDS_BETWEEN_LOOKS)
            except queue.Full:
                continue
            return True
        return False


def prefetch(items: Iterable[Item], *, depth: int = 2) -> Iterator[Item]:
    """Yield ``items``, drawn in a thread of its own: at most ``depth`` wait, and one is in work.

    An error of ``items`` is raised here, after the items before it. Whoever stops early (closes
    the iterator, or has an error) waits until the thread has ended its item.
    """
    yield from _Prefetch(items, depth)
