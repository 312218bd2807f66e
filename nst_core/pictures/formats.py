"""Picture files by their endings, and how large they may be; light to import."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

MAX_PIXELS = 200_000_000
"""Pixels of the largest picture that is decoded: 0.6 GB of RGB, whatever a header claims."""

PICTURE_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
        **dict.fromkeys((".png", ".apng"), "PNG"),
        **dict.fromkeys((".tif", ".tiff"), "TIFF"),
        **dict.fromkeys((".heic", ".heif"), "HEIF"),
        ".webp": "WEBP",
        ".bmp": "BMP",
        ".gif": "GIF",
        ".avif": "AVIF",
    }
)
"""The endings of picture files, in lower case, with Pillow's names of their formats."""
PICTURE_SUFFIXES = frozenset(PICTURE_FORMATS)
"""The endings by which folders are searched for pictures."""
