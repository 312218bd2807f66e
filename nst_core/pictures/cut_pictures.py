"""Picture files whose last bytes are missing, though none of their pixels needs them.

A file may lack its end marker, padding or the checks of its last block. Whether pixels need what is
missing is found out by putting different bytes there: where all give the same pixels, none does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import numpy as np
from PIL import Image

_JPEG = b"\xff\xd8\xff"
_BEGINNINGS = (b"GIF8", b"RIFF", b"BM")
"""First bytes of the other formats whose decoders invent nothing for missing data."""
_END_OF_IMAGE = b"\xff\xd9"
_RESTARTS, _FIRST_RESTART = b"\xff\xdd", 0xD0
_START_OF_SCAN, _PROGRESSIVE = 0xDA, (0xC2, 0xC6, 0xCA, 0xCE)
_MOST_MISSING = 64
"""Bytes put in place of those that are missing."""


class PictureWithNotes(Protocol):
    """What a decoder of pictures returns here."""

    @property
    def image(self) -> Image.Image:
        """The pixels."""


Decoded = TypeVar("Decoded", bound=PictureWithNotes)


def decoded_though_cut(content: bytes, decode: Callable[[bytes], Decoded]) -> Decoded | None:
    """Decode a file without its last bytes; None where pixels are missing, or who knows.

    ``decode`` raises for what it cannot decode.
    """
    try:
        if not _may_be_whole(content):
            return None
    except IndexError:  # a header that is too short for what it says
        return None
    first: Decoded | None = None
    for tail in _tails(content):
        try:
            decoded = decode(_filled(content, tail))
        except Exception:  # as many kinds as there are decoders
            return None
        if first is None:
            first = decoded
        elif not _are_equal(first.image, decoded.image):
            return None
    return first


def filled(content: bytes) -> bytes:
    """Return the file with zeros in place of what may be missing at its end."""
    return _filled(content, bytes(_MOST_MISSING))


def _are_equal(first: Image.Image, other: Image.Image) -> bool:
    return first.size == other.size and first.tobytes() == other.tobytes()


def _may_be_whole(content: bytes) -> bool:
    if content.startswith(_JPEG):
        return _has_all_scans(content)
    return content.startswith(_BEGINNINGS)


def _tails(content: bytes) -> Iterator[bytes]:
    """Yield what a file may have gone on with: every next three bits, then anything.

    Whatever code was being read, some of these end it otherwise than others. A JPEG with restart
    markers goes on with each of those, too.
    """
    numbers = np.random.default_rng(1)
    beginnings = [bytes([32 * number]) for number in range(8)]
    if content.startswith(_JPEG) and _RESTARTS in content:
        beginnings += [bytes([0xFF, _FIRST_RESTART + number]) for number in range(8)]
    for beginning in beginnings:  # 0xFF would begin a marker in JPEG
        rest = numbers.integers(255, size=_MOST_MISSING - len(beginning), dtype=np.uint8)
        yield beginning + rest.tobytes()


def _filled(content: bytes, tail: bytes) -> bytes:
    if content.startswith(_JPEG):
        return content.rstrip(b"\xff") + tail + _END_OF_IMAGE
    if content[:4] == b"RIFF":
        return _filled_webp(content, tail)
    return content + tail


def _filled_webp(content: bytes, tail: bytes) -> bytes:
    """Fill the last chunk up to its length, or leave it out where too much of it is missing."""
    start, kept = 12, b""
    while start + 8 <= len(content):
        length = int.from_bytes(content[start + 4 : start + 8], "little")
        end = start + 8 + length + length % 2
        missing = max(0, end - len(content))
        if missing > len(tail):
            break
        kept += content[start:end] + tail[:missing]
        start = end
    return b"RIFF" + (4 + len(kept)).to_bytes(4, "little") + b"WEBP" + kept


def _has_all_scans(content: bytes) -> bool:
    """Say whether the scans of a JPEG give every component all bits of all coefficients.

    A file may end between two scans: what is missing then is no part of the last one.
    """
    components: set[int] = set()
    done: dict[int, set[int]] = {}
    is_progressive = False
    for marker, data in _segments(content):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            is_progressive = marker in _PROGRESSIVE
            components = {data[6 + 3 * number] for number in range(data[5])}
        elif marker == _START_OF_SCAN:
            count = data[0]
            first, last, bits = data[1 + 2 * count : 4 + 2 * count]
            band = range(first, last + 1) if is_progressive else range(64)
            if not is_progressive or bits & 15 == 0:
                for number in range(count):
                    done.setdefault(data[1 + 2 * number], set()).update(band)
        if components and all(len(done.get(name, ())) == 64 for name in components):
            return True
    return False


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the markers of a JPEG that have a length, with their data, until one is cut."""
    place = 2
    while (place := content.find(b"\xff", place)) >= 0 and place + 4 <= len(content):
        marker = content[place + 1]
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD9:  # data, or without a length
            place += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        data = content[place + 4 : place + 2 + length]
        if length < 2 or len(data) < length - 2:
            return
        yield marker, data
        place += 2 + length
