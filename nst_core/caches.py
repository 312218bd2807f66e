"""What the program keeps on this machine to be faster next time, and how much of it.

All of it lies in one folder, may be removed at any time, and is made anew where it lacks.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_VARIABLE = "NST_CACHE_DIR"
_MOST_BYTES = 512 * 2**20
"""Largest cache of compiled styles; beyond it those used longest ago are dropped."""
_SECONDS_TO_WRITE = 3600.0
"""After which a file under a temporary name is left from a process that was killed."""
_DOWNLOADED = "downloaded styles"
_LOSS_NETWORKS = "loss networks"
_KINDS = {
    "compiled styles": ("openvino", (".xml", ".bin")),
    "fitted styles": ("fitted", (".safetensors", ".png")),
    _DOWNLOADED: ("downloaded", (".safetensors", ".part")),
    "unfinished downloads": ("loss_networks", (".pth", ".part")),
    _LOSS_NETWORKS: ("loss_networks", (".safetensors",)),
}
"""Folder, and endings of the files in it that are ours, of each kind."""


@dataclass(frozen=True)
class Cache:
    """Files of one kind."""

    name: str
    path: Path
    files: int
    size: int
    """In bytes."""
    stays: bool = False
    """Whether it is removed only where that is asked for: a machine without a network could not
    make it anew."""


def cache_folder() -> Path:
    """Return the folder of all caches: NST_CACHE_DIR, else ``nst`` in the user's cache folder."""
    given = os.environ.get(_VARIABLE)
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nst"


def compiled_styles() -> Path:
    """Return the folder of the networks that OpenVINO has traced."""
    return _folder("compiled styles")


def fitted_by_content() -> Path:
    """Return the folder of the styles that were fitted to pictures, which it names by hash."""
    return _folder("fitted styles")


def downloaded_styles() -> Path:
    """Return the folder of the styles that have come from elsewhere, a folder for each address."""
    return _folder(_DOWNLOADED)


def loss_networks() -> Path:
    """Return the folder of the loss networks' weights."""
    return _folder(_LOSS_NETWORKS)


def caches() -> list[Cache]:
    """Return what there is, whether or not it has files."""
    of_each = {kind: _files(_folder(kind), suffixes) for kind, (_, suffixes) in _KINDS.items()}
    return [
        Cache(kind, _folder(kind), len(files), sum(map(_size, files)), kind == _LOSS_NETWORKS)
        for kind, files in of_each.items()
    ]


def clean(*, everything: bool = False) -> int:
    """Remove the files of caches, and no others; returns how many bytes that were.

    Those that stay are removed with ``everything`` only. Raises OSError for what cannot be removed.
    """
    freed = 0
    for kind, (_, suffixes) in _KINDS.items():
        for file in _files(_folder(kind), suffixes) if everything or kind != _LOSS_NETWORKS else ():
            freed += _size(file)
            file.unlink(missing_ok=True)
            _remove_empty(file.parent)
        _remove_empty(_folder(kind))
    _remove_empty(cache_folder())
    return freed


def note_use(path: Path) -> None:
    """Note that a compiled style was used now."""
    with suppress(OSError):  # a cache that is shared, and only read
        os.utime(path)


def drop_unused(folder: Path, *, most_bytes: int = _MOST_BYTES) -> None:
    """Drop what was used longest ago, and what killed processes left, until the rest is small.

    A network that another process is about to read is made anew by that one.
    """
    used: dict[str, float] = {}
    sizes: dict[str, int] = {}
    suffixes = _KINDS["compiled styles"][1]
    for file in _files(folder, suffixes):
        stem = file.name.removesuffix(file.suffix)
        sizes[stem] = sizes.get(stem, 0) + _size(file)
        used[stem] = max(used.get(stem, 0.0), _modified(file))
    left = sum(sizes.values())
    for stem in sorted(used, key=lambda each: used[each]):
        is_temporary = "." in stem
        is_old = time.time() - used[stem] > _SECONDS_TO_WRITE
        if (is_temporary and is_old) or (left > most_bytes and not is_temporary):
            left -= sizes[stem]
            for suffix in suffixes:  # the graph first: without it nobody looks for the weights
                with suppress(OSError):
                    (folder / f"{stem}{suffix}").unlink(missing_ok=True)


def _folder(kind: str) -> Path:
    return cache_folder() / _KINDS[kind][0]


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # something else lies in it, or it is not there
        folder.rmdir()


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    try:
        found = (file for file in folder.rglob("*") if file.suffix in suffixes)
        return sorted(file for file in found if file.is_file())
    except OSError:
        return []


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _modified(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
