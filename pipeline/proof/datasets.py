"""The proof of a folder of pictures or shards: every file against its row of the manifest."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice

from nst_core.errors import MediaError
from nst_core.pictures.formats import PICTURE_SUFFIXES
from nst_core.processors import usable_processors
from nst_core.wording import counted
from pipeline.datasets.manifest import MANIFEST_NAMES, ManifestRow, Splits, read_manifest
from pipeline.datasets.shards import SHARD_SUFFIX, members
from pipeline.pictures.judging import OutputFolder
from pipeline.pictures.outputs.contact_sheet import SHEET_NAME
from pipeline.pictures.plan import ImagePlan
from pipeline.pictures.records import HIDDEN_NAME, ImageRecord, ImageRecords
from pipeline.proof.findings import Findings, Kind
from pipeline.proof.sources_at_hand import SourcesAtHand
from pipeline.storage.files import Storage, below
from pipeline.storage.open import storage_for
from pipeline.work.progress import OnProgress, stage

_AT_A_TIME = 1000
"""Rows that are in memory."""
_PIECE = 1 << 20
_MOST_INDEXED = 8
"""Shards whose members' places are in memory: some more than there are threads."""
_IN_SHARD = re.compile(rf"(?<={re.escape(SHARD_SUFFIX)})/", re.IGNORECASE)
"""What is between a shard and its member; or a folder of that ending and a file."""


def prove_dataset(
    folder: str, source: str | None, findings: Findings, on_progress: OnProgress
) -> bool:
    """Compare a folder with its manifest, or else its records; False where there are neither.

    ``source`` is the folder of the sources, where they are not where they were. Raises InputError
    while a run has the folder, MediaError for a damaged manifest.
    """
    storage = storage_for(folder)
    names = [below(folder, name) for name in MANIFEST_NAMES.values()]
    manifest = next(filter(storage.is_file, names), None)
    is_users = storage.is_file(below(folder, HIDDEN_NAME))
    records = ImageRecords(storage, folder, keep="record" if is_users else "report", only_look=True)
    with closing(records), ImagePlan() as plan, _Listed() as listed:
        plan.remember(records.known())
        rows = plan.made(
            OutputFolder(storage, folder, {}, True, False, Splits({}, 0)), only_there=False
        )
        if manifest is not None:
            rows = _newest(manifest, storage, plan, rows, listed, findings)
        proof = _Proof(plan, folder, source, findings, on_progress)
        proof.prove(listed.seen(rows))
        shards = {one.output: one for one in records.known() if one.done and not one.source}
        proof.prove_shards(shards[name] for name in sorted(shards) if name in listed)
        if findings.pictures and not is_users:
            for found in storage.walk(folder):
                is_made = found.name.lower().endswith((*PICTURE_SUFFIXES, SHARD_SUFFIX))
                if is_made and found.name != SHEET_NAME and found.name not in listed:
                    proof.tell("added", found.path, "not in the manifest")
        return bool(findings.pictures)


def _newest(
    manifest: str,
    storage: Storage,
    plan: ImagePlan,
    recorded: Iterable[ManifestRow],
    listed: _Listed,
    findings: Findings,
) -> Iterator[ManifestRow]:
    """Yield a manifest's rows as they are recorded since, and what else is recorded and there.

    A run that does not end leaves the manifest of the one before.
    """
    newer = 0
    for row in read_manifest(storage, manifest):
        newest = plan.as_recorded(row)
        newer += newest != row
        yield newest
    folder = manifest.rpartition("/")[0]
    for row in recorded:
        if row.output not in listed and _is_there(below(folder, row.output)):
            newer += 1
            yield row
    if newer:
        findings.notes.append(
            f"{counted(newer, 'outputs')} made after {manifest} was written, by a run that did not "
            "end or wrote none there; compared with what is recorded of them"
        )


class _Listed:
    """Names of the files that a manifest tells of, on disk: there may be millions."""

    def __init__(self) -> None:
        self._tables = sqlite3.connect("", isolation_level=None)
        self._tables.execute("CREATE TABLE listed (name BLOB PRIMARY KEY) WITHOUT ROWID")

    def __enter__(self) -> _Listed:
        return self

    def __exit__(self, *_: object) -> None:
        self._tables.close()

    def __contains__(self, name: str) -> bool:
        question = "SELECT 1 FROM listed WHERE name = ?"
        return self._tables.execute(question, (os.fsencode(name),)).fetchone() is not None

    def seen(self, rows: Iterable[ManifestRow]) -> Iterator[ManifestRow]:
        """Yield the rows; the files that hold their outputs are noted."""
        for row in rows:
            names = {row.output, _IN_SHARD.split(row.output, 1)[0]}
            files = [(os.fsencode(name),) for name in names]
            self._tables.executemany("INSERT OR IGNORE INTO listed VALUES (?)", files)
            yield row


class _Proof:
    def __init__(
        self,
        plan: ImagePlan,
        folder: str,
        source: str | None,
        findings: Findings,
        on_progress: OnProgress,
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._source = source
        self._at_hand = SourcesAtHand(source, _is_there)
        self._findings = findings
        self._on_progress = on_progress
        self._reader = _Reader()

    def prove(self, rows: Iterator[ManifestRow]) -> None:
        """Read every output, and every source that is at hand."""
        findings, absent, without = self._findings, 0, 0
        self._on_progress(stage("comparing pictures", "pictures"))
        with ThreadPoolExecutor(usable_processors()) as threads:
            while some := list(islice(rows, _AT_A_TIME)):
                findings.pictures += len(some)
                outputs = (below(self._folder, row.output) for row in some)
                for row, (path, digest) in zip(
                    some, threads.map(self._reader.digest, outputs), strict=True
                ):
                    without += not row.sha256
                    self._compare(path, digest, row.sha256)
                sources = {self._at_hand.place(row.source): row for row in some}
                for path, digest in threads.map(self._reader.digest, sources):
                    if digest is None and self._source is None:
                        absent += 1
                        continue
                    findings.sources += digest is not None
                    self._compare(path, digest, sources[path].source_sha256, of_source=True)
        if absent:
            findings.notes.append(
                f"{counted(absent, 'sources')} not at hand and not compared; --source names their "
                "folder"
            )
        if without:
            findings.notes.append(
                f"{counted(without, 'outputs')} recorded without a hash: only that they are there "
                "is known"
            )

    def prove_shards(self, shards: Iterable[ImageRecord]) -> None:
        """Read whole shards: what goes along with the pictures is in their hashes alone."""
        for shard in shards:
            digest = self._reader.digest(below(self._folder, shard.output))
            self._compare(*digest, shard.sha256)

    def _compare(
        self, path: str, digest: str | None, expected: str, *, of_source: bool = False
    ) -> None:
        if digest is None:
            what = "cannot be read" if storage_for(path).is_file(path) else "not there"
            if of_source:
                self._findings.add("source missing", path, f"{path}: {what}")
            else:
                self.tell("missing", path, what)
        elif expected and digest != expected:
            if of_source:
                self._findings.add("source changed", path, f"{path}: another file than it was")
            else:
                self.tell("changed", path, "changed since it was made")

    def tell(self, kind: Kind, path: str, what: str) -> None:
        """Note what is wrong with an output, unless a run has begun it that did not end."""
        if self._plan.is_unfinished(path[len(below(self._folder, "")) :]):
            kind, what = "unfinished", "begun by a run that did not end; the same command goes on"
        self._findings.add(kind, path, f"{path}: {what}")


def _is_there(path: str) -> bool:
    return any(map(storage_for(path).is_file, {path, _IN_SHARD.split(path, 1)[0]}))


class _Reader:
    """Reads files and members of shards for their hashes, in any number of threads."""

    def __init__(self) -> None:
        self._indexed: dict[str, dict[str, tuple[int, int]]] = {}
        """Where the members of a few shards lie."""
        self._lock = threading.Lock()

    def digest(self, path: str) -> tuple[str, str | None]:
        """Return the path with the SHA-256 of what is there; None where nothing can be read."""
        try:
            return path, self._sha256(path)
        except MediaError:
            return path, None

    def _sha256(self, path: str) -> str:
        digest = hashlib.sha256()
        storage, (archive, *member) = storage_for(path), _IN_SHARD.split(path, 1)
        if member and storage.is_file(archive):
            place = self._places(storage, archive).get(member[0])
            if place is None:
                raise MediaError(f"{path}: no such member")
            digest.update(storage.read_part(archive, *place))
            return digest.hexdigest()
        with storage.open(path) as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
        return digest.hexdigest()

    def _places(self, storage: Storage, shard: str) -> dict[str, tuple[int, int]]:
        with self._lock:
            if shard not in self._indexed:
                start, places = len(shard) + 1, dict[str, tuple[int, int]]()
                for each in members(storage, storage.find(shard)):  # of one name the first is read
                    places.setdefault(each.path[start:], (each.offset, each.size))
                while len(self._indexed) >= _MOST_INDEXED:
                    del self._indexed[next(iter(self._indexed))]
                self._indexed[shard] = places
            return self._indexed[shard]
