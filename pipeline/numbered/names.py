"""Names of numbered pictures: ``frames/%05d.png`` or ``frames/#####.png`` means all its numbers."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av

from nst_core.errors import MediaError

WRITTEN_SUFFIXES = (".png", ".tif", ".tiff", ".exr", ".dpx", ".jpg", ".jpeg")
READ_SUFFIXES = frozenset({*WRITTEN_SUFFIXES, ".bmp", ".tga", ".webp", ".jp2", ".sgi", ".ppm"})
_COUNTER = re.compile(r"%(?:0(\d+))?d|(#+)")
_NUMBERED = re.compile(r"(.*?)(\d+)(\D*\.[A-Za-z]\w*)", re.DOTALL | re.ASCII)
_MOST_DIGITS = 18


@dataclass(frozen=True)
class Numbering:
    """What the names of numbered pictures have in common."""

    folder: Path
    before: str
    digits: int
    """Zeros fill a number up to so many."""
    after: str

    def path(self, number: int) -> Path:
        """Return the picture of a number."""
        return self.folder / f"{self.before}{number:0{self.digits}d}{self.after}"

    def number_of(self, name: str) -> int | None:
        """Return the number in a picture's name; None for the name of any other file."""
        end = len(name) - len(self.after)
        text = name[len(self.before) : end]
        is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
        if not is_number or not (name.startswith(self.before) and name.endswith(self.after)):
            return None
        number = int(text)
        return number if f"{number:0{self.digits}d}" == text else None

    @property
    def pattern(self) -> Path:
        """Return the name that means them all."""
        before, after = (text.replace("%", "%%") for text in (self.before, self.after))
        return self.folder / f"{before}%{f'0{self.digits}' if self.digits > 1 else ''}d{after}"

    def listed(self) -> dict[int, os.DirEntry[str]]:
        """Return the pictures that are there, by number, ascending. Raises OSError."""
        with os.scandir(self.folder) as entries:
            found = {self.number_of(entry.name): entry for entry in entries if entry.is_file()}
        return {number: found[number] for number in sorted(n for n in found if n is not None)}


def numbering_of(path: Path) -> Numbering | None:
    """Read the name of numbered pictures; None for that of a single file."""
    counters = list(_COUNTER.finditer(path.name.replace("%%", "\0\0")))
    if path.suffix.lower() not in READ_SUFFIXES or not counters or os.path.lexists(path):
        return None
    by_percent = [each for each in counters if each[0][0] == "%"]
    counter = (by_percent or counters)[-1]
    before, after = (
        part.replace("%%", "%")
        for part in (path.name[: counter.start()], path.name[counter.end() :])
    )
    digits = len(counter[2]) if counter[2] else int(counter[1] or 1)
    return Numbering(path.parent, before, digits, after)


def grouped(paths: Iterable[Path]) -> dict[Numbering, list[Path]]:
    """Put pictures together that are numbered alike, two at least; others are left out."""
    groups: dict[tuple[Path, str, str], list[tuple[str, Path]]] = defaultdict(list)
    for path in paths:
        if path.suffix.lower() in READ_SUFFIXES and (found := _NUMBERED.fullmatch(path.name)):
            groups[path.parent, found[1], found[3]].append((found[2], path))
    return {
        Numbering(folder, before, min(len(digits) for digits, _ in group), after): [
            path for _, path in group
        ]
        for (folder, before, after), group in groups.items()
        if len(group) > 1
    }


@dataclass(frozen=True, repr=False)
class NumberedPictures:
    """The pictures of a film that are there, in the order of showing."""

    numbering: Numbering
    numbers: tuple[int, ...]
    state: tuple[tuple[int, int], ...]
    """Bytes and time of change (ns) of each."""
    empty: tuple[int, ...] = ()
    """Numbers of files with nothing in them, as renderers leave them."""

    def __repr__(self) -> str:
        return f"NumberedPictures({self.numbering.pattern}, {len(self.numbers)} of them)"

    def path(self, place: int) -> Path:
        """Return a picture by its place among them."""
        return self.numbering.path(self.numbers[place])

    def read(self, place: int) -> bytes:
        """Return a picture's bytes. Raises MediaError."""
        try:
            data = self.path(place).read_bytes()
        except OSError as error:
            raise MediaError(f"{self.path(place)}: cannot be read ({error.strerror})") from error
        if not data:
            raise MediaError(f"{self.path(place)}: the file changed while it was read")
        return data

    def frames(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decode those that can be, with their places.

        Each has a decoder of its own: see segments/decoder.py.
        """
        for place in range(len(self.numbers)):
            with (
                suppress(av.FFmpegError, OSError, ValueError),
                av.open(str(self.path(place).absolute())) as container,
            ):
                for frame in container.decode(video=0):
                    yield place, frame

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Return the first and last number of each gap between them."""
        pairs = zip(self.numbers, self.numbers[1:], strict=False)
        return [(one + 1, next_one - 1) for one, next_one in pairs if next_one > one + 1]


def find_pictures(numbering: Numbering) -> NumberedPictures:
    """List the pictures. Raises MediaError where there is none."""
    try:
        found = {number: entry.stat() for number, entry in numbering.listed().items()}
    except OSError as error:
        raise MediaError(f"{numbering.folder}: cannot be listed ({error.strerror})") from error
    numbers = tuple(number for number, status in found.items() if status.st_size)
    if not numbers:
        raise MediaError(
            f"{numbering.pattern}: no such pictures, such as {numbering.path(1).name}"
            f"{'; those that are there are empty' if found else ''}"
        )
    return NumberedPictures(
        numbering,
        numbers,
        tuple((found[number].st_size, found[number].st_mtime_ns) for number in numbers),
        tuple(number for number, status in found.items() if not status.st_size),
    )
