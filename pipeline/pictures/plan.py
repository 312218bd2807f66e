"""What an image job is to do: on disk instead of in memory, as there may be millions of pictures.

Every input is one of: named in ``failures`` at once, reused, or part of a task. Paths are kept as
bytes, since file names need not be text.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import Any

from nst_core.errors import EnvironmentProblem, InputError
from pipeline.datasets import shard_plan
from pipeline.datasets.manifest import ManifestRow
from pipeline.datasets.shard_plan import ShardNames, ShardPlan
from pipeline.datasets.shards import key_of
from pipeline.pictures.judging import TO_JUDGE, OutputFolder, verdict_on
from pipeline.pictures.outputs.existing import Existing
from pipeline.pictures.outputs.names import OutputNames
from pipeline.pictures.records import ImageRecord
from pipeline.pictures.task import ImageTask, OutputTask
from pipeline.storage.files import StoredFile, below

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE inputs (number INTEGER PRIMARY KEY, name BLOB, path BLOB, size INTEGER, version TEXT,
                     real BLOB, problem BLOB, archive BLOB, offset INTEGER, mask BLOB,
                     UNIQUE (path, name));
CREATE TABLE outputs (input INTEGER, style BLOB, name BLOB, state TEXT, problem BLOB,
                      shard BLOB);
CREATE TABLE known (name BLOB PRIMARY KEY, source BLOB, version TEXT, identity TEXT, digest TEXT,
                    size INTEGER, done INTEGER, is_new INTEGER, style BLOB, seed INTEGER,
                    split BLOB, source_sha256 TEXT, sha256 TEXT, error BLOB) WITHOUT ROWID;
CREATE TABLE existing (path BLOB PRIMARY KEY, size INTEGER) WITHOUT ROWID;
"""
_AFTER_LISTING = """
CREATE INDEX inputs_in_order ON inputs (archive, offset, name);
CREATE INDEX inputs_by_real ON inputs (real);
CREATE INDEX outputs_by_input ON outputs (input);
CREATE INDEX outputs_by_name ON outputs (name);
CREATE INDEX outputs_by_shard ON outputs (shard);
"""
_COLLIDING = """
SELECT inputs.name, inputs.path, outputs.style, outputs.name, outputs.rowid FROM outputs
JOIN inputs ON inputs.number = outputs.input
WHERE outputs.name IN (SELECT name FROM outputs GROUP BY name HAVING COUNT(*) > 1)
ORDER BY outputs.name, inputs.name
"""
_TO_DO = """
SELECT inputs.number, inputs.path, inputs.size, inputs.version, outputs.style, outputs.name,
       CASE outputs.state WHEN 'unsure' THEN known.digest END, known.size, outputs.state,
       outputs.shard IS NOT NULL, inputs.name, inputs.archive, inputs.offset, inputs.mask
FROM inputs
JOIN outputs ON outputs.input = inputs.number LEFT JOIN known ON known.name = outputs.name
WHERE outputs.state NOT IN ('reused', 'refused')
ORDER BY inputs.archive, inputs.offset, inputs.name, inputs.number, outputs.style
"""
_FAILED = """
SELECT inputs.number, inputs.path, COALESCE(inputs.problem, MIN(outputs.problem)) FROM inputs
LEFT JOIN outputs ON outputs.input = inputs.number
GROUP BY inputs.number HAVING COALESCE(inputs.problem, MIN(outputs.problem)) IS NOT NULL
ORDER BY inputs.archive, inputs.offset, inputs.name
"""
_MADE = """
SELECT known.name, known.source, known.style, known.split, known.seed, known.size,
       known.source_sha256, known.sha256, CASE WHEN outputs.problem IS NULL THEN inputs.name END
FROM known
LEFT JOIN outputs ON outputs.name = known.name LEFT JOIN inputs ON inputs.number = outputs.input
WHERE known.done AND known.source != x'' ORDER BY known.name
"""
_REMEMBER = "INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ROWS_AT_A_TIME = 1000


class ImagePlan:
    """Inputs, their outputs, and which of them are still to be made."""

    def __init__(self, shards: ShardNames | None = None) -> None:
        # A database without a name is a file without one: a kill, too, leaves nothing behind.
        self._tables = sqlite3.connect("", isolation_level=None)
        self._tables.executescript(_TABLES + shard_plan.TABLES)
        self.shards = ShardPlan(self._tables, shards) if shards else None
        """Where outputs go into shards."""

    def __enter__(self) -> ImagePlan:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Raise EnvironmentProblem for a disk that does not hold the plan."""
        self._tables.close()
        if isinstance(error, sqlite3.Error):
            raise EnvironmentProblem(
                f"the list of pictures cannot be kept on disk ({error}); "
                "make room for temporary files, or name another folder for them with TMPDIR"
            ) from error

    def add(self, found: Iterable[StoredFile], names: OutputNames) -> Iterator[int]:
        """Take in what is found and name its outputs; yields how many inputs there are so far."""
        self._tables.execute("BEGIN")
        for each in found:
            path, name = os.fsencode(each.path), os.fsencode(each.name)
            problem = _stored(each.problem)
            if each.is_carried and problem is None:
                self._carry(each)
                continue
            row = (
                *(name, path, each.size, each.version, os.fsencode(each.real), problem),
                *(os.fsencode(each.archive), each.offset, os.fsencode(each.mask)),
            )
            insert = "INSERT OR IGNORE INTO inputs VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            if self._tables.execute(insert, row).rowcount and each.problem is None:
                number = self._tables.execute("SELECT last_insert_rowid()").fetchone()[0]
                self._name_outputs(number, each.name, names)
            yield self.inputs()
        self._tables.execute("COMMIT")
        self._tables.executescript(_AFTER_LISTING + shard_plan.INDICES)
        self._tell_apart(names)
        if self.shards:
            self.shards.assign()
            self._check_apart()

    def inputs(self) -> int:
        """Return how many inputs there are."""
        return int(self._one("SELECT COALESCE(MAX(number), 0) FROM inputs"))

    def spare_inputs(self, output_folder: str) -> None:
        """Raise InputError where an output would replace an input; both real paths are known."""
        if self.shards:
            self.shards.spare_inputs(output_folder)
        prefix = below(output_folder, "")
        inside = "SELECT real, path FROM inputs WHERE real >= ? AND real < ?"
        first, last = os.fsencode(prefix), os.fsencode(prefix[:-1] + "0")  # "0" follows "/"
        for real, path in self._tables.execute(inside, (first, last)):
            name = real[len(first) :]
            if self.names(os.fsdecode(name)):
                raise InputError(
                    f"{os.fsdecode(real)}: the output would replace an input, "
                    f"{os.fsdecode(path)}; choose another folder with -o"
                )

    def names(self, output: str) -> bool:
        """Whether an output has this name."""
        return bool(self._one("SELECT COUNT(*) FROM outputs WHERE name = ?", os.fsencode(output)))

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield the path of each input with the name of each of its outputs."""
        question = "SELECT path, outputs.name FROM inputs JOIN outputs ON input = number"
        for path, name in self._tables.execute(f"{question} WHERE outputs.name IS NOT NULL"):
            yield os.fsdecode(path), os.fsdecode(name)

    def reads_uris(self) -> bool:
        """Whether an input lies behind a URI: paths of this machine begin with ``/``."""
        question = "SELECT EXISTS (SELECT 1 FROM inputs WHERE substr(path, 1, 1) != ?)"
        return bool(self._one(question, b"/"))

    def remember(self, records: Iterable[ImageRecord]) -> None:
        """Take in what earlier runs have recorded."""
        self._tables.execute("BEGIN")
        self._tables.executemany(_REMEMBER, map(self._as_known, records))
        self._tables.execute("COMMIT")

    def judge(
        self, folder: OutputFolder, made_with: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        """Decide what becomes of every output.

        ``made_with`` says what identities stand for, of this run and earlier ones, by a user's
        names of it.

        reused, new, missing (another file is to be replaced), unsure (its source must be read),
        whole (an interrupted run has written it, and not recorded it), refused.
        """
        exists = Existing(self._tables, folder.storage, folder.path)
        if self.shards:
            self.shards.judge(
                folder.identities,
                lambda name: exists.size(below(folder.path, name)),
                resume=folder.resume,
                overwrite=folder.overwrite,
            )
            return
        rows = self._tables.execute(TO_JUDGE)
        self._tables.execute("BEGIN")
        while some := rows.fetchmany(_ROWS_AT_A_TIME):
            verdicts = [(*verdict_on(row, folder, exists, made_with or {}), row[0]) for row in some]
            self._tables.executemany(
                "UPDATE outputs SET state = ?, problem = ? WHERE rowid = ?", verdicts
            )
        self._tables.execute("COMMIT")

    def failures(self) -> Iterator[tuple[int, str, str]]:
        """Yield number, path and reason of the inputs that fail without having been tried."""
        for number, path, problem in self._tables.execute(_FAILED):
            yield number, os.fsdecode(path), os.fsdecode(problem)

    def reused(self) -> int:
        """Return how many inputs have nothing to do, and have not failed."""
        question = """SELECT COUNT(*) FROM inputs WHERE problem IS NULL AND number NOT IN
            (SELECT input FROM outputs WHERE problem IS NOT NULL OR state != 'reused')"""
        return int(self._one(question))

    def waiting(self) -> int:
        """Return how many inputs there are to do."""
        question = """SELECT COUNT(DISTINCT input) FROM outputs
            WHERE state NOT IN ('reused', 'refused')"""
        return int(self._one(question))

    def tasks(self, folder: OutputFolder) -> Iterator[ImageTask]:
        """Yield the inputs that have something to do, by name."""
        rows = self._tables.execute(_TO_DO)
        for of_input, group in groupby(rows, key=itemgetter(0, 1, 2, 3, -4, -3, -2, -1)):
            number, raw, length, version, name, archive, offset, mask = of_input
            outputs = tuple(
                OutputTask(
                    os.fsdecode(style),
                    below(folder.path, os.fsdecode(output)),
                    digest,
                    size or 0,
                    is_new=state in ("new", "whole"),
                    is_whole=state == "whole",
                    is_member=bool(is_member),
                )
                for *_, style, output, digest, size, state, is_member, _, _, _, _ in group
            )
            path = os.fsdecode(raw)
            split = folder.splits.of(os.fsdecode(name), path) if folder.splits else ""
            beside = os.fsdecode(archive), offset, os.fsdecode(mask)
            yield ImageTask(number, path, outputs, length, version, split, *beside)

    def made(self, folder: OutputFolder, *, only_there: bool = True) -> Iterator[ManifestRow]:
        """Yield what is recorded of the outputs that are there, by name, of earlier runs too.

        Without ``only_there``, also of those that are not.
        """
        for *names, split, seed, size, first, second, of_input in self._tables.execute(_MADE):
            output, source, style, split = (os.fsdecode(each) for each in (*names, split))
            rest = seed, size, first, second
            if of_input is not None:
                split = folder.splits.of(os.fsdecode(of_input), source) if folder.splits else ""
            elif only_there and not self._is_there(folder, output, rest[1]):
                continue  # an earlier run has made it, and it has gone since
            yield ManifestRow(output, source, style, split, *rest)

    def as_recorded(self, row: ManifestRow) -> ManifestRow:
        """Return a manifest's row, with the hashes of a later run that has made the output anew."""
        question = """SELECT source, source_sha256, sha256 FROM known
            WHERE name = ? AND done AND sha256 != ''"""
        found = self._tables.execute(question, (os.fsencode(row.output),)).fetchone()
        if found is None:
            return row
        source, *hashes = found
        return replace(row, source=os.fsdecode(source), source_sha256=hashes[0], sha256=hashes[1])

    def is_unfinished(self, output: str) -> bool:
        """Whether a run has begun an output, or its shard, and recorded no end of it.

        Or has made its shard anew with other members.
        """
        question = """SELECT EXISTS (SELECT 1 FROM known
            WHERE name IN (?1, ?2) AND NOT done AND error IS NULL
            OR name = ?2 AND source = x'' AND done AND ?1 NOT IN (SELECT name FROM known))"""
        names = (os.fsencode(name) for name in (output, output.partition("/")[0]))
        return bool(self._one(question, *names))

    def sample(self, count: int) -> Iterator[tuple[ImageTask, list[str]]]:
        """Yield at most ``count`` inputs, evenly over all, and the names of their outputs."""
        number = self.inputs()
        for place in range(min(count, number)):
            question = """SELECT inputs.number, inputs.path, inputs.size, inputs.version,
                    inputs.archive, inputs.offset, outputs.name FROM inputs
                JOIN outputs ON outputs.input = inputs.number
                WHERE inputs.number = (SELECT number FROM inputs ORDER BY archive, offset, name
                                       LIMIT 1 OFFSET ?)
                AND outputs.name IS NOT NULL ORDER BY outputs.rowid"""
            which = (place * number // min(count, number),)
            rows = self._tables.execute(question, which).fetchall()
            if rows:  # an input that failed may have no output's name
                of_input, path, size, version, archive, offset, _ = rows[0]
                at = {"archive": os.fsdecode(archive), "offset": offset}
                task = ImageTask(of_input, os.fsdecode(path), (), size, version, **at)
                yield task, [os.fsdecode(row[-1]) for row in rows]

    def _as_known(self, record: ImageRecord) -> tuple[Any, ...]:
        """Return a record's row; those of a shard begun anew, maybe of other members, go first."""
        if not record.source and not record.done:
            shard_plan.forget_members(self._tables, record.output)
        return (
            *(os.fsencode(path) for path in (record.output, record.source)),
            *(record.version, record.identity, record.digest, record.size, record.done),
            *(record.is_new, os.fsencode(record.style), record.seed, os.fsencode(record.split)),
            *(record.source_sha256, record.sha256, _stored(record.error)),
        )

    def _name_outputs(self, number: int, name: str, names: OutputNames) -> None:
        for style in names.styles_of(name):
            try:
                output, problem = os.fsencode(names.name_of(name, style)), None
            except InputError as error:
                output, problem = None, _stored(str(error))
            row = (number, os.fsencode(style), output, problem)
            self._tables.execute("INSERT INTO outputs VALUES (?, ?, ?, NULL, ?, NULL)", row)

    def _carry(self, member: StoredFile) -> None:
        in_archive = member.path[len(member.archive) + 1 :]
        names = (os.fsencode(each) for each in (member.archive, key_of(in_archive), in_archive))
        row = (*names, member.offset, member.size)
        self._tables.execute("INSERT INTO carried VALUES (?, ?, ?, ?, ?)", row)

    def _is_there(self, folder: OutputFolder, output: str, size: int) -> bool:
        """Whether an output is in the folder as recorded, or the shard that has it."""
        shard = output.partition("/")[0]
        question = "SELECT size FROM known WHERE name = ? AND source = x'' AND done"
        if row := self._tables.execute(question, (os.fsencode(shard),)).fetchone():
            output, size = shard, row[0]
        return folder.storage.size(below(folder.path, output)) == size

    def _tell_apart(self, names: OutputNames) -> None:
        """Let outputs of one name keep their sources' endings. Raises InputError if still one."""
        for name, _, style, _, row in self._tables.execute(_COLLIDING).fetchall():
            whole = names.name_of(os.fsdecode(name), os.fsdecode(style), whole=True)
            self._tables.execute(
                "UPDATE outputs SET name = ? WHERE rowid = ?", (os.fsencode(whole), row)
            )
        self._check_apart()

    def _check_apart(self) -> None:
        same = self._tables.execute(_COLLIDING).fetchmany(2)
        if same:
            (_, first, _, name, _), (_, second, _, _, _) = same
            raise InputError(
                f"{os.fsdecode(first)} and {os.fsdecode(second)} would both become "
                f"{os.fsdecode(name)}; stylize them into different folders"
            )

    def _one(self, question: str, *values: Any) -> Any:
        return self._tables.execute(question, values).fetchone()[0]


def _stored(text: str | None) -> bytes | None:
    """Names that are no UTF-8 are in texts, too: the table has their bytes."""
    return None if text is None else os.fsencode(text)
