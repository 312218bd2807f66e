"""The files of an output: one, or as many numbered pictures as there are frames."""

from __future__ import annotations

import os
from pathlib import Path

from nst_core.errors import VerificationError
from pipeline.encoding.encoders import NUMBERED, container_for
from pipeline.numbered.names import Numbering, numbering_of
from pipeline.segments.work_folder import discard, in_the_way, publish
from pipeline.storage.remote_file import RemoteFile


def numbered_output(output: Path) -> Numbering | None:
    """Return how an output's pictures are numbered; None: it is one file. Raises InputError."""
    return numbering_of(output) if container_for(output).format == NUMBERED else None


def is_there(output: Path) -> bool:
    """Whether an output, or any picture of it, exists; a link that leads nowhere does, too."""
    numbering = numbering_of(output)
    if numbering is None or not numbering.folder.is_dir():
        return output.is_symlink() or output.exists()
    return bool(numbering.listed())


def would_replace(output: Path, film: Path) -> bool:
    """Whether an output would replace its own film, or pictures of it."""
    one, other = numbering_of(output), numbering_of(film)
    if one and other:
        same_names = (one.before, one.after) == (other.before, other.after)
        return same_names and one.folder.resolve() == other.folder.resolve()
    return output.exists() and film.exists() and output.samefile(film)


def publish_all(temporary: Path, output: Path, *, overwrite: bool, keep: bool = False) -> None:
    """Let finished files appear under their names, as ``publish`` does.

    Of numbered pictures all do, or none. With ``keep`` those that are there stay. Behind a URI an
    upload does, once it has ended. Raises InputError.
    """
    if isinstance(output, RemoteFile):
        if not overwrite and output.exists():
            raise in_the_way(output)
        output.storage.upload(temporary, str(output))
        if output.stat().st_size != temporary.stat().st_size:
            raise VerificationError(f"{output}: not as large as what was uploaded; run again")
        discard(temporary)
        return
    if not temporary.is_dir():
        publish(temporary, output, overwrite=overwrite)
        return
    made: list[Path] = []
    try:
        for picture in sorted(temporary.iterdir()):
            path = output.with_name(picture.name)
            if keep and os.path.lexists(path):
                continue
            publish(picture, path, overwrite=overwrite)
            made.append(path)
    except BaseException:
        for path in [] if overwrite else made:
            path.unlink(missing_ok=True)
        raise
    discard(temporary)
