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

    The parent is lost with Ray's raylet; a title that Ray gives hides command line and environment.
    """
    family = [each for each in psutil.Process().children(recursive=True) if _is_ray(each, folder)]
    try:
        yield
    finally:
        # Those that the raylet has started since have no title yet.
        rest = [*family, *(each for each in psutil.process_iter() if _names(each, folder))]
        for each in rest:
            with suppress(psutil.Error):  # it has ended, as it should
                each.kill()
        psutil.wait_procs(rest, timeout=_SECONDS_TO_END)


def _is_ray(process: psutil.Process, folder: Path) -> bool:
    with suppress(psutil.Error, IndexError):
        return process.cmdline()[0].startswith("ray::") or _names(process, folder)
    return False


def _names(process: psutil.Process, folder: Path) -> bool:
    with suppress(psutil.Error):
        return any(f"{folder}/ray" in word for word in process.cmdline())
    return False
