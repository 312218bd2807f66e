"""Reading a segment's encoded packets from the file, when it is scheduled and not before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import av
from av.packet import PacketSideData, packet_sidedata_type_from_literal

from nst_core.errors import MediaError
from pipeline.media_file import open_source, video_packets
from pipeline.segments import Segment
from pipeline.source_video import SourceVideo


@dataclass(frozen=True, repr=False)
class EncodedPacket:
    """One packet of the source, free of the file it came from."""

    data: bytes
    pts: int
    dts: int | None
    duration: int
    is_keyframe: bool
    alpha: bytes | None = None
    """What lies beside the packet in Matroska: for VP8 and VP9 the picture of its alpha."""

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
        self._resources = ExitStack()
        self._packets: Iterator[av.Packet[Any]] | None = None
        self._position = 0
        self._kept: dict[int, EncodedPacket] = {}

    def __enter__(self) -> PacketReader:
        return self

    def __exit__(self, *error: Any) -> None:
        self._resources.close()

    def read(self, segment: Segment) -> tuple[EncodedPacket, ...]:
        """All packets of the segment. Raises MediaError when the file has changed meanwhile."""
        wanted = range(segment.first_packet, segment.end_packet)
        self._kept = {place: packet for place, packet in self._kept.items() if place in wanted}
        missing_from = next((place for place in wanted if place not in self._kept), wanted.stop)
        if missing_from < self._position:
            self._kept.clear()
            self._restart()
        while self._position < wanted.stop:
            packet = self._next()
            if self._position - 1 in wanted:
                self._kept[self._position - 1] = packet
        return tuple(self._kept[place] for place in wanted)

    def _restart(self) -> None:
        self._resources.close()
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
            alpha=_alpha(packet) if self._source.info.has_alpha_packets else None,
        )


def _alpha(packet: av.Packet[Any]) -> bytes | None:
    if not packet.has_sidedata("matroska_block_additional"):
        return None
    return bytes(packet.get_sidedata("matroska_block_additional"))


def set_alpha(packet: av.Packet[Any], alpha: bytes) -> None:
    """Put an EncodedPacket's alpha beside a packet, where libvpx's decoders look for it."""
    kind = packet_sidedata_type_from_literal("matroska_block_additional")
    new_side_data: Any = PacketSideData  # PyAV types no constructor
    side_data = new_side_data(kind, len(alpha))
    side_data.update(alpha)
    packet.set_sidedata(side_data)
