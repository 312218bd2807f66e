"""Seeing that Ray's processes end: stopped while it starts, it leaves its agents to themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_SECONDS_TO_END = 5.0


@contextmanager
def processes_ended(folder: Path) -> Iterator[None]:
    """Kill what lives, after the block that ends it, of a Ray that this process has in ``folder``.

    An agent's title hides its command line, and its parent is lost with Ray's raylet.
    """
    mine = psutil.Process().children(recursive=True)
    family = [each for one in mine if _names(one, folder) for each in _with_children(one)]
    try:
        yield
    finally:
        # Those that the raylet has started since have no title yet.
        rest = [*family, *(each for each in psutil.process_iter() if _names(each, folder))]
        for each in rest:
            with suppress(psutil.Error):  # it has ended, as it should
                each.kill()
        psutil.wait_procs(rest, timeout=_SECONDS_TO_END)


def _with_children(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return [process, *process.children(recursive=True)]
    return [process]


def _names(process: psutil.Process, folder: Path) -> bool:
    with suppress(psutil.Error):
        return any(f"{folder}/ray" in word for word in process.cmdline())
    return False
