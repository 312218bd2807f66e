"""Reading a segment's encoded packets from the file, when it is scheduled and not before."""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Literal

import av
from av.packet import PacketSideData, packet_sidedata_type_from_literal

from nst_core.errors import MediaError
from pipeline.segments.plan import Segment
from pipeline.source.media_file import open_source, video_packets
from pipeline.source.source_video import SourceVideo, VideoStreamInfo

SideData = Literal["matroska_block_additional", "new_extradata", "palette", "skip_samples"]
"""The alpha of VP8 and VP9; parameter sets that replace the stream's; colours of indexed pixels;
sound that is not heard."""
_IN_FORCE_UNTIL_THE_NEXT: tuple[SideData, ...] = ("new_extradata", "palette")
_MOST_KEPT_BYTES = 32 << 20
"""A reader keeps a segment, with its way from the keyframe, for the next one: what is larger is
read again."""
_MOST_READERS = 32


@dataclass(frozen=True, repr=False)
class EncodedPacket:
    """One packet of the source, free of the file it came from."""

    data: bytes
    pts: int
    dts: int | None
    duration: int
    is_keyframe: bool
    beside: tuple[tuple[SideData, bytes], ...] = ()
    """What the decoder needs beside the packet. Of headers and palettes, which hold until the next
    ones come, the first packet of a segment has those in force."""

    def __repr__(self) -> str:
        return f"EncodedPacket({len(self.data)} bytes, pts {self.pts})"


class PacketReader:
    """Reads packets by their place in the stream, forward through the file.

    What is kept in memory are the packets of one segment. Going back (a segment whose pre-roll
    overlaps the one before, a retry) reads the file from its start again, which is cheap:
    nothing is decoded.
    """

    def __init__(self, source: SourceVideo) -> None:
        self._source = source
        self._kinds = _kinds(source.info)
        self._resources = ExitStack()
        self._packets: Iterator[av.Packet[Any]] | None = None
        self._position = 0
        self._kept: dict[int, EncodedPacket] = {}
        self._in_force: dict[SideData, bytes] = {}
        self._in_force_at: dict[int, tuple[tuple[SideData, bytes], ...]] = {}

    def __enter__(self) -> PacketReader:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._resources.close()

    def read(self, segment: Segment) -> tuple[EncodedPacket, ...]:
        """All packets of the segment, and those ahead.

        Raises MediaError when the file has changed meanwhile.
        """
        wanted = range(segment.first_packet, segment.end_packet + segment.ahead)
        if pictures := self._source.pictures:
            return tuple(self._numbered(place, pictures.read(place)) for place in wanted)
        self._kept = {place: packet for place, packet in self._kept.items() if place in wanted}
        self._in_force_at = {p: found for p, found in self._in_force_at.items() if p in self._kept}
        missing_from = next((place for place in wanted if place not in self._kept), wanted.stop)
        if missing_from < self._position:
            self._kept.clear()
            self._in_force_at.clear()
            self._restart()
        while self._position < wanted.stop:
            packet = self._next()
            place = self._position - 1
            if place in wanted:
                self._kept[place] = packet
                if self._in_force:
                    in_force = {**self._in_force, **dict(packet.beside)}
                    self._in_force_at[place] = tuple(in_force.items())
        first, *others = (self._kept[place] for place in wanted)
        beside = self._in_force_at.get(wanted.start, first.beside)
        return replace(first, beside=beside), *others

    def forget(self) -> None:
        """Let go of the packets that are kept; it stays where it is in the file."""
        self._kept.clear()
        self._in_force_at.clear()

    def _restart(self) -> None:
        self._resources.close()
        self._in_force.clear()
        self._packets = None
        self._position = 0

    def _next(self) -> EncodedPacket:
        if self._packets is None:
            container = self._resources.enter_context(open_source(self._source.path))
            self._packets = video_packets(container, self._source.stream_index)
        try:
            packet = next(self._packets)
        except (StopIteration, av.FFmpegError) as error:
            raise MediaError(f"{self._source.path}: the file changed while it was read") from error
        place = self._position
        self._position += 1
        index = self._source.packets
        return EncodedPacket(
            data=bytes(packet),
            pts=int(index.pts[place]),
            dts=packet.dts if index.dts is None else int(index.dts[place]),
            duration=packet.duration or 0,
            is_keyframe=packet.is_keyframe,
            beside=self._side_data(packet),
        )

    def _numbered(self, place: int, data: bytes) -> EncodedPacket:
        """Return a numbered picture, which is a packet by itself."""
        pts = int(self._source.packets.pts[place])
        return EncodedPacket(data, pts, pts, duration=1, is_keyframe=True)

    def _side_data(self, packet: av.Packet[Any]) -> tuple[tuple[SideData, bytes], ...]:
        """Read what lies beside a packet, and note what is in force with it."""
        found = {
            kind: bytes(packet.get_sidedata(kind))
            for kind in self._kinds
            if packet.has_sidedata(kind)
        }
        news = {kind: data for kind, data in found.items() if kind in _IN_FORCE_UNTIL_THE_NEXT}
        self._in_force.update(news)
        return tuple(found.items())


class RunReaders:
    """Reads segments that go out run by run: a reader for each run, forward in the file."""

    def __init__(self, source: SourceVideo) -> None:
        self._source = source
        self._readers: dict[int, PacketReader] = {}
        """By the last segment that each has read, oldest first."""

    def close(self) -> None:
        """Close the file, for all of them."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def read(self, segment: Segment, expected: Container[int]) -> tuple[EncodedPacket, ...]:
        """All packets of the segment, and those ahead. Raises MediaError: see PacketReader.

        ``expected`` are those that will go on where a reader is: it is left to them.
        """
        before = [
            number
            for number in self._readers
            if number < segment.number and number + 1 not in expected
        ]
        nearest = max(before, default=None)
        reader = PacketReader(self._source) if nearest is None else self._readers.pop(nearest)
        try:
            packets = reader.read(segment)
        except BaseException:
            reader.close()
            raise
        if sum(len(packet.data) for packet in packets) > _MOST_KEPT_BYTES:
            reader.forget()
        self._readers[segment.number] = reader
        while len(self._readers) > _MOST_READERS:
            self._readers.pop(next(iter(self._readers))).close()
        return packets


def _kinds(info: VideoStreamInfo) -> tuple[SideData, ...]:
    """What may lie beside the packets of such a stream: each question takes its time."""
    kinds: list[SideData] = ["new_extradata"]
    if info.has_alpha_packets:
        kinds.insert(0, "matroska_block_additional")
    if info.pixel_format == "pal8":
        kinds.append("palette")
    return tuple(kinds)


def put_beside(packet: av.Packet[Any], kind: SideData, data: bytes) -> None:
    """Put side data beside a packet, where decoders look for it."""
    new_side_data: Any = PacketSideData  # PyAV types no constructor
    side_data = new_side_data(packet_sidedata_type_from_literal(kind), len(data))
    side_data.update(data)
    packet.set_sidedata(side_data)
