"""Paths for libraries that take UTF-8 only: Linux lets a file be called anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def utf8_path(path: Path) -> Iterator[Path]:
    """Name an existing file in UTF-8, by what Linux calls an open one where it must be.

    Raises OSError where it cannot be opened.
    """
    if is_utf8(str(path)):
        yield path
        return
    with path.open("rb") as file:
        yield Path(f"/proc/self/fd/{file.fileno()}")


def is_utf8(text: str) -> bool:
    """Whether a name, as Python has it from the file system or a command line, is UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
