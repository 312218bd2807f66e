"""Tar shards as webdataset has them: made for tests, and read again by Python's own tarfile."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image

from tests.kit.media import moving_picture


def picture(number: int, kind: str = "PNG") -> bytes:
    """Content of a picture of 40x30 that differs by its number."""
    file = io.BytesIO()
    Image.fromarray(moving_picture(number, 40, 30)).save(file, kind)
    return file.getvalue()


def make_shard(path: Path, members: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> Path:
    """Write the members in their order; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pairs = members.items() if isinstance(members, Mapping) else members
    with tarfile.open(path, "w") as archive:
        for name, content in pairs:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def make_shards(folder: Path, *, shards: int = 2, samples: int = 5) -> Path:
    """Write shards of pictures with a class and a text each, shuffled; returns the folder."""
    for shard in range(shards):
        members: dict[str, bytes] = {}
        for place in range(samples):
            number = shard * samples + (place * 7) % samples
            members |= {
                f"{number:04}.jpg": picture(number, "JPEG"),
                f"{number:04}.cls": str(number % 3).encode(),
                f"{number:04}.json": b'{"number": %d}' % number,
            }
        make_shard(folder / f"data-{shard:06}.tar", members)
    return folder


def read_shard(path: Path) -> dict[str, bytes]:
    """Members by name, in the order in which they are."""
    with tarfile.open(path) as archive:
        return {
            member.name: file.read()
            for member in archive.getmembers()
            if (file := archive.extractfile(member))
        }
