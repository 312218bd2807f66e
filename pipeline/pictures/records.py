"""What has been done in an image output folder: the basis of resuming, and of looking in between.

JSON lines, one for each output: ``begun`` before a worker gets it, ``done`` or ``failed`` after;
and one for each set of options that outputs were made with.
On this machine they are appended to ``progress.jsonl``. Behind a URI nothing can be appended:
there they go into ``progress/00000.jsonl`` and on, a new part every few seconds.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from nst_core.errors import InputError
from nst_core.files import is_cut_short, lock
from pipeline.storage.files import Storage, below

Keeps = Literal["report", "record", "nothing"]

FILE_NAME = "progress.jsonl"
HIDDEN_NAME = ".nst-progress.jsonl"
_FOLDER_NAME = "progress"
_PART = re.compile(r"[0-9]{5,}\.jsonl")
_SECONDS_BETWEEN_PARTS = 5.0
_MADE_WITH = "made_with"
_OPTIONAL = frozenset(("error", "is_new", "style", "seed", "split", "source_sha256", "sha256"))
"""Fields of a record that a line leaves out where they are empty."""
_MOST_PARTS = 100
"""When there are more, small ones are gathered at the next start."""
_LARGEST_MERGED = 32 << 20
"""In bytes: what is gathered is in memory."""


@dataclass(frozen=True)
class ImageRecord:
    """What is known of an output."""

    output: str
    """Below the output folder."""
    source: str
    version: str
    """Version of the source when it was listed."""
    identity: str
    """Stands for all that decides the pixels beside the source: style, settings, program."""
    digest: str = ""
    """Hash of the source's content."""
    size: int = 0
    """Size of the output, in bytes."""
    status: str = "begun"
    """``begun``, ``done`` or ``failed``."""
    error: str | None = None
    """Why it failed."""
    is_new: bool = False
    """Whether nothing was there of its name when it was begun."""
    style: str = ""
    """Name of the style."""
    seed: int = 0
    split: str = ""
    """The manifest's word for it: ``train``, ``val``, ``test``; empty: none."""
    source_sha256: str = ""
    """SHA-256 of the source's content; empty in records of versions before there were any."""
    sha256: str = ""
    """SHA-256 of the output."""

    @property
    def done(self) -> bool:
        """Whether the output was written whole."""
        return self.status == "done"


class ImageRecords:
    """The record of one output folder; one run at a time has it."""

    def __init__(
        self,
        storage: Storage,
        folder: str,
        *,
        keep: Keeps = "report",
        only_look: bool = False,
    ) -> None:
        """``keep`` it under its name, hidden beside what is a user's own, or not at all.

        With ``only_look`` it is read, and nothing is written. Raises InputError while another run
        has the folder, OSError where it cannot be written.
        """
        self.made_with: dict[str, dict[str, Any]] = {}
        """What identities stand for, by a user's names of it; those of earlier runs once ``known``
        has been read."""
        self._lines: _Lines
        if keep == "nothing":
            self._lines = _Forgotten()
        elif storage.is_remote:
            self._lines = _Parts(storage, below(folder, _FOLDER_NAME), only_look=only_look)
        else:
            file = _file_in(Path(folder), hidden=keep == "record")
            self._lines = _Looked(file) if only_look else _Appended(file)

    def known(self) -> Iterator[ImageRecord]:
        """Yield what earlier runs have recorded, oldest first."""
        for text in self._lines.read():
            try:
                fields = json.loads(text)
                if _MADE_WITH in fields:
                    self.made_with[fields["identity"]] = dict(fields[_MADE_WITH])
                else:
                    yield ImageRecord(**fields)
            except (ValueError, TypeError, KeyError):
                continue  # cut short by a kill, or of another version: that picture is done again

    def explain(self, made_with: Mapping[str, dict[str, Any]]) -> None:
        """Note what identities stand for, where it is not known yet; to be called after ``known``.

        Raises OSError or MediaError where it cannot be written.
        """
        new = {key: value for key, value in made_with.items() if key not in self.made_with}
        common = {"output": "", "status": "options"}  # whoever reads the lines looks for these
        lines = ({**common, "identity": key, _MADE_WITH: value} for key, value in new.items())
        self._lines.add(json.dumps(line) + "\n" for line in lines)
        self.made_with |= new

    def add(self, records: Sequence[ImageRecord]) -> None:
        """Note what has ended. Raises OSError or MediaError where it cannot be written."""
        self._lines.add(map(_line, records))

    def begin(self, records: Sequence[ImageRecord]) -> None:
        """Note what is about to be written, before any of it is: a kill may come at any time.

        Raises OSError or MediaError where it cannot be written.
        """
        if records:
            self._lines.add(map(_line, records))
            self._lines.flush()

    def close(self) -> None:
        """Write what waits to be written, and let the folder go."""
        self._lines.close()


class _Lines(Protocol):
    def read(self) -> Iterator[bytes]: ...

    def add(self, lines: Iterable[str]) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class _Forgotten:
    """Lines that nobody will read."""

    def read(self) -> Iterator[bytes]:
        return iter(())

    def add(self, lines: Iterable[str]) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


def _file_in(folder: Path, *, hidden: bool) -> Path:
    """Return the file of a folder's record; one that is there stays in use."""
    plain = folder / FILE_NAME
    return folder / HIDDEN_NAME if hidden and not plain.exists() else plain


class _Appended:
    """Lines at the end of a file, locked for other runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] = path.open("a", encoding="ascii")
        if not lock(self._file):
            self._file.close()
            raise _in_use(path.parent)
        if is_cut_short(path):
            self._file.write("\n")

    def read(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            yield from file

    def add(self, lines: Iterable[str]) -> None:
        self._file.write("".join(lines))
        self._file.flush()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _in_use(folder: Path) -> InputError:
    return InputError(
        f"{folder}: another run is writing into this folder; wait for its end, "
        "or choose another folder with -o"
    )


class _Looked(_Forgotten):
    """The lines of a file that is left as it is, if it is there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if path.exists():
            with path.open("rb") as file:
                if not lock(file):
                    raise _in_use(path.parent)

    def read(self) -> Iterator[bytes]:
        if self._path.exists():
            with self._path.open("rb") as file:
                yield from file


class _Parts:
    """Lines in files that are written once each."""

    def __init__(self, storage: Storage, folder: str, *, only_look: bool = False) -> None:
        self._storage = storage
        self._folder = folder
        self._parts = self._listed()
        self._next = 1 + max(map(_number, self._parts), default=-1)
        self._waiting: list[str] = []
        self._last = time.monotonic()
        if len(self._parts) > _MOST_PARTS and not only_look:
            self._merge()

    def read(self) -> Iterator[bytes]:
        for part in self._parts:
            yield from self._storage.lines(part)

    def add(self, lines: Iterable[str]) -> None:
        self._waiting += lines
        if time.monotonic() - self._last > _SECONDS_BETWEEN_PARTS:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            self._storage.write(self._part(self._next), "".join(self._waiting).encode("ascii"))
            self._waiting.clear()
            self._next += 1
        self._last = time.monotonic()

    def close(self) -> None:
        self.flush()

    def _merge(self) -> None:
        """Gather small parts into the first of each row of them; a kill in between loses nothing.

        Parts that were gathered and are still there only repeat what is known.
        """
        row: list[str] = []
        contents: list[bytes] = []
        for part in self._parts:
            content = self._storage.read(part)
            if row and sum(map(len, contents)) + len(content) > _LARGEST_MERGED:
                self._gather(row, contents)
                row, contents = [], []
            row.append(part)
            contents.append(content)
        self._gather(row, contents)
        self._parts = self._listed()

    def _listed(self) -> list[str]:
        """Find the parts; pictures of a source folder called like theirs may lie beside them."""
        found = self._storage.walk(self._folder)
        return sorted((each.path for each in found if _PART.fullmatch(each.name)), key=_number)

    def _gather(self, row: list[str], contents: list[bytes]) -> None:
        if len(row) > 1:
            self._storage.write(row[0], b"".join(contents))
        for part in row[1:]:
            self._storage.remove(part)

    def _part(self, number: int) -> str:
        return below(self._folder, f"{number:05d}.jsonl")


def _number(part: str) -> int:
    return int(part.rpartition("/")[2].partition(".")[0])


def _line(record: ImageRecord) -> str:
    fields: dict[str, Any] = vars(record)
    kept = {key: value for key, value in fields.items() if value or key not in _OPTIONAL}
    return json.dumps(kept) + "\n"
