"""Sound that Matroska holds under its Windows header: WMA, ADPCM, A-law, LATM and others.

FFmpeg's muxer writes such tracks (A_MS/ACM, a WAVEFORMATEX as their private data), but PyAV lets no
stream through that Matroska has no name of its own for. So the track is written as one of PCM, with
the header as its private data, and gets its name afterwards, in the same place. Nothing moves.
"""

from __future__ import annotations

import io
from typing import BinaryIO

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer

from pipeline.conversion.channel_layouts import layout_of, told_layout
from pipeline.metadata.ebml import (
    LARGEST_HEADER,
    TRACK_ENTRY,
    children,
    find_tracks,
    renew_checksum,
)

_CODEC_ID, _CODEC_PRIVATE = 0x86, 0x63A2
_STAND_IN, _NAME = b"A_PCM/INT/LIT", b"A_MS/ACM"
"""FFmpeg's tracks of PCM have no private data: so one that has is a stand-in."""
_CHUNK = b"fmt "


def add_acm(result: OutputContainer, original: AudioStream) -> AudioStream:
    """Add a track for the packets of a stream.

    Raises ValueError or av.FFmpegError where FFmpeg knows no Windows header for it.
    """
    header = _windows_header(original)
    context = original.codec_context
    stream = result.add_stream("pcm_s16le", rate=context.sample_rate)
    stream.codec_context.layout = told_layout(layout_of(context))
    stream.codec_context.extradata = header
    return stream


def name_acm_tracks(file: BinaryIO) -> None:
    """Give the tracks that ``add_acm`` has added their name, in a file that has been written."""
    file.seek(0)
    header = bytearray(file.read(LARGEST_HEADER))
    tracks = find_tracks(header)
    for entry in children(header, tracks):
        if entry.id != TRACK_ENTRY:
            continue
        parts = {part.id: part for part in children(header, entry)}
        name = parts.get(_CODEC_ID)
        if not name or _CODEC_PRIVATE not in parts:
            continue
        if header[name.data_start : name.end] == _STAND_IN:  # zeros end a name
            header[name.data_start : name.end] = _NAME.ljust(len(_STAND_IN), b"\0")
    renew_checksum(header, tracks)
    file.seek(tracks.start)
    file.write(header[tracks.start : tracks.end])


def _windows_header(original: AudioStream) -> bytes:
    """WAVEFORMATEX, as FFmpeg writes it into a WAV file."""
    written = io.BytesIO()
    with av.open(written, "w", format="wav") as trial:
        trial.add_stream_from_template(original, opaque=True)
        trial.start_encoding()
    data = written.getvalue()
    start = data.index(_CHUNK) + len(_CHUNK)
    length = int.from_bytes(data[start : start + 4], "little")
    return data[start + 4 : start + 4 + length]
