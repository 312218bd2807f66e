"""What plans must leave as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    """Time and size of all files and folders: a file that came and went has touched its folder."""
    found = {path: path.lstat() for path in (folder, *folder.rglob("*")) if path.exists()}
    return {str(path): (state.st_mtime_ns, state.st_size) for path, state in found.items()}


@contextmanager
def nothing_written(*folders: Path) -> Iterator[None]:
    """Fail where anything below the folders has changed after the block, folders included."""
    before = [_state(folder) for folder in folders]
    yield
    assert [_state(folder) for folder in folders] == before
