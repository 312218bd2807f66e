"""Importing large packages in less time."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def first_import(package: str) -> Iterator[None]:
    """Pause the garbage collection inside the block, which imports ``package``.

    An import makes some hundred thousand objects that stay, and the collector would go through them
    time and again: torch takes a tenth less, more beside other work (measured). They are also
    exempt from later collections. Where the package is there already, nothing is paused.
    """
    if package in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
