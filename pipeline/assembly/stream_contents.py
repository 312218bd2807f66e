"""What a stream holds, so that a stream and its copy in another container can be compared.

Muxers may cut anew what they are given: PCM sound into packets of other lengths, the segments of a
subtitle's picture into one packet, NAL units after start codes into units after lengths. So the
bytes are compared joined, and the times of every byte, not packet by packet.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from typing import Any, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.stream import Stream
from av.subtitles.stream import SubtitleStream
from numpy.typing import NDArray

from pipeline.conversion.sound import SampleReader
from pipeline.conversion.subtitle_text import TEXT_SOURCES, TextReader, show_alike
from pipeline.metadata.covers import is_cover

_NO_TEXT = 2
"""Bytes of a mov_text packet that shows nothing: a length of zero."""
_COVER = "cover"
"""Compared by its bytes alone: containers place it anywhere and give it no time."""
_CUT_ANEW = frozenset({"hdmv_pgs_subtitle"})
"""Codecs beside sound whose packets a muxer may join."""
UNEVEN_SECONDS = Fraction(1, 1000)
"""By how much the times of sound that is cut anew may differ: some containers count whole
milliseconds, others count samples."""
_START_CODE = re.compile(rb"\x00\x00+\x01")
_HEVC_PARAMETER_SETS = range(32, 35)
"""Types of NAL units that are told in the header as well, where some muxers leave them alone."""


@dataclass(frozen=True)
class Times:
    """Times of a stream, 8 bytes each."""

    ticks: array[int]
    tick: Fraction
    """In seconds."""

    @property
    def earliest(self) -> Fraction:
        """In seconds."""
        return min(self.ticks) * self.tick

    @property
    def seconds(self) -> NDArray[np.float64]:
        """All of them, as floats."""
        return np.array(self.ticks, dtype=np.float64) * float(self.tick)

    def agree(self, copy: Times, *, later_by: Fraction) -> bool:
        """Whether a copy has them, to the nearest of its ticks; a shift is itself rounded to one.

        Compared exactly, as integers in a scale that all of it has in common.
        """
        scale = 2 * lcm(self.tick.denominator, copy.tick.denominator, later_by.denominator)
        ours, theirs, shift = (int(part * scale) for part in (self.tick, copy.tick, later_by))
        tolerance = theirs if later_by else theirs // 2
        return len(self.ticks) == len(copy.ticks) and all(
            abs(b * theirs - a * ours - shift) <= tolerance
            for a, b in zip(self.ticks, copy.ticks, strict=True)
        )


@dataclass
class StreamContents:
    """One stream as a reader finds it: its bytes joined, and when they are due."""

    kind: str
    codec: str
    tick: Fraction
    length_size: int = 0
    """Bytes of the length before each NAL unit; 0: start codes, or no NAL units."""
    packets: int = 0
    size: int = 0
    """Bytes so far, without what containers add."""
    pts: array[int] = field(default_factory=lambda: array("q"))
    """In ticks, in the order of the file; packets without one are left out."""
    durations: array[int] = field(default_factory=lambda: array("q"))
    """Likewise."""
    offsets: array[int] = field(default_factory=lambda: array("q"))
    """Bytes before each of those packets."""
    digest: Any = field(default_factory=hashlib.sha256)
    text: TextReader | None = None
    """Reads subtitles whose words and times are compared, not their bytes."""
    samples: SampleReader | None = None
    """Reads sound whose samples are compared, not its bytes."""

    @classmethod
    def of(cls, stream: Stream, *, converted: bool = False) -> StreamContents:
        """Begin for a stream of an open container.

        ``converted`` decodes text subtitles and FLAC: to be compared with what they were made of.
        """
        context = getattr(stream, "codec_context", None)
        kind = _COVER if is_cover(stream) else stream.type
        codec = context.codec.canonical_name if context else ""
        length_size = _length_size(codec, context.extradata or b"") if context else 0
        contents = cls(kind, codec, stream.time_base or Fraction(1), length_size)
        if converted and codec in TEXT_SOURCES:
            contents.text = TextReader(cast("SubtitleStream", stream))
        if converted and codec == "flac":
            contents.samples = SampleReader(cast("AudioStream", stream))
        return contents

    @property
    def times(self) -> Times:
        """Return the times of the packets that have one."""
        return Times(self.pts, self.tick)

    @property
    def is_cover(self) -> bool:
        """Whether it is a picture of the film as a whole."""
        return self.kind == _COVER

    def take(self, packet: av.Packet[Any], *, payload: bool = True) -> None:
        """Add a packet; without ``payload``, only its time."""
        if self.codec == "mov_text" and packet.size == _NO_TEXT:
            return  # muxers fill pauses
        if self.text:
            self.text.take(packet)
        if self.samples:
            self.samples.take(packet)
        parts = self._payload(memoryview(cast("Any", packet))) if payload else ()
        self.add(parts, packet.pts, packet.duration or 0)

    def add(self, parts: Iterable[bytes | memoryview], pts: int | None, duration: int) -> None:
        """Add what is due at one time, in ticks."""
        self.packets += 1
        if pts is not None:
            self.pts.append(pts)
            self.durations.append(duration)
            self.offsets.append(self.size)
        for part in parts:
            self.digest.update(part)
            self.size += len(part)

    def is_copied_to(self, copy: StreamContents, *, later_by: Fraction) -> bool:
        """Whether a copy has the same bytes, or the same words, at the same times."""
        if self.text:
            theirs = copy.text.cues if copy.text else []
            return show_alike(self.text.cues, theirs, later_by=later_by)
        if self.samples:
            return self._sounds_like(copy, later_by=later_by)
        if (self.kind, self.size, self.digest.digest()) != (
            *(copy.kind, copy.size, copy.digest.digest()),
        ):
            return False
        may_differ = self.kind == "audio" or self.codec in _CUT_ANEW
        if self.packets == copy.packets and self.offsets == copy.offsets:
            if self.times.agree(copy.times, later_by=later_by):
                return True
            may_differ = copy.codec.startswith("pcm_")
        return may_differ and self._flows_like(copy, later_by=float(later_by))

    def _sounds_like(self, copy: StreamContents, *, later_by: Fraction) -> bool:
        """Whether a copy has the same samples from the same time on, without pauses."""
        if not (self.samples and copy.samples and self.pts and copy.pts):
            return False
        late = copy.times.earliest - self.times.earliest - later_by
        is_in_time = abs(late) <= UNEVEN_SECONDS + self.tick + copy.tick
        return is_in_time and self.samples.digest.digest() == copy.samples.digest.digest()

    def _flows_like(self, copy: StreamContents, *, later_by: float) -> bool:
        """Whether every packet's first byte is due at the same time in a copy cut anew.

        Within a packet of sound, time goes evenly; of others only what begins a packet in both
        is compared.
        """
        if not self.pts or not copy.pts:
            return self.pts == copy.pts
        offsets, theirs = np.array(self.offsets), np.array(copy.offsets)
        starts = copy.times.seconds
        place = np.searchsorted(theirs, offsets, side="right") - 1
        into = offsets - theirs[place]
        due = starts[place] + into * (_lengths(copy) / np.diff([*theirs, copy.size]))[place]
        late = np.abs(due - self.times.seconds - later_by)
        if self.kind != "audio":
            late = late[into == 0]
        return bool(np.all(late <= float(UNEVEN_SECONDS + self.tick + copy.tick)))

    def _payload(self, data: memoryview) -> Iterator[bytes | memoryview]:
        if self.codec in ("h264", "hevc"):
            yield from self._nal_units(data)
        else:
            yield _without_adts(data) if self.codec == "aac" else data

    def _nal_units(self, data: memoryview) -> Iterator[bytes | memoryview]:
        units = _after_lengths(data, self.length_size) if self.length_size else _split(data)
        for unit in units:
            if self.codec == "hevc" and unit[0] >> 1 & 0x3F in _HEVC_PARAMETER_SETS:
                continue
            yield len(unit).to_bytes(4)
            yield unit


def _lengths(stream: StreamContents) -> NDArray[np.float64]:
    """Seconds for which each packet lasts: by its duration, or until the next one."""
    told = np.array(stream.durations, dtype=np.float64) * float(stream.tick)
    until_next = np.diff(stream.times.seconds, append=stream.times.seconds[-1])
    lasting: NDArray[np.float64] = np.where(told > 0, told, until_next)
    return lasting


def _length_size(codec: str, header: bytes) -> int:
    """By the configuration record of H.264 or HEVC; with start codes there is none."""
    place = {"h264": 4, "hevc": 21}.get(codec, 0)
    return (header[place] & 3) + 1 if place and len(header) > place and header[0] == 1 else 0


def _split(data: memoryview) -> Iterator[bytes]:
    """NAL units after start codes: zeros at their ends are none of theirs."""
    for unit in _START_CODE.split(bytes(data)):
        if unit := unit.rstrip(b"\0"):
            yield unit


def _after_lengths(data: memoryview, length_size: int) -> Iterator[memoryview]:
    place = 0
    while place < len(data):
        start = place + length_size
        place = start + int.from_bytes(data[place:start])
        if start < len(data) and place > start:
            yield data[start:place]


def _without_adts(data: memoryview) -> memoryview:
    """The packet without its ADTS header, which MPEG-TS has and mp4 and mkv leave out.

    By the rule of the filter that leaves it out: damaged packets are judged alike.
    """
    if not (len(data) > 1 and data[0] == 0xFF and data[1] & 0xF0 == 0xF0):
        return data
    return data[7:] if data[1] & 1 else data[9:]  # the last bit says that there is no checksum
