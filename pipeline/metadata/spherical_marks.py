"""Marks of spherical (360 degree) and stereo films, from source to output.

PyAV can set neither on a stream. But a stream made from another one has its marks: so the first
piece is put into a Matroska file in memory, there marked, and the output's stream made from that.
"""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path
from typing import IO

import av

from pipeline.metadata.matroska_aspect import put_into_video
from pipeline.source.first_frame import first_frame, side_data
from pipeline.source.media_file import film_streams, open_source
from pipeline.source.source_video import VideoStreamInfo

_SPHERICAL = struct.Struct("<i3i4I")
"""FFmpeg's AVSphericalMapping: projection, yaw, pitch, roll, bounds at left, top, right, bottom."""
_STEREO = struct.Struct("<2I")
"""The start of its AVStereo3D: arrangement of the views, and whether they are exchanged."""
_STEREO_MODES = {
    1: ("left_right", "right_left"),
    2: ("top_bottom", "bottom_top"),
    4: ("checkerboard_lr", "checkerboard_rl"),
    6: ("row_interleaved_lr", "row_interleaved_rl"),
    7: ("col_interleaved_lr", "col_interleaved_rl"),
}
_WIDER = {1: Fraction(1, 2), 7: Fraction(1, 2), 2: Fraction(2), 6: Fraction(2)}
"""Views side by side, or column by column; one above the other, or row by row."""
_EQUIRECTANGULAR, _CUBEMAP, _TILE = 0, 1, 2
_PROJECTION, _TYPE, _PRIVATE = 0x7670, 0x7671, 0x7672
_YAW, _PITCH, _ROLL = 0x7673, 0x7674, 0x7675
_ROOM = "(the projection of a spherical film is written in place of this)"
"""Longer than the element, and no longer than the one around it can be."""
_HEADER_BYTES = 1 << 20
_BOX = struct.Struct(">I4s")


def marked(piece: Path, stream: VideoStreamInfo) -> IO[bytes]:
    """A Matroska file with the piece's packets and the stream's marks, as far as it has them."""
    file = io.BytesIO()
    with av.open(str(piece)) as original, av.open(file, "w", format="matroska") as copy:
        video = original.streams.video[0]
        new = copy.add_stream_from_template(video, opaque=True)
        new.metadata["title"] = _ROOM
        if mode := _stereo_mode(stream.stereo):
            new.metadata["stereo_mode"] = mode
        for packet in original.demux(video):
            if packet.size:
                packet.stream = new
                copy.mux(packet)
    if projection := _projection(stream.spherical):
        put_into_video(file, projection, placeholder=_ROOM)
    file.seek(0)
    return file


def display_factor(stereo: bytes | None) -> Fraction:
    """By how much Matroska makes pictures wider for their height: it tells of one eye's view."""
    arrangement = _STEREO.unpack_from(stereo)[0] if stereo else 0
    return _WIDER.get(arrangement, Fraction(1))


def hide_unspecific_boxes(path: Path) -> None:
    """Rename the box ``vexu`` of an mp4: it says less than those before it, and is read last."""
    with path.open("r+b") as file:
        header = file.read(_HEADER_BYTES)
        starts = [header.find(name) - 4 for name in (b"st3d", b"sv3d")]
        place = min((start for start in starts if start >= 0), default=len(header))
        while place <= len(header) - _BOX.size:
            size, name = _BOX.unpack_from(header, place)
            if name == b"vexu":
                file.seek(place + 4)
                file.write(b"free")
            if name not in (b"st3d", b"sv3d") or size < _BOX.size:
                return
            place += size


def words_for_lost_marks(stream: VideoStreamInfo, written: Path, place: int) -> list[str]:
    """Say which marks the written file's stylized stream, one of its films, does not have."""
    if not (stream.spherical or stream.stereo):
        return []
    with open_source(written) as container:
        frame = first_frame(container, film_streams(container)[place])
    found = [None if frame is None else side_data(frame, n) for n in ("SPHERICAL", "STEREO3D")]
    lines = []
    if stream.spherical and _start(_SPHERICAL, found[0]) != _start(_SPHERICAL, stream.spherical):
        lines.append("its mark of a spherical (360 degree) film is left out")
    if stream.stereo and _start(_STEREO, found[1]) != _start(_STEREO, stream.stereo):
        lines.append("its mark of a stereo (3D) film is left out")
    return lines


def _start(layout: struct.Struct, data: bytes | None) -> tuple[int, ...] | None:
    return None if data is None or len(data) < layout.size else layout.unpack_from(data)


def _stereo_mode(stereo: bytes | None) -> str | None:
    """Matroska's name of an arrangement; None: it has none."""
    if stereo is None:
        return None
    arrangement, exchanged = _STEREO.unpack_from(stereo)
    modes = _STEREO_MODES.get(arrangement)
    return modes[exchanged & 1] if modes else None


def _projection(spherical: bytes | None) -> bytes:
    """Matroska's element (RFC 9559, 5.1.4.1.28.41); empty for what it cannot say."""
    if spherical is None:
        return b""
    projection, yaw, pitch, roll, left, top, right, bottom = _SPHERICAL.unpack_from(spherical)
    if projection in (_EQUIRECTANGULAR, _TILE):
        kind, private = 1, struct.pack(">5I", 0, top, bottom, left, right)
    elif projection == _CUBEMAP:
        kind, private = 2, bytes(12)
    else:
        return b""
    parts = _element(_TYPE, bytes([kind])) + _element(_PRIVATE, private)
    for number, angle in ((_YAW, yaw), (_PITCH, pitch), (_ROLL, roll)):
        parts += _element(number, struct.pack(">f", angle / 65_536))
    return _element(_PROJECTION, parts)


def _element(number: int, data: bytes) -> bytes:
    return number.to_bytes(2) + bytes([0x80 | len(data)]) + data
