"""Pixels that are not square, told to a Matroska file once it has been written.

Matroska tells them by the size at which a picture is shown (RFC 9559, sections 5.1.4.1.28.12 to
14). FFmpeg's muxer takes it from a field of its streams that PyAV cannot set: so the track gets a
name longer by a placeholder, and the room that it takes is filled afterwards. Nothing moves.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import IO

from nst_core.errors import VerificationError
from pipeline.metadata.ebml import (
    LARGEST_HEADER,
    TRACK_ENTRY,
    Element,
    children,
    find_tracks,
    renew_checksum,
)

PLACEHOLDER = "(the aspect of its pixels goes here)"
"""To be added to the title of the video stream. At least as long as the three new elements and
an empty one."""

_VIDEO, _NAME, _VOID = 0xE0, 0x536E, 0xEC
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
_UNIT_PIXELS, _UNIT_ASPECT = 0, 3


def write_pixel_aspect(path: Path, width: int, height: int, aspect: Fraction) -> None:
    """Put the pixel aspect of the video into a file whose stream has the PLACEHOLDER in its title.

    Raises VerificationError where the file is not as it was written.
    """
    display, unit = _display(width, height, aspect)
    with path.open("r+b") as file:
        put_into_video(file, display, placeholder=PLACEHOLDER, unit=unit)


def put_into_video(
    file: IO[bytes], elements: bytes, *, placeholder: str, unit: int | None = None
) -> None:
    """Put elements into the track with ``placeholder`` in its title; ``unit`` is that of display.

    Raises VerificationError where there is no such track.
    """
    file.seek(0)
    header = bytearray(file.read(LARGEST_HEADER))
    tracks = find_tracks(header)
    entries = [entry for entry in children(header, tracks) if entry.id == TRACK_ENTRY]
    if not any(_fill(header, entry, elements, placeholder, unit) for entry in entries):
        raise VerificationError("no video track of the Matroska file has the room made for it")
    renew_checksum(header, tracks)
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


def _fill(
    header: bytearray, entry: Element, added: bytes, placeholder: str, unit: int | None
) -> bool:
    """Shorten the track's name and lengthen its video element by as much."""
    parts = {part.id: part for part in children(header, entry)}
    name, video = parts.get(_NAME), parts.get(_VIDEO)
    if name is None or video is None or name.start > video.start:
        return False
    title = bytes(header[name.data_start : name.end])
    if not title.endswith(placeholder.encode()):
        return False
    title = title.removesuffix(placeholder.encode()).rstrip()
    kept = b""
    if title:
        size = _size(len(title), name.data_start - name.size_start)
        kept = bytes(header[name.start : name.size_start]) + size + title
    of_unit = next((e for e in children(header, video) if e.id == _DISPLAY_UNIT), None)
    if unit is not None and of_unit:  # the muxer says that it is unknown
        header[of_unit.end - 1] = unit
    elif unit is not None:
        added += _number(_DISPLAY_UNIT, unit)
    room = name.end - name.start - len(kept)
    added += _void(room - len(added))
    length = video.end - video.data_start + room
    header[name.start : video.end] = (
        kept
        + header[name.end : video.size_start]
        + _size(length, video.data_start - video.size_start)
        + header[video.data_start : video.end]
        + added
    )
    return True


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
