"""What must become of a picture under ``--format same`` and the style ``identity``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from tests.kit.picture_bytes import Pixels

LOSSLESS, LOSSY, CRUDE = 3, 14, 40
"""Tolerances in levels of 255 at the middle of a quarter: rounding of colour spaces; quantisation
of the discrete cosine; sixteen colours, or one bit."""
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Expected:
    """What must become of a file."""

    fails: bool = False
    reason: str = ""
    """Words of the failure; empty where the system words it."""
    width: int = 0
    height: int = 0
    mode: Literal["RGB", "RGBA", "P", ""] = ""
    """Mode of the output, as Pillow opens it."""
    profile: Literal["none", "srgb", "own"] = "none"
    """None in the output; one of sRGB in place of another; or that of the input, byte for byte."""
    probes: tuple[tuple[int, int, int], ...] = ()
    """Colours at the points of ``probe_points``; empty where the format loses them."""
    tolerance: int = 0
    is_unreadable: bool = False
    """Has no permissions: it fails, except for root, who may read it."""


@dataclass(frozen=True)
class AwkwardFile:
    """A file to write, by its name in the folder."""

    name: str
    content: bytes
    expected: Expected


def probe_points(width: int, height: int) -> tuple[tuple[int, int], ...]:
    """The middles of the four quarters as (x, y)."""
    xs, ys = (width // 4, width - 1 - width // 4), (height // 4, height - 1 - height // 4)
    return tuple((x, y) for y in ys for x in xs)


def mistake(output: Path, source: Path, expected: Expected) -> str:
    """Say what is wrong with the picture made from ``source`` by identity; empty for nothing."""
    with Image.open(output) as image:
        found = (*image.size, image.mode)
        if found != (expected.width, expected.height, expected.mode):
            return f"{found}, expected {expected}"
        if image.getexif().get(_ORIENTATION, 1) != 1:
            return "still has an orientation"
        profile = image.info.get("icc_profile")
        rgb = image.convert("RGB")
    kind = "none"
    if profile is not None:
        with Image.open(source) as image:
            kind = "own" if profile == image.info.get("icc_profile") else "srgb"
    if kind != expected.profile:
        return f"profile: {kind}, expected {expected.profile}"
    for point, colour in zip(probe_points(*rgb.size), expected.probes, strict=False):
        pixel = np.asarray(rgb.getpixel(point), dtype=int)
        if np.abs(pixel - colour).max() > expected.tolerance:
            return f"{pixel} at {point}, expected {colour}"
    return ""


def comes_out(pixels: Pixels, *, tolerance: int, **other: Any) -> Expected:
    """The file becomes a picture that shows ``pixels``, H x W x 3, with other fields as given."""
    height, width, _ = pixels.shape
    corners = (pixels[y, x] for x, y in probe_points(width, height))
    probes = tuple((int(red), int(green), int(blue)) for red, green, blue in corners)
    expected = Expected(width=width, height=height, mode="RGB", probes=probes, tolerance=tolerance)
    return replace(expected, **other)


def it_fails(reason: str) -> Expected:
    """The file is reported as failed, in these words among others."""
    return Expected(fails=True, reason=reason)
