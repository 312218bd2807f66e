"""What kind of file one is, by its first bytes: enough to name the command that takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

FileKind = Literal["picture", "video"]

_BYTES_READ = 400
_PICTURES = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM"),
    *(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
)
_VIDEOS = (
    *(b"\x1aE\xdf\xa3", b"FLV\x01", b"OggS", b"YUV4MPEG2", b".RMF", b"\x06\x0e+4"),
    *(b"\0\0\x01\xba", b"\0\0\x01\xb3", b"0&\xb2u\x8ef\xcf\x11"),
)
_PICTURE_BRANDS = (b"hei", b"hev", b"mif1", b"avif")
_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_TS_PACKETS = (188, 192, 204)


def kind_of(path: Path) -> FileKind | None:
    """Return whether a file is a picture or a video; None for others, and for what is no file.

    An animation that pictures' formats hold, such as a GIF, is a picture.
    """
    if not path.is_file():  # a pipe would have to be waited for
        return None
    try:
        with path.open("rb") as file:
            return kind_of_content(file.read(_BYTES_READ))
    except OSError:
        return None


def kind_of_content(content: bytes) -> FileKind | None:
    """Return what ``kind_of`` does, of a file's first few hundred bytes or all of them."""
    start = content[:_BYTES_READ]
    if start.startswith(_PICTURES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP"):
        return "picture"
    if start[4:8] == b"ftyp" and start[8:12].startswith(_PICTURE_BRANDS):
        return "picture"
    is_video = (
        start.startswith(_VIDEOS)
        or (start[:4] == b"RIFF" and start[8:12] == b"AVI ")
        or (start[4:8] in _ATOMS)
        or any(_is_transport_stream(start, length) for length in _TS_PACKETS)
    )
    return "video" if is_video else None


def _is_transport_stream(start: bytes, packet: int) -> bool:
    """Packets begin with a mark; Blu-ray's have four bytes before it."""
    first = 4 if packet == 192 else 0
    return start[first : first + 1] == b"G" == start[first + packet : first + packet + 1]
