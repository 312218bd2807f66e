"""The manifest of an output folder: a row for each output, as JSON lines, CSV or Parquet."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from itertools import accumulate, islice
from pathlib import Path, PurePosixPath
from typing import Any

from nst_core.errors import EnvironmentProblem, InputError, MediaError
from pipeline.storage.files import Storage

REPORT_NAME = "report.json"
MANIFEST_NAMES: Mapping[str, str] = {
    "jsonl": "manifest.jsonl",
    "csv": "manifest.csv",
    "parquet": "manifest.parquet",
}
_ROWS_A_GROUP = 10_000
"""Rows of a Parquet file that are in memory at a time."""
_SPLITS = {"train": "train", "val": "val", "valid": "val", "dev": "val", "test": "test"}
_SPLIT = re.compile(r"(train|valid|val|dev|test)(?:ing|ation|s)?(?:[-_.]?\d+)*", re.IGNORECASE)
"""Folders and shards called train, val2017, validation, test-000012."""


@dataclass(frozen=True)
class ManifestRow:
    """What is known of an output that was made."""

    output: str
    """Below the output folder."""
    source: str
    """Path or URI; a member of an archive stands below it."""
    style: str
    split: str
    """``train``, ``val``, ``test`` or another name; empty: none."""
    seed: int
    size: int
    """Bytes of the output."""
    source_sha256: str
    sha256: str
    """SHA-256 of the output."""


_COLUMNS = tuple(field.name for field in fields(ManifestRow))


@dataclass(frozen=True)
class Splits:
    """Which split a picture belongs to, by its name alone."""

    parts: Mapping[str, float]
    """Shares that sum to 1; none: the split is the one that its folders are called."""
    seed: int

    def of(self, name: str, source: str) -> str:
        """Return the split of a picture; empty where there is none.

        ``name`` is its path in the tree, ``source`` the whole one. All outputs of a picture have
        one split, whatever other pictures there are.
        """
        if not self.parts:
            *folders, _ = PurePosixPath(name).parts
            above = PurePosixPath(source).parts[: -1 - len(folders)]
            folders = [*above[-1:], *folders]  # the folder that was named counts, too
            words = (_SPLIT.fullmatch(folder) for folder in reversed(folders))
            return next((_SPLITS[word[1].lower()] for word in words if word), "")
        text = b"\0".join((b"split", str(self.seed).encode(), os.fsencode(name)))
        place = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) / 2**64
        ends = zip(self.parts, accumulate(self.parts.values()), strict=True)
        return next((split for split, end in ends if place < end), [*self.parts][-1])


def check_manifest(storage: Storage, path: str) -> None:
    """Raise InputError, before any work, for a manifest that would replace anything else.

    Raises EnvironmentProblem where what writes it is not installed.
    """
    if path.endswith(".parquet"):
        _pyarrow()
    if not storage.is_file(path):
        return
    try:
        next(read_manifest(storage, path), None)
    except MediaError as error:
        raise InputError(
            f"{path} exists and is no manifest of ours; rename it, or leave the manifest out "
            "with --manifest none"
        ) from error


def write_manifest(path: Path, rows: Iterable[ManifestRow], *, name: str) -> None:
    """Write rows as they come, in the format that the ending of ``name`` says. Raises OSError."""
    if name.endswith(".parquet"):
        _write_parquet(path, rows)
        return
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        if name.endswith(".csv"):
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_COLUMNS)
            writer.writerows(asdict(row).values() for row in rows)
        else:
            file.writelines(json.dumps(asdict(row)) + "\n" for row in rows)


def read_manifest(storage: Storage, path: str) -> Iterator[ManifestRow]:
    """Yield the rows one by one. Raises MediaError for a file that is no manifest."""
    try:
        for row in _rows_in(storage, path):
            if {*row} != {*_COLUMNS}:
                raise ValueError(f"its fields are {', '.join(map(str, row))}")
            yield ManifestRow(**row | {"seed": int(row["seed"]), "size": int(row["size"])})
    except (ValueError, TypeError, csv.Error) as error:
        raise MediaError(f"{path}: no manifest of ours ({error})") from error


def _rows_in(storage: Storage, path: str) -> Iterator[dict[str, Any]]:
    if path.endswith(".parquet"):
        parquet = _pyarrow()
        file = parquet.ParquetFile(io.BytesIO(storage.read(path)))
        for batch in file.iter_batches(_ROWS_A_GROUP):
            yield from batch.to_pylist()
    elif path.endswith(".csv"):
        # Spreadsheets put a byte order mark before the first.
        texts = (line.decode("utf-8-sig", "surrogateescape") for line in storage.lines(path))
        yield from csv.DictReader(texts)
    else:
        yield from map(json.loads, filter(bytes.strip, storage.lines(path)))


def _write_parquet(path: Path, rows: Iterable[ManifestRow]) -> None:
    import pyarrow

    parquet = _pyarrow()
    text, number = pyarrow.string(), pyarrow.int64()
    kinds = [(field.name, number if field.type == "int" else text) for field in fields(ManifestRow)]
    schema = pyarrow.schema(kinds)
    rows = iter(rows)
    with parquet.ParquetWriter(path, schema) as writer:
        while some := list(islice(rows, _ROWS_A_GROUP)):
            columns = [[_as_text(getattr(row, name)) for row in some] for name in _COLUMNS]
            writer.write_table(pyarrow.table(columns, schema=schema))


def _as_text(value: str | int) -> str | int:
    """Names that are no UTF-8 have their bytes escaped: Parquet holds no others."""
    return value if isinstance(value, int) else value.encode(errors="backslashreplace").decode()


def _pyarrow() -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise EnvironmentProblem(
            "--manifest parquet needs pyarrow; pip install 'nst[parquet]', or --manifest csv"
        ) from error
    return parquet
