"""ICC profiles written by hand after ICC.1:2001-04, and the colours that they mean."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

D50 = np.array([0.9642, 1.0, 0.8249])
_D65_XY = (0.3127, 0.3290)
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
SRGB_XY = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
DISPLAY_P3_XY = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE_RGB_XY = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
ADOBE_GAMMA = 563 / 256
INK_LAB = {
    inks: (100.0 * (1 - 0.25 * sum(inks[:3])) * (1 - inks[3]), 30.0 * inks[1] - 20.0 * inks[0], 0.0)
    for inks in itertools.product((0, 1), repeat=4)
}
"""What a made-up press prints (L*, a*, b*) of each full combination of cyan, magenta, yellow and
black. Black is L* = 0: black point compensation has nothing to do."""


def srgb_decoded(encoded: Array) -> Array:
    """IEC 61966-2-1: 0..1 as stored to 0..1 linear."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def srgb_encoded(linear: Array) -> Array:
    """IEC 61966-2-1: 0..1 linear to 0..1 as stored; clipped."""
    linear = linear.clip(0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def rgb_to_xyz(primaries: tuple[tuple[float, float], ...]) -> Array:
    """Matrix from linear RGB with a white of D65 to XYZ adapted to D50 (Bradford)."""
    xyz = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    x, y = _D65_XY
    white = np.array([x / y, 1.0, (1 - x - y) / y])
    scaled = xyz * np.linalg.solve(xyz, white)
    gains = np.diag((_BRADFORD @ D50) / (_BRADFORD @ white))
    adapted: Array = np.linalg.inv(_BRADFORD) @ gains @ _BRADFORD @ scaled
    return adapted


def xyz_to_srgb(xyz: Array) -> Array:
    """... x 3 adapted to D50 to 0..255 of sRGB, unrounded."""
    return 255 * srgb_encoded(xyz @ np.linalg.inv(rgb_to_xyz(SRGB_XY)).T)


def lab_to_srgb(lab: tuple[float, float, float]) -> Array:
    """CIE L*a*b* of D50 to 0..255 of sRGB, unrounded."""
    y = (lab[0] + 16) / 116
    ratios = np.array([y + lab[1] / 500, y, y - lab[2] / 200])
    cubes = np.where(ratios > 6 / 29, ratios**3, 3 * (6 / 29) ** 2 * (ratios - 4 / 29))
    return xyz_to_srgb(cubes * D50)


def in_display_p3(srgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same colours as stored in a picture of Display P3."""
    xyz = srgb_decoded(srgb / 255) @ rgb_to_xyz(SRGB_XY).T
    encoded = srgb_encoded(xyz @ np.linalg.inv(rgb_to_xyz(DISPLAY_P3_XY)).T)
    return (255 * encoded).round().astype(np.uint8)


def rgb_profile(
    primaries: tuple[tuple[float, float], ...], curve: Callable[[Array], Array] | float
) -> bytes:
    """A matrix profile; ``curve`` is a gamma or goes from 0..1 as stored to 0..1 linear."""
    tags = {b"wtpt": _xyz(D50)}
    for channel, column in zip(b"rgb", rgb_to_xyz(primaries).T, strict=True):
        tags[bytes([channel]) + b"XYZ"] = _xyz(column)
        tags[bytes([channel]) + b"TRC"] = _curve(curve)
    return _profile(b"RGB ", b"mntr", b"XYZ ", tags)


def grey_profile(gamma: float) -> bytes:
    """A grey profile with a plain gamma."""
    return _profile(b"GRAY", b"mntr", b"XYZ ", {b"wtpt": _xyz(D50), b"kTRC": _curve(gamma)})


def cmyk_profile() -> bytes:
    """The profile of ``INK_LAB``: a table of two values an ink, linear between them."""
    line = bytes(range(256))
    table = b"".join(
        struct.pack("3B", round(lightness * 2.55), round(a + 128), round(b + 128))
        for _, (lightness, a, b) in sorted(INK_LAB.items())
    )
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + 4 * line + table + 3 * line
    return _profile(b"CMYK", b"prtr", b"Lab ", {b"wtpt": _xyz(D50), b"A2B0": lut})


def _profile(space: bytes, kind: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    text = b"test\0"
    description = struct.pack(">4s4xI", b"desc", len(text)) + text + bytes(78)
    tags = {b"desc": description, b"cprt": b"text\0\0\0\0" + text, **tags}
    offset = 128 + 4 + 12 * len(tags)
    directory, data = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        directory += struct.pack(">4sII", name, offset + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    size = offset + len(data)
    header = struct.pack(">I4xI4s4s4s", size, 0x02400000, kind, space, connection)
    header += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp").ljust(44, b"\0") + _s15(D50)
    return header.ljust(128, b"\0") + directory + data


def _s15(values: Array) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(float(value) * 65536) for value in values))


def _xyz(values: Array) -> bytes:
    return b"XYZ \0\0\0\0" + _s15(values)


def _curve(curve: Callable[[Array], Array] | float) -> bytes:
    if not callable(curve):
        return struct.pack(">4s4xIH", b"curv", 1, round(curve * 256))
    samples = (curve(np.linspace(0, 1, 1024)) * 65535).round().astype(">u2")
    return struct.pack(">4s4xI", b"curv", len(samples)) + samples.tobytes()
