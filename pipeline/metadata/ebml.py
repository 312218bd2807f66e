"""EBML, of which Matroska's files are made: elements found in a header held in memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from nst_core.errors import VerificationError

SEGMENT, TRACKS, TRACK_ENTRY = 0x18538067, 0x1654AE6B, 0xAE
LARGEST_HEADER = 16 << 20
"""Bytes of a file among which its tracks are looked for."""
_CRC32 = 0xBF


@dataclass(frozen=True)
class Element:
    """One element of EBML, by its places in the file."""

    id: int
    start: int
    size_start: int
    data_start: int
    end: int


def find_tracks(header: bytearray) -> Element:
    """Find the list of tracks. Raises VerificationError where there is none."""
    return _only(header, SEGMENT, 0, len(header), TRACKS)


def children(header: bytearray, parent: Element) -> Iterator[Element]:
    """Every element within one, in order."""
    return _elements(header, parent.data_start, parent.end)


def renew_checksum(header: bytearray, parent: Element) -> None:
    """EBML's CRC-32, where there is one, is the first child and of all that follow it."""
    first = next(children(header, parent))
    if first.id == _CRC32:
        checksum = zlib.crc32(header[first.end : parent.end])
        header[first.data_start : first.end] = checksum.to_bytes(4, "little")


def _only(header: bytearray, outer: int, start: int, end: int, inner: int) -> Element:
    """Find an element within the first one of another kind."""
    for element in _elements(header, start, end):
        if element.id == inner:
            return element
        if element.id == outer:
            return _only(header, outer, element.data_start, min(element.end, end), inner)
    raise VerificationError("the Matroska file has no tracks at its beginning")


def _elements(header: bytearray, start: int, end: int) -> Iterator[Element]:
    while start < end:
        id_length = 9 - header[start].bit_length()
        size_start = start + id_length
        size_length = 9 - header[size_start].bit_length()
        data_start = size_start + size_length
        size = int.from_bytes(header[size_start:data_start]) & ((1 << (7 * size_length)) - 1)
        number = int.from_bytes(header[start:size_start])
        yield Element(number, start, size_start, data_start, data_start + size)
        start = data_start + size
