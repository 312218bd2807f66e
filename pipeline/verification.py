"""Proof that an output has lost nothing: it is read again and compared with its source."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from pipeline.reassembly import CopyPlan
from pipeline.source_video import SourceVideo, main_video_stream, open_source

_COPIED_KINDS = frozenset({"audio", "subtitle", "video"})
"""Not data: mp4 and mov write streams of their own for chapters and timecode. Not attachments:
they have no packets."""


@dataclass(frozen=True)
class Verified:
    """What the written file, read again, was found to have."""

    frame_count: bool
    """As many frames as the pieces had."""
    pts: bool
    """Every frame at the time of its source frame, to the nearest tick of the output."""
    copied_streams: bool
    """Every copied stream with the bytes and times of the source, packet for packet."""

    @property
    def everything(self) -> bool:
        """Whether all holds."""
        return self.frame_count and self.pts and self.copied_streams


@dataclass
class _Stream:
    """One stream as a reader finds it."""

    kind: str
    codec: str
    time_base: Fraction
    packets: int = 0
    pts: list[int] = field(default_factory=list)
    """In ticks, in the order of the file; packets without one are left out."""
    digest: Any = field(default_factory=hashlib.sha256)

    def seconds(self) -> list[Fraction]:
        return [pts * self.time_base for pts in self.pts]


def verify(
    source: SourceVideo, expected_pts: Sequence[int], copies: CopyPlan, output: Path
) -> Verified:
    """Compare ``output`` with its source; ``expected_pts`` are the frames it should show.

    A container that cannot hold times before zero (mkv) may let all streams start later by one
    and the same span; then they still keep their times among each other.
    """
    with open_source(output) as container:
        video_index = main_video_stream(container, output).index
    written = _read_streams(output, payload_not_of=video_index)
    originals = _read_streams(source.path, payload_not_of=source.stream_index)
    video = written.pop(video_index)
    before = [originals[index] for index in copies.stream_indices]
    before = [stream for stream in before if stream.kind in _COPIED_KINDS]
    after = [stream for stream in written.values() if stream.kind in _COPIED_KINDS]

    expected = [pts * source.info.time_base for pts in sorted(expected_pts)]
    first = min([*expected[:1], *(min(s.seconds()) for s in before if s.pts)], default=Fraction(0))
    shift = _shift(expected, sorted(video.seconds()), earliest=first)
    return Verified(
        frame_count=len(video.pts) == len(expected) == video.packets,
        pts=_same_times(expected, sorted(video.seconds()), shift, video.time_base),
        copied_streams=len(before) == len(after)
        and all(_same_stream(a, b, shift) for a, b in zip(before, after, strict=True)),
    )


def _shift(expected: list[Fraction], found: list[Fraction], *, earliest: Fraction) -> Fraction:
    """How much later everything may be: what lay before zero, if it has been moved to zero."""
    if not expected or not found or earliest >= 0:
        return Fraction(0)
    moved = abs(found[0] - expected[0]) > -earliest / 2
    return -earliest if moved else Fraction(0)


def _same_times(
    expected: list[Fraction], found: list[Fraction], shift: Fraction, tick: Fraction
) -> bool:
    """Equal to the nearest tick of the output; a shift is itself rounded to one."""
    tolerance = tick if shift else tick / 2
    return len(expected) == len(found) and all(
        abs(b - a - shift) <= tolerance for a, b in zip(expected, found, strict=True)
    )


def _same_stream(original: _Stream, copy: _Stream, shift: Fraction) -> bool:
    return (
        (original.kind, original.packets) == (copy.kind, copy.packets)
        and original.digest.digest() == copy.digest.digest()
        and _same_times(original.seconds(), copy.seconds(), shift, copy.time_base)
    )


def _read_streams(path: Path, *, payload_not_of: int) -> dict[int, _Stream]:
    """Every stream of a file; the payload of one of them is not hashed."""
    with open_source(path) as container:
        streams = {
            stream.index: _Stream(
                stream.type,
                stream.codec_context.name if stream.codec_context else "",
                stream.time_base or Fraction(1),
            )
            for stream in container.streams
        }
        try:
            for packet in container.demux():
                if not packet.size:
                    continue
                stream = streams[packet.stream_index]
                stream.packets += 1
                if packet.pts is not None:
                    stream.pts.append(packet.pts)
                if packet.stream_index != payload_not_of:
                    stream.digest.update(_payload(bytes(packet), stream.codec))
        except av.FFmpegError:
            pass  # cut short: what is missing shows in the numbers
    return streams


def _payload(data: bytes, codec: str) -> bytes:
    """The packet without its ADTS header, which MPEG-TS has and mp4 and mkv leave out."""
    is_adts = codec == "aac" and data[:1] == b"\xff" and data[1] & 0xF6 == 0xF0
    if not is_adts:
        return data
    return data[7:] if data[1] & 1 else data[9:]  # the last bit says that there is no checksum
