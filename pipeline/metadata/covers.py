"""Covers: pictures of a film as a whole. Matroska holds them among its attachments."""

from __future__ import annotations

from av.stream import Disposition, Stream

COVER_TYPES = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}
"""File names and media types by which players find a cover, by its codec."""


def is_cover(stream: Stream) -> bool:
    """Whether it is a picture of the film as a whole, not one of its frames or its chapters."""
    is_attached = bool(stream.disposition & Disposition.attached_pic)
    return is_attached and not stream.disposition & Disposition.timed_thumbnails
