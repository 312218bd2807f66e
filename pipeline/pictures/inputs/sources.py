"""What a user names as pictures, found: files, folders, globs, lists, here or behind a URI."""

from __future__ import annotations

import codecs
import glob
import os
import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from nst_core.errors import InputError
from nst_core.file_kinds import kind_of
from nst_core.pictures.formats import PICTURE_SUFFIXES
from pipeline.datasets.shards import SHARD_SUFFIX, expanded, is_shard, members
from pipeline.storage.files import Storage, StoredFile
from pipeline.storage.open import storage_for

LIST_SUFFIXES = (".txt", ".lst")
"""What ends so is a list of pictures: a path or URI a line; ``#`` begins a remark."""
_NO_PICTURES = f"no pictures in this archive ({', '.join(sorted(PICTURE_SUFFIXES))})"
VIDEO_ADVICE = "a video; use `nst stylize video`"


def is_one_file(source: str) -> bool:
    """Whether a source is a single picture by its kind: neither folder, glob, list nor shard."""
    storage = storage_for(source)
    path = storage.resolved(source)
    return storage.is_file(path) and not path.lower().endswith((*LIST_SUFFIXES, SHARD_SUFFIX))


def find_images(
    sources: Sequence[str], *, without: str | None = None, with_members: bool = False
) -> Iterator[StoredFile]:
    """Yield every picture with its name in the output tree, one by one as they are listed.

    A folder gives all pictures below it under their names in it; a glob its matches, under their
    names below the folder before the first wildcard; a file itself; a list its lines, under their
    names below the folder that all of them share. ``without`` is the real path of a folder whose
    content folders and globs leave out: where the output goes. ``with_members`` also yields what is
    in tar shards, which are named as files are, or by braces. Raises InputError for a source
    that does not exist or holds no pictures, EnvironmentProblem for storage that does not answer.
    """
    found = _named(sources, without, braces=with_members)
    if not with_members:
        yield from found
        return
    for each in found:
        if is_shard(each.path) and each.problem is None:
            inside = members(storage_for(each.path), each)
            yield from _pictures_of(inside, replace(each, problem=f"{each.path}: {_NO_PICTURES}"))
        else:
            yield each


def _pictures_of(found: Iterator[StoredFile], otherwise: StoredFile) -> Iterator[StoredFile]:
    """Yield all that is in a shard, and ``otherwise`` where no picture is among it."""
    none = True
    for each in found:
        none = none and each.is_carried
        yield each
    if none:
        yield otherwise


def _named(sources: Sequence[str], without: str | None, *, braces: bool) -> Iterator[StoredFile]:
    """Yield what ``find_images`` does of files, folders, globs and lists."""
    for source in sources:
        if braces and (shards := expanded(source)) != [source]:
            yield from _several(shards)
            continue
        storage = storage_for(source)
        path = storage.resolved(source)
        if storage.is_folder(path):
            yield from _pictures(_below(storage, path, without), source)
        elif storage.is_file(path):
            if path.lower().endswith(LIST_SUFFIXES):
                yield from _some(_listed(storage, path), f"{source}: a list without a picture")
            else:
                yield _unless_video(storage, storage.find(path))
        elif glob.has_magic(path):
            matches = storage.glob(path, without=without)
            checked = (_unless_video(storage, each) for each in matches)
            yield from _some(checked, f"{source}: no match for this glob")
        else:
            raise InputError(f"{source}: no such file or folder")


def _unless_video(storage: Storage, found: StoredFile) -> StoredFile:
    """Name the command for a file that is no picture by its ending, and a video by its content."""
    is_picture = os.path.splitext(found.name)[1].lower() in PICTURE_SUFFIXES  # noqa: PTH122
    if found.problem or is_picture or is_shard(found.path) or storage.is_remote:
        return found
    if found.version and not os.path.isfile(found.path):  # noqa: PTH113
        return replace(found, problem=f"{found.path}: a pipe or a device; name a file")
    if kind_of(Path(found.path)) != "video":
        return found
    return replace(found, problem=f"{found.path}: {VIDEO_ADVICE}")


def _below(storage: Storage, folder: str, without: str | None) -> Iterator[StoredFile]:
    inside = without if without != storage.real(folder) else None
    for found in storage.walk(folder, without=inside):
        if found.problem or os.path.splitext(found.name)[1].lower() in PICTURE_SUFFIXES:  # noqa: PTH122
            yield found


def _listed(storage: Storage, path: str) -> Iterator[StoredFile]:
    """Read the list twice, line by line: what its names share is known at its end only."""
    shared = _shared_folder(_names_in(storage, path))
    yield from _below_shared(shared, _names_in(storage, path))


def _several(sources: Sequence[str]) -> Iterator[StoredFile]:
    paths = [storage_for(source).resolved(source) for source in sources]
    yield from _below_shared(_shared_folder(paths), paths)


def _below_shared(shared: str, paths: Iterable[str]) -> Iterator[StoredFile]:
    for path in paths:
        yield replace(storage_for(path).find(path), name=_name_below(shared, path))


def _names_in(storage: Storage, path: str) -> Iterator[str]:
    """Yield what a list names. Raises InputError for one that is no text."""
    for number, line in enumerate(_text_of(storage.lines(path), path), 1):
        name = line.strip(string.whitespace)
        if "\0" in name:
            raise InputError(
                f"{path}: line {number} has a zero byte: no list of pictures; save it as UTF-8, or "
                "as UTF-16 with a byte order mark"
            )
        if name and not name.startswith("#"):
            yield storage_for(name).resolved(name)


def _text_of(lines: Iterator[bytes], path: str) -> Iterator[str]:
    """Decode a list's lines: as UTF-16 where it begins so, as PowerShell writes it; else as paths.

    Raises InputError for UTF-16 that is broken off.
    """
    first = next(lines, b"")
    if not first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield from (
            os.fsdecode(line.removeprefix(codecs.BOM_UTF8)) for line in chain([first], lines)
        )
        return
    decoder = codecs.getincrementaldecoder("utf-16")()
    rest = ""
    try:
        for raw in chain([first], lines):
            *whole, rest = (rest + decoder.decode(raw)).split("\n")
            yield from whole
        yield rest + decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: a list in UTF-16 that is damaged; save it as UTF-8") from error


def _name_below(folder: str, path: str) -> str:
    """Return the rest of the path; where nothing is shared ``s3://a/b`` becomes ``s3/a/b``."""
    rest = path[len(folder) :] if folder else path.replace("://", "/", 1)
    return rest.lstrip("/")


def _shared_folder(names: Iterable[str]) -> str:
    """Return the longest folder that all names begin with, without a ``/`` at its end."""
    shared: list[str] | None = None
    for line in names:
        parts = line.split("/")[:-1]
        if shared is None:
            shared = parts
        elif parts[: len(shared)] != shared:
            shared = [one for one, _ in _alike(shared, parts)]
    return "/".join(shared or ())


def _alike(first: list[str], second: list[str]) -> Iterator[tuple[str, str]]:
    for pair in zip(first, second, strict=False):
        if pair[0] != pair[1]:
            return
        yield pair


def _some(found: Iterator[StoredFile], otherwise: str) -> Iterator[StoredFile]:
    """Yield all; raise InputError where there was none."""
    none = True
    for each in found:
        none = False
        yield each
    if none:
        raise InputError(otherwise)


def _pictures(found: Iterator[StoredFile], source: str) -> Iterator[StoredFile]:
    """Yield all of a folder; raise InputError where no picture is among it, and say what is."""
    none, first = True, None
    for each in found:
        none = none and each.problem is not None
        first = first or each
        yield each
    if first is not None and first.problem and not first.name:  # the folder cannot be listed
        raise InputError(first.problem)
    if none:
        nothing = f"{source}: no pictures in this folder ({', '.join(sorted(PICTURE_SUFFIXES))})"
        raise InputError(f"{nothing}; {first.problem}" if first else nothing)
