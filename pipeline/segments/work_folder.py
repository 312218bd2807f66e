"""Where a video's finished segments wait until the output is whole: the basis of resuming."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from nst_core.errors import InputError
from nst_core.files import check_can_write, lock, write_whole
from pipeline.segments.plan import Segment
from pipeline.segments.task import BegunPart, KeptResult, SegmentResult
from pipeline.storage.remote_file import RemoteFile

_log = logging.getLogger(__name__)

HIDDEN_PARENT = ".nst-work"
"""Made beside the outputs, unless the user names a folder."""

PIPELINE_VERSION = 5
"""Version of the segments' content: raise it when one source and settings give other pieces, so
that no output is spliced from segments of two kinds."""

_LOCK_NAME = "lock"
_IDENTITY_NAME = "identity.json"
_OWN_NAME = r"identity\.json|[0-9]{5,}\.(piece|json)|[0-9]{5,}-[0-9]{3,}(-[0-9a-f]{8})?\.begun"
_OWN_FILE = re.compile(rf"lock|\.?({_OWN_NAME})(\.[0-9a-f]{{8}})?(\.part)?")
_LOCK_ATTEMPTS = 5
_ROOM_LEFT = 1 << 30
"""Bytes of a disk that frames of unfinished segments leave free."""
_LONGEST_STEM = 60
"""Bytes kept of an output's name in names made from it: file systems take 255 in all."""


class WorkFolder:
    """Pieces ``00042.piece`` with records ``00042.json``; a record is written after its piece.

    Of segments in work whose frames come slowly these are there, ``00043-000.begun``, until the
    piece is.
    They are not forced onto the disk, hundreds in a second may come: what a power cut leaves empty
    or half is told by its hash, and done again. A process that is killed loses nothing.
    ``identity`` holds what decides the pixels: input, plan, style, settings. Pieces made under
    another identity, or by another version of the pipeline, are dropped. What decides a segment
    alone is in ``own``, by its number: then it is done again, and the others stay.
    """

    def __init__(self, path: Path, identity: dict[str, Any], own: Sequence[str] = ()) -> None:
        self.path = path.absolute()
        self._identity = json.dumps({**identity, "pipeline": PIPELINE_VERSION}, sort_keys=True)
        self._own = dict(enumerate(own))
        self._lock: IO[bytes] | None = None
        self._begun: defaultdict[int, set[Path]] = defaultdict(set)
        """Kept frames, by segment number."""
        self._is_dropped = False
        """Whether what is there would be dropped: ``finished`` finds nothing then."""

    @property
    def is_open(self) -> bool:
        """Whether this run has the folder to itself."""
        return self._lock is not None

    @property
    def identity_digest(self) -> str:
        """Stands for what the pieces are made under."""
        return hashlib.sha256(self._identity.encode()).hexdigest()

    def open(self, *, resume: bool) -> None:
        """Make the folder ready; without ``resume``, or under another identity, empty it.

        What a killed run has half written goes in any case. Raises InputError while another
        process works in it.
        """
        self._lock = self._lock or self._take_lock()
        identity_file = self.path / _IDENTITY_NAME
        is_kept = resume and self._has_our_pieces()
        self._begun.clear()
        for file in self.path.iterdir():
            stays = is_kept and file.suffix != ".part"
            if file.suffix == ".begun":
                stays = stays and self._takes(file)
            if file.name != _LOCK_NAME and not stays:
                file.unlink()
        write_whole(identity_file, self._identity.encode())
        _sync(identity_file)  # without it all pieces would be dropped

    def look(self, *, resume: bool) -> None:
        """Let ``finished`` and ``begun`` find what ``open`` would keep, and change nothing.

        Raises InputError while another process works in the folder, OSError where it could not be
        made or written.
        """
        check_can_write(self.path)
        with suppress(FileNotFoundError), (self.path / _LOCK_NAME).open("rb") as file:
            if not lock(file):
                raise self._in_use()
        self._is_dropped = not (resume and self._has_our_pieces())
        for begun in () if self._is_dropped else self.path.glob("*.begun"):
            self._takes(begun)

    def close(self) -> None:
        """Let other processes in; what is finished stays. Where nothing is, the folder goes."""
        if self._lock and self._is_empty():
            self.remove()
        self._release()

    def unfinished(self, output: Path) -> Path:
        """Where ``output`` grows: beside its final name; beside this folder for one behind a URI.

        The same in every run with this folder: whoever has opened it may take what lies there for
        the leftover of a run that was killed.
        """
        place = hashlib.sha256(str(self.path).encode(errors="surrogateescape")).hexdigest()[:8]
        beside = self.path if isinstance(output, RemoteFile) else output
        return beside.with_name(f".{short_name(output)}-{place}.part")

    def finished(self, segment: Segment) -> KeptResult | None:
        """Find the segment's record, if record and piece are as they were written."""
        record = None if self._is_dropped else _read(self._record(segment.number))
        if record is None:
            return None
        try:
            written = json.loads(record)
            fields = written["fields"]
            piece = self._piece(segment.number) if fields["has_piece"] else None
            data = piece.read_bytes() if piece else b""
            if _digest(fields, data, self._own.get(segment.number, "")) != written["sha256"]:
                return None
            values: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()
            }
            del values["has_piece"]
            found = SegmentResult(piece=piece, **values)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        owned = {*found.pts, *found.missing_pts}
        return found if owned == set(segment.owned_pts) else None

    def record(self, result: SegmentResult[bytes]) -> KeptResult:
        """Keep a result: first its piece, then its record."""
        piece = self._piece(result.number) if result.piece else None
        if piece:
            try:
                write_whole(piece, result.piece)
            except OSError:  # kept frames are to take no room from it
                if not self._drop_begun(result.number):
                    raise
                write_whole(piece, result.piece)
        kept: KeptResult = SegmentResult(**(vars(result) | {"piece": piece}))
        recorded = self._write_record(kept, result.piece)
        self._drop_begun(result.number)
        return recorded

    def _drop_begun(self, number: int) -> bool:
        """Remove a segment's kept frames; returns whether there were any."""
        paths = self._begun.pop(number, set())
        for path in paths:
            path.unlink(missing_ok=True)
        return bool(paths)

    def keep_begun(self, number: int, part: BegunPart) -> None:
        """Keep a part of a segment that is in work, if there is room: nothing hangs on it."""
        name = "-".join([f"{number:05d}", f"{part.number:03d}", *self._own_mark(number)])
        path = self.path / f"{name}.begun"
        with suppress(OSError):
            if shutil.disk_usage(self.path).free < len(part.data) + _ROOM_LEFT:
                return
            write_whole(path, part.data)
            self._begun[number].add(path)

    def begun(self, number: int) -> tuple[BegunPart, ...]:
        """Find the parts of an unfinished segment that an earlier run has kept."""
        parts = (_read(path) for path in sorted(self._begun.get(number, set())))
        return tuple(BegunPart(place, data) for place, data in enumerate(parts) if data)

    def record_better(self, first: KeptResult, second: SegmentResult[bytes] | None) -> KeptResult:
        """Keep the better of a recorded result and that of doing the segment again.

        None stands for a second attempt that failed. Either way it is not done a third time.
        """
        if second is not None and second.damage < first.damage:
            return self.record(replace(second, redone=True))
        data = first.piece.read_bytes() if first.piece else b""
        return self._write_record(replace(first, redone=True), data)

    def remove(self) -> None:
        """Remove the folder, and the hidden parent once no other output is in work."""
        # Under the lock: another run must not begin to fill what is being removed.
        shutil.rmtree(self.path, ignore_errors=True)
        self._release()
        with suppress(OSError):
            self.path.rmdir()  # file systems of the network keep an open file, here the lock
        remove_hidden_parent(self.path)

    def remove_leftover(self, identity_digest: str, output: Path) -> None:
        """Remove what a run has left that was killed after its output got its name.

        Pieces made under another identity are another run's, and stay.
        """
        if not self._holds_pieces_only():
            return
        with suppress(InputError):  # another run is at work in it
            self._lock = self._lock or self._take_lock()
            identity = _read(self.path / _IDENTITY_NAME)
            if identity is None or hashlib.sha256(identity).hexdigest() == identity_digest:
                discard(self.unfinished(output))
                self.remove()
        self._release()

    def _holds_pieces_only(self) -> bool:
        """Whether it is there and a work folder by its content, a half removed one too."""
        try:
            return all(_OWN_FILE.fullmatch(file.name) for file in self.path.iterdir())
        except OSError:
            return False

    def _is_empty(self) -> bool:
        try:
            return {file.name for file in self.path.iterdir()} <= {_LOCK_NAME, _IDENTITY_NAME}
        except OSError:
            return False

    def _release(self) -> None:
        if self._lock:
            self._lock.close()
            self._lock = None

    def _write_record(self, result: KeptResult, piece: bytes) -> KeptResult:
        fields = {name: value for name, value in vars(result).items() if name != "piece"}
        fields["has_piece"] = result.piece is not None
        own = self._own.get(result.number, "")
        record = {"fields": fields, "sha256": _digest(fields, piece, own)}
        write_whole(self._record(result.number), json.dumps(record))
        return result

    def _take_lock(self) -> IO[bytes]:
        for _ in range(_LOCK_ATTEMPTS):
            with suppress(FileNotFoundError):  # another run has just removed the folder
                self.path.mkdir(parents=True, exist_ok=True)
                file = (self.path / _LOCK_NAME).open("wb")
                if not lock(file):
                    file.close()
                    raise self._in_use()
                if os.fstat(file.fileno()).st_nlink:
                    return file
                file.close()
            if not self.path.parent.is_dir():  # not even that: /proc takes no files
                raise InputError(
                    f"{self.path.parent.parent}: nothing can be written there; choose another place"
                )
        raise InputError(f"{self.path}: other runs make and remove it all the time; run again")

    def _in_use(self) -> InputError:
        words = "another run is at work on the same output; wait for its end"
        return InputError(f"{self.path}: {words}")

    def _has_our_pieces(self) -> bool:
        return _read(self.path / _IDENTITY_NAME) == self._identity.encode()

    def _takes(self, begun: Path) -> bool:
        """Note kept frames that are there, unless their segment has become another."""
        number, _, *own = begun.stem.split("-")
        is_ours = own == self._own_mark(int(number))
        if is_ours:
            self._begun[int(number)].add(begun)
        return is_ours

    def _own_mark(self, number: int) -> list[str]:
        """What names of kept frames end with, where a segment has an identity of its own."""
        own = self._own.get(number, "")
        return [own[:8]] if own else []

    def _piece(self, number: int) -> Path:
        return self.path / f"{number:05d}.piece"

    def _record(self, number: int) -> Path:
        return self.path / f"{number:05d}.json"


def remove_hidden_parent(path: Path) -> None:
    """Remove the hidden folder that a work folder is in, once no other output is in work."""
    if path.parent.name == HIDDEN_PARENT:
        with suppress(OSError):  # another output's folder is in it
            path.parent.rmdir()


def discard(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, where there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def publish(temporary: Path, output: Path, *, overwrite: bool) -> None:
    """Let a finished file appear under its name, whole and on the disk, or not at all.

    Raises InputError where something has that name meanwhile and may not be replaced.
    """
    _sync(temporary)
    if overwrite:
        temporary.replace(output)
    else:
        try:
            os.link(temporary, output)  # unlike a renaming, it never replaces
        except FileExistsError as error:
            raise in_the_way(output) from error
        except OSError:  # a file system without links
            if output.exists():
                raise in_the_way(output) from None
            temporary.replace(output)
        temporary.unlink(missing_ok=True)
    _sync(output.parent)


def in_the_way(output: Path) -> InputError:
    """Return what to raise where something has an output's name meanwhile."""
    return InputError(
        f"{output} has appeared meanwhile; --overwrite replaces it (what is finished is kept)"
    )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot, of folders above all
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def identity_of(value: Any) -> Any:
    """Turn a dataclass into plain values for an identity."""
    return json.loads(json.dumps(asdict(value), default=str))


def short_name(output: Path) -> str:
    """The start of an output's name, for names made from it."""
    return os.fsencode(output.name)[:_LONGEST_STEM].decode(errors="ignore")


def _digest(fields: dict[str, Any], piece: bytes, own: str) -> str:
    """Hash record, piece and what decides it together, so that none passes with another's."""
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode())
    digest.update(piece)
    digest.update(own.encode())
    return digest.hexdigest()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
