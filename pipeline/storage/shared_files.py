"""Whether a worker on another machine sees the files that this machine sees."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nst_core.errors import EnvironmentProblem, InputError

_PREFIX = ".nst-seen-"


@dataclass(frozen=True)
class SharedFiles:
    """Files by which a worker tells whether it works in the same folders as the driver."""

    folder: str | None
    """That workers write into; None where that is no folder of a machine."""
    witness: str = ""
    """A file in it whose name nobody else knows."""
    inputs: tuple[tuple[str, int], ...] = ()
    """Paths that workers read, and the sizes of these files in bytes."""

    def check(self) -> None:
        """Raise EnvironmentProblem, in one line, where this machine does not see them."""
        host = socket.gethostname()
        if self.folder is not None and not Path(self.folder, self.witness).is_file():
            raise EnvironmentProblem(
                f"{self.folder}: the node {host} does not see this folder, and what it wrote there "
                "would be lost; name one on storage that all nodes share, or a URI such as s3://"
            )
        for path, size in self.inputs:
            if not os.path.isfile(path) or os.path.getsize(path) != size:  # noqa: PTH113, PTH202
                raise EnvironmentProblem(
                    f"{path}: the node {host} does not see this file; put what is read on storage "
                    "that all nodes share, or behind a URI such as s3://"
                )


@contextmanager
def shared_files(folder: Path | None, inputs: Sequence[str] = ()) -> Iterator[SharedFiles]:
    """Leave a witness in ``folder``, which no other command uses, for the block.

    URIs among ``inputs`` need none.

    Raises InputError where it cannot be left.
    """
    files = [path for path in inputs if "://" not in path and Path(path).is_file()]
    sizes = tuple((path, Path(path).stat().st_size) for path in files)
    if folder is None:
        yield SharedFiles(None, inputs=sizes)
        return
    witness = folder / f"{_PREFIX}{secrets.token_hex(8)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{_PREFIX}*"):  # by a command that was killed
            left.unlink(missing_ok=True)
        witness.touch()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from error
    try:
        yield SharedFiles(str(folder.resolve()), witness.name, sizes)
    finally:
        witness.unlink(missing_ok=True)
