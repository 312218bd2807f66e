"""A folder on its way to a cluster: what is left out, and how large it may be."""

from __future__ import annotations

import fnmatch
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from nst_core.errors import InputError
from nst_core.utf8_paths import is_utf8

MOST_BYTES = 100 << 20
"""What a head takes: Ray answers HTTP 413 to more."""
LEFT_OUT = (
    ".*",  # .git, .venv, caches
    "__pycache__",
    "*.py[co]",
    "*.egg-info",
    "node_modules",
    "venv",
    "*.run",  # run folders of training
    "*.nst-work",
)
FOLDER_IN_PACKAGE = "working-dir"
"""Ray lets Python import from where it unpacks a package: there is only this folder in it, which
no import can name."""
_LARGEST_NAMED = 3
_NO_DATE = (1980, 1, 1, 0, 0, 0)


def pack_folder(folder: Path, package: Path) -> None:
    """Write all of ``folder``, but what LEFT_OUT names, into the ZIP file ``package``.

    It is below FOLDER_IN_PACKAGE there. The same content gives the same bytes. Raises InputError
    where it is too large, before anything is read, or is no folder.
    """
    if not folder.is_dir():
        raise InputError(f"--working-dir {folder}: no such folder")
    files = sorted(_files(folder))
    for path in files:
        if not is_utf8(str(path.relative_to(folder))):
            raise InputError(
                f"--working-dir {folder}: a name in it is no UTF-8, and cannot be sent "
                f"({path.relative_to(folder)}); rename it"
            )
    _check_size(folder, files)
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir(FOLDER_IN_PACKAGE)
        for path in files:
            name = Path(FOLDER_IN_PACKAGE, path.relative_to(folder)).as_posix()
            entry = zipfile.ZipInfo(name, _NO_DATE)
            entry.external_attr = (path.stat().st_mode & 0xFFFF) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _is_left_out(name)]
        paths = (Path(parent, name) for name in names if not _is_left_out(name))
        yield from (path for path in paths if path.is_file())  # no pipes, no links to nowhere


def _is_left_out(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in LEFT_OUT)


def _check_size(folder: Path, files: list[Path]) -> None:
    sizes = {path: path.stat().st_size for path in files}
    if sum(sizes.values()) < MOST_BYTES:
        return
    largest = sorted(files, key=sizes.__getitem__, reverse=True)[:_LARGEST_NAMED]
    named = ", ".join(f"{path.relative_to(folder)} {sizes[path] >> 20} MB" for path in largest)
    raise InputError(
        f"--working-dir {folder}: {sum(sizes.values()) >> 20} MB are to be sent, less than "
        f"{MOST_BYTES >> 20} MB are allowed (largest: {named}); leave large files on shared "
        "storage or behind a URI, and name them there"
    )
