"""Numbered pictures written from pieces, and read again: each packet of a piece is a whole file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from nst_core.errors import MediaError
from pipeline.assembly.reassembly import CopyReport
from pipeline.assembly.verification import Verified
from pipeline.numbered.names import Numbering
from pipeline.segments.task import KeptResult
from pipeline.source.source_video import SourceVideo


def numbers_of(source: SourceVideo, pts: Sequence[int]) -> list[int]:
    """Return the numbers of frames by their times: those of numbered pictures, else from 1 on."""
    if source.pictures is None:
        return [int(place) + 1 for place in np.searchsorted(source.packets.shown_pts, pts)]
    places = np.searchsorted(source.packets.pts, pts)
    return [source.pictures.numbers[place] for place in places]


def write_pictures(
    source: SourceVideo, pieces: Sequence[KeptResult], folder: Path, numbering: Numbering
) -> CopyReport:
    """Write every frame of the pieces into ``folder``, which is made.

    Raises MediaError where nothing could be decoded.
    """
    folder.mkdir()
    is_empty = True
    for piece in pieces:
        for name, data in _named(source, piece, numbering):
            (folder / name).write_bytes(data)
            is_empty = False
    if is_empty:
        raise MediaError(f"{source.path}: not one frame could be decoded")
    return CopyReport()


def verify_pictures(
    source: SourceVideo, pieces: Sequence[KeptResult], folder: Path, numbering: Numbering
) -> Verified:
    """Read the pictures again and compare them with the pieces, name by name."""
    found = {path.name for path in folder.iterdir()}
    frames, is_same = 0, True
    for piece in pieces:
        for name, data in _named(source, piece, numbering):
            frames += 1
            path = folder / name
            is_same = is_same and name in found and path.read_bytes() == data
    return Verified(frame_count=len(found) == frames, pts=is_same, copied_streams=True)


def _named(source: SourceVideo, piece: KeptResult, numbering: Numbering) -> list[tuple[str, bytes]]:
    """Return the pictures of a piece by their names."""
    if piece.piece is None:
        return []
    with av.open(str(piece.piece)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    names = [numbering.path(number).name for number in numbers_of(source, piece.pts)]
    return list(zip(names, packets, strict=True))
