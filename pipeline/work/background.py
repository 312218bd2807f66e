"""A thread that works beside the main one and can be stopped in the middle of its work."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from types import TracebackType

_SECONDS_AT_A_TIME = 0.5


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """Raised inside a function that is no longer wanted.

    An Exception, because PyAV drops whatever else is raised while it reads from a Python file.
    """


class BackgroundThread:
    """Runs functions one after the other; leaving the block waits for all of them.

    Leaving it by an exception, Ctrl-C above all, stops the function that runs at its next step of
    Python (its ``finally`` clauses still run), and forgets those that have not begun.
    """

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._running: int | None = None
        self._stopped = False

    def __enter__(self) -> BackgroundThread:
        # The executor starts its thread now: interrupted in doing so, it forgets it has one.
        self._executor.submit(lambda: None).result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._executor.shutdown(wait=True)
        except BaseException:
            self._stop()
            raise
        if kind is not None:
            self._stop()

    def submit(self, function: Callable[[], None]) -> Future[None]:
        """Run ``function`` when those before it have ended."""
        return self._executor.submit(self._run, function)

    def _run(self, function: Callable[[], None]) -> None:
        with suppress(Stopped):  # whoever waited for the function has gone
            with self._lock:
                if self._stopped:
                    return
                self._running = threading.get_ident()
            try:
                function()
            finally:
                with self._lock:
                    self._running = None

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._running is not None:
                # Only a thread itself can leave a function; this has it do so, like Ctrl-C does.
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._running), ctypes.py_object(Stopped)
                )
        self._executor.shutdown(wait=True, cancel_futures=True)


def wait_for(future: Future[None]) -> None:
    """Wait for a function's end; raises what it raised.

    Not for ever at a time: a signal that comes in the moment before a thread begins to wait is
    told to Python only when it stops waiting.
    """
    while not wait([future], _SECONDS_AT_A_TIME).done:
        pass
    future.result()
