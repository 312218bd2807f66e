"""Where a video's finished segments wait until the output is whole: the basis of resuming."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from nst_core.errors import InputError
from pipeline.segment_worker import StylizedSegment
from pipeline.segments import Segment

_log = logging.getLogger(__name__)

HIDDEN_PARENT = ".nst-work"
"""Made beside the outputs, unless the user names a folder."""

_LOCK_NAME = "lock"
_RECORD_FIELDS = ("number", "pts", "missing_pts", "corrupt_frames", "errors")


@dataclass(frozen=True)
class FinishedSegment:
    """A segment whose piece lies in the work folder."""

    number: int
    piece: Path | None
    """None when no frame of the segment could be decoded."""
    pts: tuple[int, ...]
    missing_pts: tuple[int, ...]
    corrupt_frames: int
    errors: tuple[str, ...]


class WorkFolder:
    """Pieces ``00042.piece`` with records ``00042.json``; a record is written after its piece.

    ``identity`` holds everything that decides the pixels: input, plan, style, settings, version.
    Pieces made under another identity are dropped.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path = path.absolute()
        self._identity = json.dumps(identity, sort_keys=True)
        self._lock: IO[bytes] | None = None

    def open(self, *, resume: bool) -> None:
        """Make the folder ready; without ``resume``, or under another identity, empty it.

        Raises InputError while another process works in it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = self._lock or self._take_lock()
        identity_file = self.path / "identity.json"
        same = identity_file.exists() and identity_file.read_text() == self._identity
        if not (resume and same):
            for file in self.path.iterdir():
                if file.name != _LOCK_NAME:
                    file.unlink()
        _write_whole(identity_file, self._identity.encode())

    def close(self) -> None:
        """Let other processes in; what is finished stays."""
        if self._lock:
            self._lock.close()
            self._lock = None

    def finished(self, segment: Segment) -> FinishedSegment | None:
        """Find the segment's record, if its piece is there with the bytes that were written."""
        record_file = self.path / f"{segment.name}.json"
        try:
            record = json.loads(record_file.read_text())
            piece = self._piece(segment.number) if record["sha256"] else None
            if piece and _sha256(piece.read_bytes()) != record["sha256"]:
                return None
            return _finished(record, piece)
        except (OSError, ValueError, KeyError):
            return None

    def record(self, result: StylizedSegment) -> FinishedSegment:
        """Keep a result: first its piece, then its record."""
        piece = self._piece(result.number) if result.piece else None
        if piece:
            _write_whole(piece, result.piece)
        fields = {key: value for key, value in vars(result).items() if key in _RECORD_FIELDS}
        fields["sha256"] = _sha256(result.piece) if piece else ""
        _write_whole(self.path / f"{result.number:05d}.json", json.dumps(fields).encode())
        return _finished(fields, piece)

    def remove(self) -> None:
        """Remove the folder, and the hidden parent once no other output is in work."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)
        parent = self.path.parent
        if parent.name == HIDDEN_PARENT and parent.exists() and not any(parent.iterdir()):
            parent.rmdir()

    def _take_lock(self) -> IO[bytes]:
        lock = (self.path / _LOCK_NAME).open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise InputError(
                f"{self.path}: another run is at work on the same output; wait for its end"
            ) from error
        except OSError:
            _log.debug("no locks on the file system of %s", self.path)
        return lock

    def _piece(self, number: int) -> Path:
        return self.path / f"{number:05d}.piece"


def _finished(record: dict[str, Any], piece: Path | None) -> FinishedSegment:
    return FinishedSegment(
        number=record["number"],
        piece=piece,
        pts=tuple(record["pts"]),
        missing_pts=tuple(record["missing_pts"]),
        corrupt_frames=record["corrupt_frames"],
        errors=tuple(record["errors"]),
    )


def describe(value: Any) -> Any:
    """Turn a dataclass into plain values for an identity."""
    return json.loads(json.dumps(asdict(value), default=str))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write_whole(path: Path, data: bytes) -> None:
    temporary = path.with_name(f"{path.name}.part")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
