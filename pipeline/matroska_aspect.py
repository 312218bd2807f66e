"""Pixels that are not square, told to a Matroska file once it has been written.

Matroska tells them by the size at which a picture is shown (RFC 9559, sections 5.1.4.1.28.12 to
14). FFmpeg's muxer takes it from a field of its streams that PyAV cannot set: so the track gets a
name longer by a placeholder, and the room that it takes is filled afterwards. Nothing moves.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from nst_core.errors import VerificationError

PLACEHOLDER = "(the aspect of its pixels goes here)"
"""To be added to the title of the video stream. At least as long as the three new elements and
an empty one."""

_SEGMENT, _TRACKS, _TRACK_ENTRY, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
_NAME, _CRC32, _VOID = 0x536E, 0xBF, 0xEC
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
_UNIT_PIXELS, _UNIT_ASPECT = 0, 3
_LARGEST_HEADER = 16 << 20


@dataclass(frozen=True)
class _Element:
    """One element of EBML, by its places in the file."""

    id: int
    start: int
    size_start: int
    data_start: int
    end: int


def write_pixel_aspect(path: Path, width: int, height: int, aspect: Fraction) -> None:
    """Put the pixel aspect of the video into a file whose stream has the PLACEHOLDER in its title.

    Raises VerificationError where the file is not as it was written.
    """
    with path.open("r+b") as file:
        header = bytearray(file.read(_LARGEST_HEADER))
        tracks = _only(header, _SEGMENT, 0, len(header), _TRACKS)
        for entry in _children(header, tracks):
            if entry.id == _TRACK_ENTRY and _fill(header, entry, *_display(width, height, aspect)):
                break
        else:
            raise VerificationError(f"{path}: no video track with room for its pixel aspect")
        _renew_checksum(header, tracks)
        file.seek(tracks.start)
        file.write(header[tracks.start : tracks.end])


def _display(width: int, height: int, aspect: Fraction) -> tuple[bytes, int]:
    """Elements for the size in pixels, where whole numbers give it exactly, else for a ratio."""
    shown = width * aspect
    if shown.denominator == 1:
        numbers, unit = (int(shown), height), _UNIT_PIXELS
    else:
        numbers, unit = (shown / height).as_integer_ratio(), _UNIT_ASPECT
    return _number(_DISPLAY_WIDTH, numbers[0]) + _number(_DISPLAY_HEIGHT, numbers[1]), unit


def _fill(header: bytearray, entry: _Element, display: bytes, unit: int) -> bool:
    """Shorten the track's name and lengthen its video element by as much."""
    children = {child.id: child for child in _children(header, entry)}
    name, video = children.get(_NAME), children.get(_VIDEO)
    if name is None or video is None or name.start > video.start:
        return False
    title = bytes(header[name.data_start : name.end])
    if not title.endswith(PLACEHOLDER.encode()):
        return False
    title = title.removesuffix(PLACEHOLDER.encode()).rstrip()
    kept = b""
    if title:
        size = _size(len(title), name.data_start - name.size_start)
        kept = bytes(header[name.start : name.size_start]) + size + title
    of_unit = next((e for e in _children(header, video) if e.id == _DISPLAY_UNIT), None)
    if of_unit:  # the muxer says that it is unknown
        header[of_unit.end - 1] = unit
    else:
        display += _number(_DISPLAY_UNIT, unit)
    room = name.end - name.start - len(kept)
    added = display + _void(room - len(display))
    length = video.end - video.data_start + room
    header[name.start : video.end] = (
        kept
        + header[name.end : video.size_start]
        + _size(length, video.data_start - video.size_start)
        + header[video.data_start : video.end]
        + added
    )
    return True


def _renew_checksum(header: bytearray, tracks: _Element) -> None:
    """EBML's CRC-32, where there is one, is the first child and of all that follow it."""
    first = next(_children(header, tracks))
    if first.id == _CRC32:
        checksum = zlib.crc32(header[first.end : tracks.end])
        header[first.data_start : first.end] = checksum.to_bytes(4, "little")


def _only(header: bytearray, outer: int, start: int, end: int, inner: int) -> _Element:
    """Find an element within the first one of another kind."""
    for element in _elements(header, start, end):
        if element.id == inner:
            return element
        if element.id == outer:
            return _only(header, outer, element.data_start, min(element.end, end), inner)
    raise VerificationError("the Matroska file has no tracks at its beginning")


def _children(header: bytearray, parent: _Element) -> Iterator[_Element]:
    return _elements(header, parent.data_start, parent.end)


def _elements(header: bytearray, start: int, end: int) -> Iterator[_Element]:
    while start < end:
        id_length = 9 - header[start].bit_length()
        size_start = start + id_length
        size_length = 9 - header[size_start].bit_length()
        data_start = size_start + size_length
        size = int.from_bytes(header[size_start:data_start]) & ((1 << (7 * size_length)) - 1)
        number = int.from_bytes(header[start:size_start])
        yield _Element(number, start, size_start, data_start, data_start + size)
        start = data_start + size


def _size(length: int, width: int) -> bytes:
    """A length in as many bytes as are told."""
    if length >= (1 << (7 * width)) - 1:
        raise VerificationError(f"a Matroska element of {length} bytes does not fit its length")
    return (length | 1 << (7 * width)).to_bytes(width)


def _number(element: int, value: int) -> bytes:
    data = value.to_bytes(4)
    return element.to_bytes(2) + _size(len(data), 1) + data


def _void(length: int) -> bytes:
    """An element that says nothing, ``length`` bytes long."""
    return bytes([_VOID]) + _size(length - 2, 1) + bytes(length - 2)
