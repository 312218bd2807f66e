"""ICC profiles (ICC.1:2001-04) of RGB spaces that a file describes by numbers alone."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
"""x and y of CIE 1931."""

_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def rgb_profile(
    primaries: tuple[Point, Point, Point], white: Point, curve: NDArray[np.float64]
) -> bytes:
    """Return a matrix profile.

    ``curve`` has 2 to 65535 samples: light of 0..1 for signals from 0 to 1, evenly spaced. Raises
    ValueError for points that span no colours.
    """
    tags = {b"desc": _description(), b"cprt": b"text\0\0\0\0nst\0", b"wtpt": _xyz(_D50)}
    samples = (curve.clip(0, 1) * 65535).round().astype(">u2")
    response = struct.pack(">4s4xI", b"curv", len(samples)) + samples.tobytes()
    for channel, column in zip((b"r", b"g", b"b"), _to_d50(primaries, white).T, strict=True):
        tags[channel + b"XYZ"] = _xyz(column)
        tags[channel + b"TRC"] = response
    return _file(tags)


def _to_d50(primaries: tuple[Point, Point, Point], white: Point) -> NDArray[np.float64]:
    """Return the matrix from linear RGB to XYZ, adapted to D50 (Bradford)."""
    if min(y for _, y in (*primaries, white)) <= 0:
        raise ValueError(f"primaries {primaries} and white {white} are no colours")
    columns = np.array([_of_point(point) for point in primaries]).T
    light = _of_point(white)
    try:
        scaled = columns * np.linalg.solve(columns, light)
    except np.linalg.LinAlgError as error:
        raise ValueError(f"primaries {primaries} span no colours") from error
    gains = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ light))
    adapted: NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ gains @ _BRADFORD @ scaled
    if np.abs(adapted).max() > 100:  # what the profile's numbers hold, amply
        raise ValueError(f"primaries {primaries} span hardly any colours")
    return adapted


def _of_point(point: Point) -> NDArray[np.float64]:
    x, y = point
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _file(tags: dict[bytes, bytes]) -> bytes:
    offset = 128 + 4 + 12 * len(tags)
    directory, data = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        directory += struct.pack(">4sII", name, offset + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    head = struct.pack(">I4xI4s4s4s", offset + len(data), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp").ljust(44, b"\0") + _fixed(_D50)
    return head.ljust(128, b"\0") + directory + data


def _description() -> bytes:
    text = b"as the file describes it\0"
    return struct.pack(">4s4xI", b"desc", len(text)) + text + bytes(78)


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _fixed(values: NDArray[np.float64]) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(float(value) * 65536) for value in values))
