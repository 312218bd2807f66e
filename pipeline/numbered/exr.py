"""The header of an EXR: what FFmpeg's decoder does not tell.

The layout is that of "OpenEXR File Layout", openexr.com: attributes of name, type and size, then
the places of all blocks of pixels, then the blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct, error, unpack_from

import numpy as np

_MAGIC = b"v/1\x01"
_TILED, _DEEP, _MULTIPART = 0x200, 0x800, 0x1000
_LINES_A_BLOCK = {0: 1, 1: 1, 2: 1, 3: 16, 4: 32, 5: 16, 6: 32, 7: 32, 8: 32, 9: 256}
"""By compression: none, RLE, ZIPS, ZIP, PIZ, PXR24, B44, B44A, DWAA, DWAB."""
_COLORS = frozenset("RGBAY")
_BOX = Struct("<4i")
_POINTS = Struct("<8f")
_BT709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
"""Red, green, blue and white, x and y each: what an EXR means that does not say it."""
_BLOCK = Struct("<iI")
"""First line and bytes of a block of lines."""


@dataclass(frozen=True)
class ExrHeader:
    """What an EXR of one part says of itself."""

    attributes: dict[str, tuple[str, bytes]]
    """Type and value by name."""
    end: int
    """Where the places of the blocks begin."""
    flags: int

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of all channels."""
        data = self.attributes["channels"][1]
        names, place = [], 0
        while data[place]:
            end = data.index(0, place)
            names.append(data[place:end].decode("latin-1"))
            place = end + 17
        return tuple(names)

    @property
    def blocks(self) -> int | None:
        """How many blocks there are; None where they are no blocks of lines."""
        compression = self.attributes["compression"][1][0]
        if self.flags & (_TILED | _DEEP | _MULTIPART) or compression not in _LINES_A_BLOCK:
            return None
        _, top, _, bottom = _box(self, "dataWindow")
        return int(-(-(bottom - top + 1) // _LINES_A_BLOCK[compression]))


def read_header(data: bytes) -> ExrHeader | None:
    """Read the header of a file; None where it is damaged, or no EXR."""
    try:
        if data[:4] != _MAGIC:
            return None
        attributes = {}
        place = 8
        while data[place]:
            name, kind, value, place = _attribute(data, place)
            attributes[name] = (kind, value)
        if not {"channels", "compression", "dataWindow", "displayWindow"} <= attributes.keys():
            return None
        return ExrHeader(attributes, place + 1, unpack_from("<I", data, 4)[0])
    except (IndexError, ValueError, KeyError, error):
        return None


def _attribute(data: bytes, place: int) -> tuple[str, str, bytes, int]:
    name_end = data.index(0, place)
    kind_end = data.index(0, name_end + 1)
    (size,) = unpack_from("<i", data, kind_end + 1)
    start = kind_end + 5
    value = data[start : start + size]
    name, kind = data[place:name_end], data[name_end + 1 : kind_end]
    return name.decode("latin-1"), kind.decode("latin-1"), value, start + size


def words_for_lost(data: bytes) -> list[str]:
    """Say what of an EXR is left out: channels beside the colours, pixels outside of the window."""
    header = read_header(data)
    if header is None:
        return []
    others = [name for name in header.channels if name not in _COLORS]
    lines = [f"its channels {', '.join(others)} are left out"] if others else []
    left, top, right, bottom = _box(header, "dataWindow")
    shown = _box(header, "displayWindow")
    if left < shown[0] or top < shown[1] or right > shown[2] or bottom > shown[3]:
        lines.append("its pixels outside of the display window are left out")
    points = header.attributes.get("chromaticities", ("", b""))[1]
    if len(points) == _POINTS.size and not np.allclose(_POINTS.unpack(points), _BT709, atol=1e-3):
        lines.append("its chromaticities are left out: its numbers are taken for BT.709's colours")
    return lines


def _box(header: ExrHeader, name: str) -> tuple[int, ...]:
    """Return left, top, right and bottom of a window, all inclusive."""
    return _BOX.unpack(header.attributes[name][1])


def is_cut_short(data: bytes) -> bool:
    """Whether blocks of lines are missing, which FFmpeg's decoder leaves black without a word."""
    header = read_header(data)
    try:
        blocks = header.blocks if header else None
        if header is None or blocks is None:
            return False  # the decoder says what is wrong
        places = unpack_from(f"<{blocks}Q", data, header.end)
        return any(not 0 < _end_of_block(data, place) <= len(data) for place in places)
    except (IndexError, KeyError, error):
        return True


def _end_of_block(data: bytes, place: int) -> int:
    """Where a block ends; 0 for one that was not written. Raises struct.error beyond the end."""
    return place + _BLOCK.size + int(_BLOCK.unpack_from(data, place)[1]) if place else 0
