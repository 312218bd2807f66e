"""The packets of the copied streams, with the times of the output.

Reassembly writes these packets and verification expects them: both read them here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Stream

from nst_core.wording import counted
from pipeline.assembly.cut_streams import cut_stream
from pipeline.assembly.passages import WITHOUT_NEGATIVE_TIMES, CopyPlan, is_text
from pipeline.metadata.covers import is_cover
from pipeline.source.media_file import declared_seconds, demux, open_source, reason
from pipeline.source.source_video import ENDS_EARLIER_SECONDS, SourceVideo
from pipeline.source.timestamps import ClockReset

_FAR = Fraction(3)
"""Seconds by which no stream runs ahead of another in a file."""
_FALLS_BACK = Fraction(1, 10)
_LEAST_STEP = Fraction(1, 1000)
"""Seconds between packets whose times must be told apart: a tick of Matroska."""
_WAITING = 8
"""Packets of sound that are known beyond one: damage to a packet of MPEG-TS spoils the times of
all that it carries."""


class CopiedPackets:
    """Packets of the copied streams, in the order of the file, with the times of the output.

    Where the clock of the file starts again, they are continued as the picture is. A packet whose
    time is out of order is moved: between its neighbours, or behind the one before. Of a source
    that is cut, only those of its part come.
    """

    def __init__(self, container: InputContainer, source: SourceVideo, copies: CopyPlan) -> None:
        self.problems: list[str] = []
        """Lines for the user, complete once all packets have been read."""
        self.is_whole = True
        """False once the file has turned out to break off."""
        self.stream_indices = copies.stream_indices
        self._container = container
        self._source = source
        self._lanes = {
            index: _Lane(
                waits=container.streams[index].type == "audio",
                step=copies.strict_times and not is_text(way),  # of texts at once one is made
            )
            for index, way in copies.ways.items()
        }
        self._cut_ends = source.cut.end if source.cut else None
        self._cut_streams = {
            index: cut_stream(container.streams[index], way, source.cut)
            for index, way in copies.ways.items()
            if source.cut
        }

    def __iter__(self) -> Iterator[av.Packet[Any]]:
        chosen = [self._container.streams[index] for index in self.stream_indices]
        chosen = [stream for stream in chosen if stream.type != "attachment"]
        if not chosen:
            return
        clocks = _Clocks(self._source) if self._source.clock_resets else None
        main = self._container.streams[self._source.stream_index]
        wanted = [main, *chosen] if clocks else chosen
        left = {stream.index for stream in chosen if _is_steady(stream)}
        may_stop = bool(left) and self._cut_ends is not None
        try:
            for packet in demux(self._container, wanted):
                if packet.stream_index != main.index:
                    if clocks:
                        clocks.continue_times(packet)
                    for settled in self._lanes[packet.stream_index].take(packet):
                        if self._is_far_behind(settled):
                            left.discard(packet.stream_index)
                        yield from self._within(settled)
                    if may_stop and not left:
                        break
                elif clocks:
                    clocks.see_picture()
        except av.FFmpegError as error:
            self.is_whole = False
            self.problems.append(f"its other streams could be read only in part ({reason(error)})")
        for lane in self._lanes.values():
            for settled in lane.rest():
                yield from self._within(settled)
        for cut in self._cut_streams.values():
            yield from cut.rest()
            self.problems += cut.words()
        self._note_what_lacks(chosen)
        self.problems += [
            f"stream {index}: {counted(lane.moved, 'packets')} moved, whose times were out of order"
            for index, lane in self._lanes.items()
            if lane.moved
        ]

    def _within(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        """What stays of a packet, at its time in the part."""
        cut = self._cut_streams.get(packet.stream_index)
        return cut.packets_for(packet) if cut else iter((packet,))

    def _is_far_behind(self, packet: av.Packet[Any]) -> bool:
        """Whether a packet comes so late that no stream will bring more of the part."""
        if packet.dts is None or self._cut_ends is None:
            return False
        return bool(packet.dts * packet.time_base > self._cut_ends + _FAR)

    def _note_what_lacks(self, streams: Sequence[Stream]) -> None:
        """A table of a damaged file may end early: then its demuxer stops without a word."""
        for stream in streams:
            declared = declared_seconds(self._container, stream)
            if self._cut_ends is not None:
                declared = min(declared, float(self._cut_ends))
            latest = declared - ENDS_EARLIER_SECONDS
            if stream.type != "audio" or self._lanes[stream.index].end_seconds >= latest:
                continue
            end = _end_with_all_cut(self._source.path, stream.index)
            if end < latest:
                self.is_whole = False
                self.problems.append(
                    f"stream {stream.index} declares {declared:.2f} s and holds {end:.2f} s"
                )


class _Lane:
    """One copied stream. Sound waits until its next packets are known; subtitles are too far apart.

    Every time is at least ``step`` ticks after the one before.
    """

    def __init__(self, *, waits: bool, step: int) -> None:
        self.moved = 0
        self._waits = waits
        self._step = step
        self._waiting: deque[av.Packet[Any]] = deque()
        self._last_dts: int | None = None
        self._last_gap = 0
        self.end_seconds = 0.0

    def take(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        """Take the next packet; give those whose times are settled."""
        self._waiting.append(packet)
        if len(self._waiting) > _WAITING * self._waits:
            yield self._settled()

    def rest(self) -> Iterator[av.Packet[Any]]:
        while self._waiting:
            yield self._settled()

    def _settled(self) -> av.Packet[Any]:
        packet = self._waiting.popleft()
        if packet.dts is None:
            return packet
        times = [waiting.dts for waiting in self._waiting if waiting.dts is not None]
        following = min(times, default=None)
        dts = self._in_order(packet, following)
        if dts != packet.dts:
            self.moved += 1
            packet.pts = None if packet.pts is None else packet.pts + dts - packet.dts
            packet.dts = dts
        if self._last_dts is not None:
            self._last_gap = dts - self._last_dts
        if self._waits and not packet.duration:
            # Without one, readers of mp4 take a last packet for one beyond the end.
            packet.duration = self._last_gap if following is None else max(0, following - dts)
        self._last_dts = dts
        self.end_seconds = float((dts + (packet.duration or 0)) * packet.time_base)
        return packet

    def _in_order(self, packet: av.Packet[Any], following: int | None) -> int:
        dts, last = packet.dts, self._last_dts
        assert dts is not None
        if following is not None and dts > following and (last is None or last < following):
            # It is ahead of its place: those around it are in order.
            dts = following - (packet.duration or 1) if last is None else (last + following) // 2
        if last is not None and dts < last + self._step:
            dts = last + max(1, round(_LEAST_STEP / packet.time_base))
        return dts


def _is_steady(stream: Stream) -> bool:
    """Whether its packets come all the time."""
    return stream.type in ("audio", "video") and not is_cover(stream)


def _end_with_all_cut(path: Path, stream_index: int) -> float:
    """When a stream ends, in seconds, with what an edit list cuts off."""
    end = 0.0
    with open_source(path, with_all_cut=True) as container, suppress(av.FFmpegError):
        for packet in demux(container, [container.streams[stream_index]]):
            if packet.dts is not None:
                end = float((packet.dts + (packet.duration or 0)) * packet.time_base)
    return end


class _Clocks:
    """Finds by which of the file's clocks a packet counts: each starts with a reset."""

    def __init__(self, source: SourceVideo) -> None:
        time_base = source.info.time_base
        self._pts = source.packets.pts
        self._start = source.cut.start if source.cut else Fraction(0)
        self._time_base = time_base
        self._resets: tuple[ClockReset, ...] = source.clock_resets
        self._offsets = [Fraction(0), *(reset.offset * time_base for reset in self._resets)]
        self._place = -1
        self._current: dict[int, int] = {}
        self._last: dict[int, Fraction] = {}

    def see_picture(self) -> None:
        """Count a packet of the main stream: sound that lies beside it counts by its clock."""
        self._place += 1

    def continue_times(self, packet: av.Packet[Any]) -> None:
        timestamp = packet.dts if packet.dts is not None else packet.pts
        if timestamp is None:
            return
        clock = self._clock(packet.stream_index, timestamp * packet.time_base)
        offset = round(self._offsets[clock] / packet.time_base)
        packet.dts = None if packet.dts is None else packet.dts + offset
        packet.pts = None if packet.pts is None else packet.pts + offset

    def _clock(self, stream: int, seconds: Fraction) -> int:
        """Keep to a stream's clock until its own time falls back or is far from the picture's."""
        now = int(self._pts[max(0, min(self._place, len(self._pts) - 1))]) * self._time_base
        now += self._start
        current = self._current.get(stream)
        last = self._last.get(stream)
        self._last[stream] = seconds
        candidates: Sequence[int] = range(len(self._offsets))
        if current is not None and last is not None:
            has_fallen_back = seconds < last - _FALLS_BACK
            if has_fallen_back and current + 1 < len(self._offsets):
                candidates = range(current + 1, len(self._offsets))
            elif abs(seconds + self._offsets[current] - now) <= _FAR:
                candidates = (current,)
        clock = min(candidates, key=lambda c: abs(seconds + self._offsets[c] - now))
        self._current[stream] = clock
        return clock


def first_sounds(
    source: SourceVideo, copies: CopyPlan, output_format: str
) -> dict[int, av.Packet[Any]]:
    """The first packet of each stream of sound of a cut source, which may be before zero.

    Nothing where the output takes such times as they are.
    """
    found: dict[int, av.Packet[Any]] = {}
    if source.cut is None or output_format not in WITHOUT_NEGATIVE_TIMES:
        return found
    with open_source(source.path) as container:
        streams = {stream.index for stream in container.streams.audio}
        ways = {index: way for index, way in copies.ways.items() if index in streams}
        for packet in CopiedPackets(container, source, replace(copies, ways=ways)):
            found.setdefault(packet.stream_index, packet)
            if len(found) == len(ways):
                break
    return found
