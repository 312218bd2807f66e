"""Copied streams cut to a part of the film: which of their packets stay, and at what times.

PCM is cut at its samples. Other sound is cut at its packets: it begins with the packets that a
decoder needs to be right at the start of the part, at times before zero. These players skip, and
what its last packet has beyond the end.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from math import ceil
from struct import Struct
from typing import Any, cast

import av
from av.audio.stream import AudioStream
from av.stream import Stream

from nst_core.wording import listed
from pipeline.assembly.passages import Way, codec_of, is_sound
from pipeline.conversion.channel_layouts import layout_of
from pipeline.metadata.covers import is_cover
from pipeline.segments.packet_reader import put_beside
from pipeline.source.source_video import Cut

_PLAIN_PCM = re.compile(r"pcm_(?:[suf](\d+)(?:[bl]e)?|alaw|mulaw)")
"""Codecs of which every sample has the same bytes, with its bits where these are not 8."""
_WITHOUT_PAST = frozenset(
    {"flac", "alac", "wavpack", "tta", "ape", "adpcm_ima_wav", "adpcm_ima_qt", "adpcm_ms"}
)
"""Codecs whose packets are decoded alike, whatever comes before them."""
_PAST_SECONDS = {"opus": Fraction(8, 100), "mp3": Fraction(15, 100)}
"""What other codecs need to be right, where it is more than a packet: RFC 7845, section 4.6; the
bit reservoir of MP3."""
_SKIPPED = Struct("<IIBB")
"""FFmpeg's AV_PKT_DATA_SKIP_SAMPLES: at the packet's start, at its end, and why."""
_MILLISECOND = Fraction(1, 1000)
_MOST_TICKS = 10**9
"""Ticks of a second that FFmpeg can count in."""
_PAUSE = Fraction(1, 10)
"""Seconds without sound, beyond which a packet needs nothing of those before."""
_LONGEST_WITHOUT_END = 5
"""Seconds for which a subtitle without a duration counts, as long as none follows."""


def cut_stream(stream: Stream, way: Way, cut: Cut) -> CutStream:
    """Return what cuts a stream that gets into the output in some way."""
    if is_cover(stream):
        return CutStream(stream, cut)
    if isinstance(stream, AudioStream):
        if way == "copy" and _PLAIN_PCM.fullmatch(codec_of(stream)):
            return CutPcm(stream, cut)
        return CutSound(stream, cut, may_begin_before=way != "acm", is_decoded=is_sound(way))
    kinds = {"subtitle": CutSubtitles, "video": CutFilm}
    return kinds.get(stream.type, CutData)(stream, cut)


class CutStream:
    """Takes the packets of one stream with the file's times, gives those that stay with new ones.

    This one lets all through as they are: a cover belongs to no time.
    """

    def __init__(self, stream: Stream, cut: Cut, *, may_divide: bool = True) -> None:
        """``may_divide``: whether ticks may be divided, for times to be exact."""
        assert stream.time_base is not None
        self._finer = _finer(stream.time_base, cut.start) if may_divide else 1
        self.tick: Fraction = stream.time_base / self._finer
        """Seconds; of these the start of the part is a whole number."""
        self.zero = round(cut.start / self.tick)
        """Ticks of the file's clock."""
        self.end = None if cut.end is None else ceil(cut.end / self.tick) - self.zero
        """Ticks from zero, exclusive."""
        self.index = stream.index
        self.about = f"stream {stream.index} ({stream.type}, {codec_of(stream)})"
        self.packets = 0
        """Packets that stayed."""

    def packets_for(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        """Take the next packet, with the stream's times; give those that are known to stay."""
        packet.time_base = self.tick
        packet.pts = None if packet.pts is None else packet.pts * self._finer
        packet.dts = None if packet.dts is None else packet.dts * self._finer
        packet.duration = (packet.duration or 0) * self._finer
        yield from self.take(packet)

    def take(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        """Take the next packet, its times in ticks; give those that are known to stay."""
        yield packet

    def rest(self) -> Iterator[av.Packet[Any]]:
        """Give what is still to come, at the end."""
        yield from ()

    def words(self) -> list[str]:
        """Return lines for the user, once all packets have been taken: how the stream was cut."""
        return []

    def _moved(self, packet: av.Packet[Any]) -> av.Packet[Any]:
        self.packets += 1
        packet.pts = None if packet.pts is None else packet.pts - self.zero
        packet.dts = None if packet.dts is None else packet.dts - self.zero
        return packet

    def _is_behind(self, time: int) -> bool:
        """Whether a time, from zero, is at the end or later."""
        return self.end is not None and time >= self.end

    def _cut_off(self, packet: av.Packet[Any]) -> av.Packet[Any]:
        """Let a packet that has been moved last no longer than the part."""
        if self.end is not None and packet.pts is not None and packet.duration:
            packet.duration = min(packet.duration, self.end - packet.pts)
        return packet


class CutData(CutStream):
    """Data that belongs to moments: each packet within the part stays."""

    def take(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        """Take the next packet; give it if it belongs to the part."""
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None or (time >= self.zero and not self._is_behind(time - self.zero)):
            yield self._moved(packet)


class CutSound(CutStream):
    """Sound that is cut at its packets."""

    def __init__(
        self, stream: AudioStream, cut: Cut, *, may_begin_before: bool, is_decoded: bool
    ) -> None:
        # FFmpeg's decoders count samples to skip in the stream's own ticks.
        may_divide = not is_decoded or (stream.time_base or 0) > _MILLISECOND
        super().__init__(stream, cut, may_divide=may_divide)
        self._may_begin_before = may_begin_before
        self._is_decoded = is_decoded
        self._rate = stream.codec_context.sample_rate
        codec = codec_of(stream)
        self._has_past = codec not in _WITHOUT_PAST
        self._past = round(_PAST_SECONDS.get(codec, Fraction(0)) / self.tick)
        self._rounded = self._finer * (stream.time_base == _MILLISECOND)
        """Ticks by which times may be rounded."""
        self._before: deque[av.Packet[Any]] = deque()
        """Packets before the part, of which its first one may need some."""
        self._begins: int | None = None
        self._ends = 0

    def take(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        """Take the next packet; give it, and before the first one those that it needs."""
        time = packet.pts
        if time is None:
            return
        if self._is_before(packet):
            self._before.append(packet)
            while len(self._before) > 1 and self._end_of(self._before[0]) <= self.zero - self._past:
                self._before.popleft()
        elif not self._is_behind(time - self.zero):
            for each in (*self._needed_before(time), packet):
                yield self._kept(each)
            self._before.clear()

    def words(self) -> list[str]:
        """Return how it was cut."""
        if self._begins is None:
            return [f"{self.about} has no sound in this part"]
        if self._is_decoded:
            return [f"{self.about}: cut at its samples"]
        over = self._ends - self.end if self.end is not None else 0
        skipped = [f"{self._milliseconds(-self._begins)} before the start"] * (self._begins < 0)
        skipped += [f"{self._milliseconds(over)} after the end"] * (over > 0)
        words = f"{self.about}: cut at its packets"
        if self._begins > 0:
            words += f", begins {self._milliseconds(self._begins)} after the start"
        return [f"{words}; players skip {listed(skipped)}" if skipped else words]

    def _is_before(self, packet: av.Packet[Any]) -> bool:
        if self._begins is not None:
            return False
        assert packet.pts is not None
        if self._may_begin_before:
            return self._end_of(packet) + self._rounded <= self.zero
        return packet.pts < self.zero

    @staticmethod
    def _end_of(packet: av.Packet[Any]) -> int:
        assert packet.pts is not None
        return packet.pts + max(1, packet.duration or 0)

    def _needed_before(self, time: int) -> Iterator[av.Packet[Any]]:
        """The packets without which the one at ``time`` is not decoded as in the whole film."""
        if self._begins is not None or not (self._may_begin_before and self._has_past):
            return
        following = time
        needed: deque[av.Packet[Any]] = deque()
        for packet in reversed(self._before):
            if following - self._end_of(packet) > _PAUSE / self.tick:
                break
            needed.appendleft(packet)
            assert packet.pts is not None
            following = packet.pts
        yield from needed

    def _kept(self, packet: av.Packet[Any]) -> av.Packet[Any]:
        self._moved(packet)
        assert packet.pts is not None
        self._begins = packet.pts if self._begins is None else self._begins
        self._ends = packet.pts + (packet.duration or 0)
        if self.end is not None and self._ends > self.end:
            samples = round((self._ends - self.end) * self.tick * self._rate)
            put_beside(packet, "skip_samples", _SKIPPED.pack(0, samples, 0, 0))
        return self._cut_off(packet)

    def _milliseconds(self, ticks: int) -> str:
        return f"{float(1000 * ticks * self.tick):.3g} ms"


class CutPcm(CutStream):
    """PCM, cut at its samples."""

    def __init__(self, stream: AudioStream, cut: Cut) -> None:
        super().__init__(stream, cut)
        context = stream.codec_context
        bits = cast("re.Match[str]", _PLAIN_PCM.fullmatch(codec_of(stream)))[1]
        self._rate = context.sample_rate
        self._sample_bytes = int(bits or 8) // 8 * layout_of(context).nb_channels
        self._cut = cut

    def take(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        """Take the next packet; give what of it lies in the part."""
        if packet.pts is None:
            return
        time, samples = packet.pts * self.tick, packet.size // self._sample_bytes
        first = max(0, self._sample_at(self._cut.start - time))
        last = samples
        if self._cut.end is not None:
            last = min(samples, self._sample_at(self._cut.end - time))
        if first >= last:
            return
        if (first, last) == (0, samples):
            yield self._moved(packet)
        else:
            yield self._moved(self._part(packet, first, last))

    def words(self) -> list[str]:
        """Return how it was cut."""
        how = "cut at its samples" if self.packets else "no sound in this part"
        return [f"{self.about}: {how}"]

    def _sample_at(self, seconds: Fraction) -> int:
        return round(seconds * self._rate)

    def _part(self, packet: av.Packet[Any], first: int, last: int) -> av.Packet[Any]:
        data = bytes(packet)[first * self._sample_bytes : last * self._sample_bytes]
        result: Any = av.Packet(len(data))
        result.update(data)
        result.stream, result.time_base = packet.stream, packet.time_base
        assert packet.pts is not None
        later = Fraction(first, self._rate) / self.tick
        result.pts = result.dts = packet.pts + round(later)
        result.duration = max(1, round(Fraction(last - first, self._rate) / self.tick))
        result.is_keyframe = True
        return cast("av.Packet[Any]", result)


class CutFilm(CutStream):
    """Another film beside the stylized one: it begins with its first keyframe in the part."""

    def __init__(self, stream: Stream, cut: Cut) -> None:
        super().__init__(stream, cut)
        self._begins: int | None = None
        self._has_left_out = False

    def take(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        """Take the next packet; give it from the first keyframe on."""
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None:
            return
        time -= self.zero
        # A frame may be made from one that is shown after the end, and that comes before it.
        comes = time if packet.dts is None else packet.dts - self.zero
        if self._is_behind(comes):
            return
        if self._begins is None and packet.is_keyframe and time >= 0:
            self._begins = time
        if self._begins is None or time < self._begins:
            self._has_left_out |= time >= 0
            return
        yield self._moved(packet)

    def words(self) -> list[str]:
        """Return how it was cut."""
        if self._begins is None:
            return [f"{self.about} has no keyframe in this part: left out"]
        if not self._has_left_out:
            return []
        begins = float(self._begins * self.tick)
        return [
            f"{self.about} begins {begins:.2f} s after the start, with its first keyframe there"
        ]


class CutSubtitles(CutStream):
    """Subtitles, shown from the start of the part if they are on the screen by then."""

    def __init__(self, stream: Stream, cut: Cut) -> None:
        super().__init__(stream, cut)
        self._showing: list[av.Packet[Any]] = []
        """Packets of one time before the start, which hold until the next ones."""

    def take(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        """Take the next packet; give those that are shown in the part."""
        if packet.pts is None:
            return
        if packet.pts < self.zero and not packet.duration:
            if self._showing and self._showing[0].pts != packet.pts:
                self._showing.clear()
            self._showing.append(packet)
        elif packet.pts >= self.zero:
            yield from self.rest(before=packet.pts)
            if not self._is_behind(packet.pts - self.zero):
                yield self._cut_off(self._moved(packet))
        elif packet.pts + (packet.duration or 0) > self.zero:
            packet.duration = packet.pts + (packet.duration or 0) - self.zero
            packet.pts = packet.dts = self.zero
            yield self._cut_off(self._moved(packet))

    def rest(self, before: int | None = None) -> Iterator[av.Packet[Any]]:
        """Give what was shown at the start, unless something else comes at that very time."""
        showing, self._showing = self._showing, []
        for packet in showing if before is None or before > self.zero else ():
            assert packet.pts is not None
            if (self.zero - packet.pts) * self.tick <= _LONGEST_WITHOUT_END:
                packet.pts = packet.dts = self.zero
                yield self._moved(packet)


def _finer(tick: Fraction, start: Fraction) -> int:
    """In how many parts ticks are to be divided, for a start to be a whole number of them."""
    parts = (start / tick).denominator
    return parts if (tick / parts).denominator <= _MOST_TICKS else 1
