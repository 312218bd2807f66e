"""Which outputs go into which tar shard, and which shards are there already.

A shard's outputs follow from the sources alone: their order (that of the sources' shards, else by
name) and their sizes. A shard whose outputs, sources and options are as recorded is there already.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import PurePosixPath
from typing import Any

from nst_core.errors import InputError
from pipeline.datasets.shards import key_of

TABLES = """
CREATE TABLE carried (archive BLOB, key BLOB, name BLOB, offset INTEGER, size INTEGER);
CREATE TABLE placed (output INTEGER PRIMARY KEY, shard BLOB, name BLOB);
CREATE TABLE shards (name BLOB PRIMARY KEY, identity TEXT) WITHOUT ROWID;
"""
INDICES = "CREATE INDEX carried_by_key ON carried (archive, key);"
_IN_ORDER = """
SELECT outputs.rowid, outputs.name, outputs.style, outputs.shard, inputs.number, inputs.name,
       inputs.path, inputs.size, inputs.version, inputs.archive
FROM outputs JOIN inputs ON inputs.number = outputs.input
WHERE outputs.name IS NOT NULL AND (?1 IS NULL OR outputs.shard = ?1)
ORDER BY inputs.archive, inputs.offset, inputs.name, inputs.number, outputs.style
"""


_NUMBER = re.compile(r"%\d*d")


@dataclass(frozen=True)
class ShardNames:
    """How shards are called, and when the next one begins."""

    pattern: str
    """Name below the output folder: ``data-%06d.tar``."""
    most_outputs: int
    most_bytes: int
    """Bytes of the sources; a larger one has a shard of its own."""

    def is_one(self, name: str) -> bool:
        """Whether a name is one of them."""
        before, after = _NUMBER.split(self.pattern)
        number = name.removeprefix(before).removesuffix(after)
        return number.isdecimal() and name == self.pattern % int(number)


@dataclass(frozen=True)
class Carried:
    """A member of a source's shard that goes along with its pictures."""

    name: str
    """Name of the member in the output's shard."""
    archive: str
    offset: int
    size: int


@dataclass(frozen=True)
class Sample:
    """Outputs of one key, and what goes along with them."""

    outputs: tuple[str, ...]
    """Names below the output folder: ``data-000000.tar/a/7.jpg``."""
    carried: tuple[Carried, ...]


def forget_members(tables: sqlite3.Connection, shard: str) -> None:
    """Forget what is known of a shard's outputs."""
    ends = (os.fsencode(shard + end) for end in "/0")  # "0" follows "/"
    tables.execute("DELETE FROM known WHERE name >= ? AND name < ?", (*ends,))


class ShardPlan:
    """The shards of an image job, in the tables of its plan."""

    def __init__(self, tables: sqlite3.Connection, names: ShardNames) -> None:
        self._tables = tables
        self._names = names
        self.left_over: list[str] = []
        """Shards that an earlier run has made and this one will not, once ``judge`` has ended."""

    def assign(self) -> None:
        """Give every output its shard, and a name in it."""
        number = outputs = size = 0
        for _, group in groupby(self._in_order(), key=itemgetter(4)):
            of_input = list(group)
            more = of_input[0][7]
            is_full = outputs + len(of_input) > self._names.most_outputs
            if outputs and (is_full or size + more > self._names.most_bytes):
                number, outputs, size = number + 1, 0, 0
            outputs, size = outputs + len(of_input), size + more
            shard = os.fsencode(self._names.pattern % number)
            for row, name, *_, in_tree, path, _, _, archive in of_input:
                member = path[len(archive) + 1 :] if archive else in_tree
                inside = name[len(in_tree) - len(member) :]
                placed = (row, shard, shard + b"/" + _with_a_key(inside))
                self._tables.execute("INSERT INTO placed VALUES (?, ?, ?)", placed)
        self._tables.executescript(
            """UPDATE outputs SET shard = placed.shard, name = placed.name FROM placed
            WHERE outputs.rowid = placed.output; DELETE FROM placed;"""
        )

    def judge(
        self,
        identities: Mapping[str, str],
        size_of: Callable[[str], int | None],
        *,
        resume: bool,
        overwrite: bool,
    ) -> None:
        """Decide what becomes of every shard, and so of its outputs.

        ``size_of`` tells the bytes of a file in the output folder; None: there is none.
        """
        verdicts: list[tuple[bytes, str, str, bytes | None]] = []
        for raw, group in groupby(self._in_order(), key=itemgetter(3)):
            shard, identity = os.fsdecode(raw), self._identity(group, identities)
            there, known = size_of(shard), self._known(raw)
            is_same = known is not None and known[0] == identity and resume
            if is_same and known and known[2] and there == known[1]:
                verdicts.append((raw, identity, "reused", None))
            elif there is None or overwrite or (is_same and known and not known[2]):
                verdicts.append((raw, identity, "new", None))
            else:
                how = "was changed since it was made" if is_same else "was made otherwise"
                problem = os.fsencode(f"{shard} exists and {how}; --overwrite replaces it")
                verdicts.append((raw, identity, "refused", problem))
        for raw, identity, state, reason in verdicts:
            self._tables.execute(
                "UPDATE outputs SET state = ?, problem = ? WHERE shard = ?", (state, reason, raw)
            )
            self._tables.execute("INSERT INTO shards VALUES (?, ?)", (raw, identity))
        # What failed in a shard that is there would fail again: its source is the same.
        self._tables.execute(
            """UPDATE outputs SET state = 'refused', problem = known.error FROM known
            WHERE outputs.state = 'reused' AND known.name = outputs.name AND NOT known.done"""
        )
        others = self._tables.execute(
            """SELECT name FROM known WHERE source = x'' AND done
            AND name NOT IN (SELECT name FROM shards) ORDER BY name"""
        )
        names = [os.fsdecode(name) for (name,) in others.fetchall()]
        self.left_over = [each for each in names if self._names.is_one(each) and size_of(each)]

    def spare_inputs(self, output_folder: str) -> None:
        """Raise InputError where a shard would replace one that is read; both real paths."""
        archives = self._tables.execute(
            """SELECT DISTINCT substr(real, 1, length(real) - length(path) + length(archive))
            FROM inputs WHERE archive != x''"""
        )
        for (raw,) in archives.fetchall():
            folder, _, name = os.fsdecode(raw).rpartition("/")
            question = "SELECT EXISTS (SELECT 1 FROM outputs WHERE shard = ?)"
            (is_output,) = self._tables.execute(question, (os.fsencode(name),)).fetchone()
            if folder == output_folder and is_output:
                raise InputError(
                    f"{folder}/{name}: the output would replace an input; choose another name with "
                    "-o"
                )

    def identity(self, shard: str) -> str:
        """Return what stands for all that a shard is made of."""
        question = "SELECT identity FROM shards WHERE name = ?"
        return str(self._tables.execute(question, (os.fsencode(shard),)).fetchone()[0])

    def count(self, shard: str) -> int:
        """Return how many outputs go into a shard."""
        question = "SELECT COUNT(*) FROM outputs WHERE shard = ?"
        return int(self._tables.execute(question, (os.fsencode(shard),)).fetchone()[0])

    def samples(self, shard: str) -> Iterator[Sample]:
        """Yield what a shard is to hold, in its order."""
        rows = self._in_order(os.fsencode(shard)).fetchall()
        for key, group in groupby(rows, key=lambda row: key_of(os.fsdecode(row[1]))):
            of_key = list(group)
            _, *_, path, _, _, archive = of_key[0]
            inside = key.removeprefix(f"{shard}/")
            outputs = tuple(os.fsdecode(row[1]) for row in of_key)
            yield Sample(outputs, tuple(self._carried(archive, path[len(archive) + 1 :], inside)))

    def _carried(self, archive: bytes, member: bytes, key: str) -> Iterator[Carried]:
        source_key = key_of(os.fsdecode(member))
        question = "SELECT name, offset, size FROM carried WHERE archive = ? AND key = ?"
        found = self._tables.execute(
            f"{question} ORDER BY offset", (archive, os.fsencode(source_key))
        )
        for name, offset, size in found.fetchall() if archive else ():
            ending = os.fsdecode(name)[len(source_key) :]
            yield Carried(f"{key}{ending}", os.fsdecode(archive), offset, size)

    def _in_order(self, shard: bytes | None = None) -> sqlite3.Cursor:
        return self._tables.execute(_IN_ORDER, (shard,))

    def _known(self, shard: bytes) -> Sequence[Any] | None:
        """Return identity and size of a shard, and whether it was finished; None: no record."""
        question = "SELECT identity, size, done FROM known WHERE name = ?"
        found: Sequence[Any] | None = self._tables.execute(question, (shard,)).fetchone()
        return found

    def _identity(self, rows: Iterator[Sequence[Any]], identities: Mapping[str, str]) -> str:
        digest = hashlib.sha256()
        for _, name, style, *_, path, size, version, archive in rows:
            parts = (name, path, archive, f"{size} {version} {identities[os.fsdecode(style)]}")
            for part in parts:
                content = part if isinstance(part, bytes) else part.encode()
                digest.update(len(content).to_bytes(8) + content)
        return digest.hexdigest()[:16]


def _with_a_key(name: bytes) -> bytes:
    """Return a member's name with one dot: readers take what is before the first one for its key.

    Else ``img.1.jpg`` and ``img.2.jpg`` would be one sample.
    """
    path = PurePosixPath(os.fsdecode(name))
    return os.fsencode(str(path.with_stem(path.stem.replace(".", "_"))))
