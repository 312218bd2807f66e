"""Sound that begins before zero in a Matroska file, by its codec's delay.

Matroska has no times before zero. But a track may have a CodecDelay (RFC 9559, section
5.1.4.1.25): its times count from that much earlier, and what comes before zero is not heard. PyAV
can set it on no stream; a stream made from one that has it has it too. So the track is put into a
Matroska file in memory, there gets its delay, and the output's stream is made from that.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any

import av
from av.audio.stream import AudioStream

from pipeline.metadata.ebml import TRACK_ENTRY, Element, children, find_tracks, renew_checksum

_NAME, _CODEC_DELAY, _VOID = 0x536E, 0x56AA, 0xEC
_ROOM = "(the delay of its codec is written in place of this)"
_NANOSECONDS = 10**9
_MILLISECONDS = 1000
_OPUS_PRE_SKIP = slice(10, 12)
"""Bytes of the header of Opus that say how many samples are not heard, at 48 kHz."""
_OPUS_RATE = 48_000


@contextmanager
def delayed(original: AudioStream, first: av.Packet[Any]) -> Iterator[AudioStream]:
    """Give a stream like another, to make one of that may begin with ``first``, before zero.

    The delay is in whole milliseconds, as Matroska's times are: else they would not agree.
    """
    assert first.pts is not None
    milliseconds = ceil(-first.pts * first.time_base * _MILLISECONDS)
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as trial:
        stream = trial.add_stream_from_template(original, opaque=True)
        if original.codec_context.codec.canonical_name == "opus" and stream.codec_context.extradata:
            header = bytearray(stream.codec_context.extradata)
            samples = milliseconds * _OPUS_RATE // _MILLISECONDS
            header[_OPUS_PRE_SKIP] = samples.to_bytes(2, "little")
            stream.codec_context.extradata = bytes(header)
        stream.metadata["title"] = _ROOM
        trial.start_encoding()
        first.pts = first.dts = 0
        first.stream = stream
        trial.mux(first)  # a file without packets does not open
    header = bytearray(file.getvalue())
    _write_delay(header, milliseconds * _NANOSECONDS // _MILLISECONDS)
    with av.open(io.BytesIO(header), "r") as container:
        yield container.streams.audio[0]


def _write_delay(header: bytearray, nanoseconds: int) -> None:
    tracks = find_tracks(header)
    entry = next(each for each in children(header, tracks) if each.id == TRACK_ENTRY)
    parts = {part.id: part for part in children(header, entry)}
    if _CODEC_DELAY in parts:
        _fill(header, parts[_CODEC_DELAY], b"")
    element = _CODEC_DELAY.to_bytes(2) + bytes([0x88]) + nanoseconds.to_bytes(8)
    _fill(header, parts[_NAME], element)
    renew_checksum(header, tracks)


def _fill(header: bytearray, place: Element, element: bytes) -> None:
    """Put an element in the place of a longer one, and nothing into the room that is left."""
    room = place.end - place.start - len(element)
    header[place.start : place.end] = element + bytes([_VOID, 0x80 | (room - 2)]) + bytes(room - 2)
