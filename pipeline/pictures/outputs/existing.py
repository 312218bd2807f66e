"""What lies in an output folder before a run."""

from __future__ import annotations

import os
import sqlite3

from pipeline.storage.files import Storage, below


class Existing:
    """What lies in the output folder: asked file by file here, listed once behind a URI."""

    def __init__(self, tables: sqlite3.Connection, storage: Storage, folder: str) -> None:
        """``tables`` have one called ``existing`` for it, empty."""
        self._tables = tables
        self._storage = storage
        self._real = storage.real(folder)
        self._checked: tuple[str, bool] = ("", True)
        if storage.is_remote:
            found = storage.walk(folder)
            rows = ((os.fsencode(each.path), each.size) for each in found)
            tables.executemany("INSERT INTO existing VALUES (?, ?)", rows)

    def size(self, path: str) -> int | None:
        """Return the size of a file in bytes; None where there is none."""
        if not self._storage.is_remote:
            return self._storage.size(path)
        question = "SELECT size FROM existing WHERE path = ?"
        row = self._tables.execute(question, (os.fsencode(path),)).fetchone()
        return row and int(row[0])

    def leaves(self, path: str) -> bool:
        """Whether a link leads the file out of the output folder."""
        parent = path.rpartition("/")[0]
        if self._checked[0] != parent:  # outputs come by name: those of a folder in a row
            real = self._storage.real(parent)
            inside = real == self._real or real.startswith(below(self._real, ""))
            self._checked = (parent, not inside)
        return self._checked[1]
