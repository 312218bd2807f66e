"""PNG files whose pixels are all there, made readable for Pillow, which refuses some of them.

What is damaged or too long beside the pixels gives way to a note, as in viewers; what is damaged in
the pixels is an error, which Pillow would show.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nst_core.errors import MediaError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LONGEST_TEXT = 2**20
"""Pillow's own limit, in bytes; it refuses a picture for it."""
_LARGEST_PROFILE = 2**26
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_NEEDED_TEXTS = (b"XML:com.adobe.xmp", b"Raw profile type exif")
"""Keywords of the texts that may say which way is up."""
_ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})
_PIXELS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"IEND"})
_LENGTHS = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4, b"pHYs": 9, b"acTL": 8, b"fcTL": 26}
_WORDS = {
    **dict.fromkeys(_TEXTS, "text"),
    **dict.fromkeys(_ANIMATION, "animation"),
    **dict.fromkeys((b"gAMA", b"cHRM", b"sRGB", b"cICP"), "description of its colours"),
    b"iCCP": "colour profile",
    b"eXIf": "EXIF",
    b"pHYs": "resolution",
    b"tIME": "time",
}


@dataclass(frozen=True)
class PngChunk:
    """A part of a PNG."""

    kind: bytes
    data: memoryview
    """Without length, kind and checksum."""
    whole: memoryview
    """With them."""
    is_intact: bool
    """Whether the checksum is right; True also where none is needed."""


@dataclass(frozen=True)
class ReadablePng:
    """A PNG for Pillow, and what was left out of it."""

    content: bytes
    chunks: Sequence[PngChunk]
    """Those that ``content`` has, and the colour profile even where it is too long for Pillow."""
    notes: tuple[str, ...]

    def first(self, kind: bytes) -> bytes | None:
        """Return the data of the first chunk of a kind."""
        return next((bytes(chunk.data) for chunk in self.chunks if chunk.kind == kind), None)

    def colour_profile(self) -> bytes | None:
        """Return the ICC profile; None where there is none or it cannot be unpacked."""
        packed = self.first(b"iCCP")
        if packed is None:
            return None
        unpacker = zlib.decompressobj()
        try:
            profile = unpacker.decompress(packed[packed.index(0) + 2 :], _LARGEST_PROFILE)
        except (ValueError, zlib.error):
            return None
        return profile if unpacker.eof else None


def is_png(content: bytes) -> bool:
    """Say whether the bytes begin as a PNG does."""
    return content.startswith(_SIGNATURE)


def readable_png(content: bytes) -> ReadablePng:
    """Leave out what Pillow would refuse a PNG for although its pixels are whole.

    Nothing is decoded. Raises MediaError for a wrong checksum of what the pixels depend on.
    """
    chunks = list(_chunks(content))
    notes: dict[str, None] = {}
    for chunk in chunks:
        if not chunk.is_intact and chunk.kind in _PIXELS - {b"IDAT", b"IEND"}:
            raise MediaError(f"the PNG is damaged: the checksum of {chunk.kind.decode()} is wrong")
    damaged = {chunk.kind for chunk in chunks if _is_damaged(chunk)}
    if damaged & _ANIMATION:
        damaged |= _ANIMATION
    notes |= dict.fromkeys(f"its {_words(kind)} is damaged: left out" for kind in sorted(damaged))
    kept = [chunk for chunk in chunks if chunk.kind not in damaged or not _is_damaged(chunk)]
    kept = [chunk for chunk in kept if chunk.kind not in damaged & _ANIMATION]
    long_texts = [chunk for chunk in kept if chunk.kind in _TEXTS and _is_long_text(chunk)]
    if long_texts:
        notes["a text of more than 1 MB is left out"] = None
    kept = [
        chunk for chunk in kept if not (chunk in long_texts or _is_text_that_nobody_needs(chunk))
    ]
    if not kept or kept[-1].kind != b"IEND":
        notes["the end of the file is missing"] = None
    written = [chunk for chunk in kept if not _is_long_profile(chunk)]
    if len(written) != len(chunks):
        content = b"".join([_SIGNATURE, *(chunk.whole for chunk in written)])
    return ReadablePng(content, tuple(kept), tuple(notes))


def check_pixels(png: ReadablePng) -> tuple[str, ...]:
    """Compare the checksums of the pixel data, and return notes of what was wrong with no harm.

    Pillow does not compare them, and shows what is damaged. Raises MediaError.
    """
    pieces = [chunk for chunk in png.chunks if chunk.kind == b"IDAT"]
    if all(chunk.is_intact for chunk in pieces):
        return ()
    if not _is_whole(b"".join(chunk.data for chunk in pieces), png.first(b"IHDR") or b""):
        raise MediaError("the PNG is damaged: a checksum of its pixels is wrong")
    return ("a checksum of the PNG is wrong, but another one says that its pixels are whole",)


def _chunks(content: bytes) -> Iterator[PngChunk]:
    """Yield what there is until IEND, or until the file ends or makes no sense any more."""
    start = len(_SIGNATURE)
    view = memoryview(content)
    while start + 8 <= len(content):
        kind = bytes(view[start + 4 : start + 8])
        data = start + 8
        end = data + int.from_bytes(view[start : start + 4], "big")
        if not kind.isalpha() or (end > len(content) and kind != b"IDAT"):
            return
        is_cut = end + 4 > len(content)  # nothing tells whether the last piece is right
        stored = int.from_bytes(view[end : end + 4], "big")
        is_intact = is_cut or kind == b"fdAT" or zlib.crc32(view[start + 4 : end]) == stored
        yield PngChunk(kind, view[data:end], view[start : end + 4], is_intact)
        if kind == b"IEND":
            return
        start = end + 4


def _is_damaged(chunk: PngChunk) -> bool:
    if chunk.kind in _PIXELS or chunk.kind[:1].isupper():
        return False
    return not chunk.is_intact or len(chunk.data) < _LENGTHS.get(chunk.kind, 0)


def _words(kind: bytes) -> str:
    return _WORDS.get(kind, kind.decode())


def _is_text_that_nobody_needs(chunk: PngChunk) -> bool:
    return chunk.kind in _TEXTS and not bytes(chunk.data[:80]).startswith(_NEEDED_TEXTS)


def _is_long_text(chunk: PngChunk) -> bool:
    if len(chunk.data) > _LONGEST_TEXT:
        return True
    packed = bytes(chunk.data)
    if chunk.kind == b"zTXt":
        packed = packed[packed.find(0) + 2 :]
    elif chunk.kind == b"iTXt":
        rest = packed.partition(b"\0")[2]
        packed = rest[2:].split(b"\0", 2)[-1] if rest[:1] == b"\1" else b""
    else:
        return False
    return _unpacks_beyond(packed, _LONGEST_TEXT)


def _is_long_profile(chunk: PngChunk) -> bool:
    if chunk.kind != b"iCCP":
        return False
    packed = bytes(chunk.data)
    return _unpacks_beyond(packed[packed.find(0) + 2 :], _LONGEST_TEXT)


def _unpacks_beyond(packed: bytes, limit: int) -> bool:
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(packed, limit)
    except zlib.error:
        return False
    return bool(unpacker.unconsumed_tail)


def _is_whole(packed: bytes, header: bytes) -> bool:
    """Say whether the pixel data unpack to their end and fit their own checksum."""
    width, height = (int.from_bytes(header[start : start + 4], "big") for start in (0, 4))
    left = 16 * (width + 8) * (height + 8)  # more than any depth and interlacing takes
    unpacker = zlib.decompressobj()
    try:
        while left > 0 and not unpacker.eof:
            piece = unpacker.decompress(packed, _LONGEST_TEXT)
            packed, left = unpacker.unconsumed_tail, left - len(piece)
            if not piece and not packed:
                return unpacker.eof
    except zlib.error:
        return False
    return unpacker.eof
