"""Tar shards, written: outputs wait in a file until all of a shard are there, then it appears."""

from __future__ import annotations

import io
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from nst_core.checkpoints.info import fingerprint
from pipeline.datasets.shard_plan import ShardPlan
from pipeline.pictures.records import ImageRecord, ImageRecords
from pipeline.storage.files import Storage, below
from pipeline.storage.open import storage_for


@dataclass
class OpenShard:
    """A shard whose outputs come one by one."""

    name: str
    waiting: int
    """Outputs that have not ended."""
    file: IO[bytes]
    """Contents in the order in which they came; it has no name, so that a kill leaves nothing."""
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Where the content of an output begins, and its size, by the output's name."""
    records: list[ImageRecord] = field(default_factory=list)
    """What is known of the outputs that have ended."""
    error: OSError | None = None
    """Why a content could not be kept."""


class ShardWriter:
    """Takes outputs in any order, and gives back a shard once it has all of them, to be written."""

    def __init__(
        self, plan: ShardPlan, records: ImageRecords, storage: Storage, folder: str
    ) -> None:
        self._plan = plan
        self._records = records
        self._storage = storage
        self._folder = folder
        self._open: dict[str, OpenShard] = {}

    def take(self, record: ImageRecord, content: bytes | None) -> OpenShard | None:
        """Take an output that has ended; returns its shard where it was the last one."""
        name = record.output.partition("/")[0]
        if name not in self._open:
            at = None if self._storage.is_remote else self._folder
            file = tempfile.TemporaryFile(dir=at)  # noqa: SIM115 - until the shard is written
            self._open[name] = OpenShard(name, self._plan.count(name), file)
        shard = self._open[name]
        shard.waiting -= 1
        shard.records.append(record)
        if content is not None:
            try:
                shard.places[record.output] = shard.file.seek(0, 2), len(content)
                shard.file.write(content)
            except OSError as error:  # a full disk
                shard.error = error
        return None if shard.waiting else self._open.pop(name)

    def unfinished(self) -> list[OpenShard]:
        """Return the shards that wait for outputs, which will not come any more."""
        shards = [*self._open.values()]
        self._open.clear()
        return shards

    def write(self, shard: OpenShard) -> list[ImageRecord]:
        """Let a shard appear; returns what was recorded. Raises OSError or MediaError."""
        with shard.file:
            if shard.error:
                raise shard.error
            identity = self._plan.identity(shard.name)
            begun: list[ImageRecord] = []
            ended = shard.records
            if shard.places:
                begun = [ImageRecord(shard.name, "", "", identity)]
                self._records.begin(begun)
                with self._storage.appearing(below(self._folder, shard.name)) as path:
                    self._write(path, shard)
                    size, sha256 = path.stat().st_size, fingerprint(path)
                done = ImageRecord(
                    shard.name, "", "", identity, size=size, status="done", sha256=sha256
                )
                ended = [*ended, done]
            self._records.add(ended)
            return begun + ended

    def _write(self, path: Path, shard: OpenShard) -> None:
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
            for sample in self._plan.samples(shard.name):
                made = [name for name in sample.outputs if name in shard.places]
                for name in made:
                    start, size = shard.places[name]
                    shard.file.seek(start)
                    _add(archive, name.partition("/")[2], shard.file.read(size))
                for each in sample.carried if made else ():
                    storage = storage_for(each.archive)
                    content = storage.read_part(each.archive, each.offset, each.size)
                    _add(archive, each.name, content)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a member that says nothing of this machine, user or time: shards are the same bytes."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
    archive.members.clear()  # type: ignore[attr-defined] # else it keeps them all
