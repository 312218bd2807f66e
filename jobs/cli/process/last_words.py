"""What a command cannot say when it is killed: a small process of its own says it.

The system ends processes for want of memory, and Ray ends its driver when a process of its own is
lost: both without a word, and a training in the background would be gone.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from jobs.cli.registry import command_of, is_long_work

_ENDED = b"."


@contextmanager
def last_words(arguments: Sequence[str]) -> Iterator[None]:
    """Let it be told when this process does not come to the end of the block.

    To be entered before there are threads, as a copy of this process waits for its end.
    """
    if not is_long_work(arguments):
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    if not os.fork():
        os.close(writer)
        _wait(reader, arguments)
    os.close(reader)
    try:
        yield
    finally:
        with suppress(OSError):  # nobody listens any more
            os.write(writer, _ENDED)
        os.close(writer)


def _wait(reader: int, arguments: Sequence[str]) -> None:
    """In the copy: wait for the end of the other process, tell of it where it came too soon."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # meant for the other, which comes to its end
    kills = _kills_for_memory()
    try:
        if os.read(reader, 1) != _ENDED:
            os.write(2, f"{_told(arguments, kills)}\n".encode())
    finally:
        os._exit(0)


def _told(arguments: Sequence[str], kills_before: int) -> str:
    if _kills_for_memory() > kills_before:
        why = "; meanwhile the system has ended processes for want of memory"
    else:
        why = f", such as for want of memory{_free_memory()}"
    is_training = command_of(arguments) == "train"
    on = "--resume goes on with it" if is_training else "run again to go on"
    return f"error: the command has died{why}; what is finished is kept: {on}"


def _kills_for_memory() -> int:
    """How many processes the system has ended for want of memory since it started."""
    return _number("/proc/vmstat", "oom_kill") or 0


def _free_memory() -> str:
    free, total = (_number("/proc/meminfo", name) for name in ("MemAvailable:", "MemTotal:"))
    if free is None or total is None:
        return ""
    return f" ({free / 1e6:.1f} of {total / 1e6:.1f} GB are free now)"


def _number(path: str, name: str) -> int | None:
    """Return a number of one of the system's lists; None on systems without it."""
    try:
        lines = [line.split() for line in Path(path).read_text().splitlines()]
    except OSError:
        return None
    return next((int(words[1]) for words in lines if words[:1] == [name]), None)
