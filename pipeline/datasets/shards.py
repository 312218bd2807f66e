"""Tar shards as webdataset has them, read: their pictures, and what goes along with each.

A member's *key* is its path up to the first dot of its name: ``a/007.jpg``, ``a/007.json`` and
``a/007.seg.png`` are one sample. Its pictures are those that have nothing between key and ending;
the other members are carried along.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import IO

from nst_core.errors import MediaError
from nst_core.pictures.formats import PICTURE_SUFFIXES
from pipeline.storage.files import Storage, StoredFile

SHARD_SUFFIX = ".tar"
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{},]*(?:,[^{},]*)+)\}")
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_PIECE = 1 << 20


def is_shard(path: str) -> bool:
    """Whether a file is a shard, by its ending."""
    return path.lower().endswith(SHARD_SUFFIX)


def expanded(source: str) -> list[str]:
    """Return the shards that braces stand for: ``data-{000..012}.tar``, ``{train,val}.tar``.

    What does not end as shards do, or has no braces, stays as it is.
    """
    if not is_shard(source):
        return [source]
    pieces: list[list[str]] = []
    end = 0
    for braces in _BRACES.finditer(source):
        first, last, words = braces.groups()
        pieces += [[source[end : braces.start()]], words.split(",") if words else []]
        if first is not None:
            width = len(first) if first.startswith("0") else 0
            start, stop = sorted((int(first), int(last)))
            pieces[-1] = [f"{number:0{width}}" for number in range(start, stop + 1)]
        end = braces.end()
    return ["".join(parts) for parts in product(*pieces, [source[end:]])]


def key_of(name: str) -> str:
    """Return the key of a member: ``a/007`` of ``a/007.seg.png``."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition('.')[0]}"


def members(storage: Storage, shard: StoredFile) -> Iterator[StoredFile]:
    """Yield the files in a shard, in its order, under the name of the shard without ``.tar``.

    Hidden ones are left out, as are links and folders. Where the shard is damaged, a file with
    that problem is among them, and those behind the damage follow. Raises EnvironmentProblem.
    """
    try:
        with storage.open(shard.path) as file:
            yield from _members(file, shard)
    except (MediaError, OSError, tarfile.TarError) as error:
        words = str(error) if isinstance(error, MediaError) else f"{shard.path}: damaged ({error})"
        yield replace(shard, problem=words)


def _members(file: IO[bytes], shard: StoredFile) -> Iterator[StoredFile]:
    if file.read(6).startswith(_COMPRESSED):
        yield replace(
            shard, problem=f"{shard.path}: a compressed archive; unpack it to a plain .tar"
        )
        return
    file.seek(0)
    end, is_empty = 0, True
    # What is no header is passed over, so that members behind damage are found.
    with tarfile.open(fileobj=file, mode="r:", ignore_zeros=True) as archive:
        while member := archive.next():
            archive.members.clear()  # type: ignore[attr-defined] # else it keeps them all
            if _has_content(file, end, member.offset):
                yield _damaged(shard, end)
            begin, end = member.offset_data, archive.offset
            is_empty = False
            name = "/".join(part for part in member.name.split("/") if part not in ("", "."))
            if member.isreg() and not any(map(_is_hidden, name.split("/"))):
                yield _member(shard, name, begin, member.size)
    rest = max(end, file.seek(0, 2))
    if is_empty:
        yield replace(shard, problem=f"{shard.path}: no tar archive, or an empty one")
    elif _has_content(file, end, rest):
        yield _damaged(shard, end)


def _member(shard: StoredFile, name: str, offset: int, size: int) -> StoredFile:
    path = f"{shard.path}/{name}"
    suffix = name.removeprefix(key_of(name)).lower()
    is_picture = suffix in PICTURE_SUFFIXES
    whole = shard.size
    return StoredFile(
        path=path,
        name=f"{shard.name[: -len(SHARD_SUFFIX)]}/{name}",
        size=size,
        version=shard.version,
        real=f"{shard.real}/{name}",
        problem=f"{path}: cut short, as the archive is" if offset + size > whole else None,
        archive=shard.path,
        offset=offset,
        is_carried=not is_picture,
    )


def _is_hidden(part: str) -> bool:
    return part.startswith(".") and part != ".."


def _damaged(shard: StoredFile, at: int) -> StoredFile:
    return replace(shard, problem=f"{shard.path}: damaged at byte {at}; members may be missing")


def _has_content(file: IO[bytes], start: int, end: int) -> bool:
    """Whether there is anything but zeros between two places, where padding is expected."""
    if start >= end:
        return False
    file.seek(start)
    while start < end and (piece := file.read(min(_PIECE, end - start))):
        if any(piece):
            return True
        start += len(piece)
    return False
