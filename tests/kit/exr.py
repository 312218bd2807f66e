"""EXRs written and read by NumPy alone, as the layout's description says: a reference for FFmpeg's.

One part, blocks of lines, halves or floats; read uncompressed and with ZIPS.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Channels = Mapping[str, NDArray[Any]]
_TYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f2"), 2: np.dtype("<f4")}


def exr_bytes(channels: Channels, attributes: Mapping[str, tuple[str, bytes]] = {}) -> bytes:
    """Return an uncompressed EXR of planes, all halves or floats, by the channels' names."""
    height, width = next(iter(channels.values())).shape
    described = b"".join(
        name.encode() + b"\0" + struct.pack("<iiii", 2 if plane.itemsize == 4 else 1, 0, 1, 1)
        for name, plane in sorted(channels.items())
    )
    box = struct.pack("<4i", 0, 0, width - 1, height - 1)
    header = {
        "channels": ("chlist", described + b"\0"),
        "compression": ("compression", b"\0"),
        "dataWindow": ("box2i", box),
        "displayWindow": ("box2i", box),
        "lineOrder": ("lineOrder", b"\0"),
        "pixelAspectRatio": ("float", struct.pack("<f", 1)),
        "screenWindowCenter": ("v2f", struct.pack("<2f", 0, 0)),
        "screenWindowWidth": ("float", struct.pack("<f", 1)),
        **attributes,
    }
    start = b"v/1\x01\x02\0\0\0"
    for name, (kind, value) in header.items():
        start += name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value))
        start += value
    start += b"\0"
    lines = [
        b"".join(plane[row].tobytes() for _, plane in sorted(channels.items()))
        for row in range(height)
    ]
    places, place = b"", len(start) + 8 * height
    for line in lines:
        places += struct.pack("<Q", place)
        place += 8 + len(line)
    blocks = [struct.pack("<iI", row, len(line)) + line for row, line in enumerate(lines)]
    return start + places + b"".join(blocks)


def read_exr(data: bytes) -> dict[str, NDArray[Any]]:
    """Read the planes of an EXR by their channels' names."""
    assert data[:4] == b"v/1\x01"
    header: dict[str, bytes] = {}
    place = 8
    while data[place]:
        end = data.index(0, place)
        name, kind_end = data[place:end].decode(), data.index(0, end + 1)
        (size,) = struct.unpack_from("<i", data, kind_end + 1)
        place = kind_end + 5 + size
        header[name] = data[place - size : place]
    place += 1
    kinds = _kinds(header["channels"])
    left, top, right, bottom = struct.unpack("<4i", header["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    planes = {name: np.empty((height, width), dtype) for name, dtype in kinds.items()}
    for row in range(height):
        (block,) = struct.unpack_from("<Q", data, place + 8 * row)
        _, size = struct.unpack_from("<iI", data, block)
        line = data[block + 8 : block + 8 + size]
        whole = sum(width * dtype.itemsize for dtype in kinds.values())
        if header["compression"][0] == 2 and size < whole:
            line = _unzipped(line)
        for name, dtype in kinds.items():
            planes[name][row] = np.frombuffer(line, dtype, width)
            line = line[width * dtype.itemsize :]
    return planes


def _kinds(described: bytes) -> dict[str, np.dtype[Any]]:
    found: dict[str, np.dtype[Any]] = {}
    place = 0
    while described[place]:
        end = described.index(0, place)
        found[described[place:end].decode()] = _TYPES[described[end + 1]]
        place = end + 17
    return found


def _unzipped(data: bytes) -> bytes:
    """Undo ZIPS: zlib, differences of bytes, low and high bytes apart."""
    differences = np.frombuffer(zlib.decompress(data), np.uint8).astype(np.int64)
    differences[1:] -= 128
    apart = np.cumsum(differences).astype(np.uint8)
    half = (len(apart) + 1) // 2
    result = np.empty_like(apart)
    result[::2], result[1::2] = apart[:half], apart[half:]
    return result.tobytes()
