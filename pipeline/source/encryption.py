"""Whether a film is encrypted, by what its container says: decoders would take it for damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from nst_core.errors import VerificationError
from pipeline.metadata.ebml import LARGEST_HEADER, TRACK_ENTRY, Element, children, find_tracks

_MATROSKA = b"\x1a\x45\xdf\xa3"
_CONTENT_ENCODINGS, _CONTENT_ENCODING, _CONTENT_ENCRYPTION = 0x6D80, 0x6240, 0x5035
_BOXES = frozenset({b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"})
"""One of them begins a file of mp4 or mov."""
_OUTER_BOXES = frozenset({b"trak", b"mdia", b"minf", b"stbl"})
_ENCRYPTED_SAMPLES = frozenset({b"encv", b"enca", b"enct", b"encs", b"drmi", b"drms"})
"""Sample entries of common encryption, and of FairPlay."""
_LARGEST_MOOV = 512 << 20
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_ENCRYPTION = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
    bytes.fromhex("338505438169e6499b74ad12cb86d58c"),
)
"""Content encryption, its extended and its advanced object."""
_TS_PACKETS = {188: 0, 192: 4}
"""Lengths of a transport stream's packets, and where in each its sync byte lies."""
_FIRST_FREE_PID, _NO_PID = 0x20, 0x1FFF
_PACK, _SECTOR = b"\x00\x00\x01\xba", 2048
_LOOKED_AT = 2 << 20
_MOST_SCRAMBLED = 0.1
"""Largest share of scrambled packets in a file that is not encrypted. Damage scrambles fewer."""


def encryption(path: Path) -> str | None:
    """Name what encrypts a file's sound or picture; None: nothing, as far as can be told.

    Knows mp4, mov, Matroska, ASF, MPEG-TS and the program streams of DVDs.
    """
    if not path.is_file():
        return None
    with suppress(IndexError, VerificationError, OSError), path.open("rb") as file:
        start = file.read(16)
        file.seek(0)
        if start[4:8] in _BOXES:
            return _of_boxes(file)
        if start.startswith(_MATROSKA):
            return _of_matroska(bytearray(file.read(LARGEST_HEADER)))
        if start == _ASF:
            header = file.read(min(LARGEST_HEADER, _asf_size(file)))
            return "ASF" if any(object_id in header for object_id in _ASF_ENCRYPTION) else None
        return _of_mpeg(file.read(_LOOKED_AT))
    return None


def _of_boxes(file: BinaryIO) -> str | None:
    """Look through the sample entries of an mp4 or mov."""
    place = 0
    while len(header := file.read(16)) >= 8:
        size = int.from_bytes(header[:4])
        if size == 1:
            size = int.from_bytes(header[8:])
        if header[4:8] == b"moov":
            file.seek(place)
            movie = file.read(min(size or _LARGEST_MOOV, _LARGEST_MOOV))
            kinds = set(_sample_kinds(movie, 8, len(movie)))
            found = sorted(kinds & _ENCRYPTED_SAMPLES)
            return ", ".join(kind.decode() for kind in found) or None
        if size < 8:
            return None
        place += size
        file.seek(place)
    return None


def _sample_kinds(data: bytes, start: int, end: int) -> Iterator[bytes]:
    while start + 8 <= end:
        size, kind = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8]
        if size < 8:
            return
        if kind in _OUTER_BOXES:
            yield from _sample_kinds(data, start + 8, min(end, start + size))
        elif kind == b"stsd":  # version, flags and a count come before its entries
            for place, _ in _entries(data, start + 16, min(end, start + size)):
                yield data[place + 4 : place + 8]
        start += size


def _entries(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start + 8 <= end and (size := int.from_bytes(data[start : start + 4])) >= 8:
        yield start, size
        start += size


def _of_matroska(header: bytearray) -> str | None:
    def all_of(parents: list[Element], kind: int) -> list[Element]:
        return [part for parent in parents for part in children(header, parent) if part.id == kind]

    found = [find_tracks(header)]
    for kind in (TRACK_ENTRY, _CONTENT_ENCODINGS, _CONTENT_ENCODING, _CONTENT_ENCRYPTION):
        found = all_of(found, kind)
    return "Matroska's ContentEncryption" if found else None


def _asf_size(file: BinaryIO) -> int:
    size = int.from_bytes(file.read(24)[16:], "little")
    file.seek(0)
    return size


def _of_mpeg(data: bytes) -> str | None:
    """Count the packets of a transport or a program stream that are marked as scrambled."""
    scrambled = carrying = 0
    for is_scrambled in (*_ts_packets(data), *_dvd_sectors(data)):
        carrying += 1
        scrambled += is_scrambled
    return "scrambled MPEG" if scrambled > _MOST_SCRAMBLED * carrying else None


def _ts_packets(data: bytes) -> Iterator[bool]:
    for length, offset in _TS_PACKETS.items():
        heads = [data[place : place + 4] for place in range(offset, len(data) - 4, length)]
        if len(heads) > 1 and all(head[0] == 0x47 for head in heads[:5]):
            for head in heads:
                pid = int.from_bytes(head[1:3]) & 0x1FFF
                if _FIRST_FREE_PID <= pid < _NO_PID and head[3] & 0x10:
                    yield head[3] & 0x80 != 0
            return


def _dvd_sectors(data: bytes) -> Iterator[bool]:
    for start in range(0, len(data) - _SECTOR + 1, _SECTOR):
        if data[start : start + 4] != _PACK:
            return
        stream = start + 14 + (data[start + 13] & 7)
        if data[stream + 3] >= 0xBD and data[stream + 6] & 0xC0 == 0x80:
            yield data[stream + 6] & 0x30 != 0
