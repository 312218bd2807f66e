"""Packets of segments that go out run by run: a reader for each run, forward in the file."""

from __future__ import annotations

from collections.abc import Container

from pipeline.segments.packet_reader import EncodedPacket, PacketReader
from pipeline.segments.plan import Segment
from pipeline.source.source_video import SourceVideo

_MOST_KEPT_BYTES = 32 << 20
"""A reader keeps a segment, with its way from the keyframe, for the next one: what is larger is
read again."""
_MOST_READERS = 32


class RunReaders:
    """Reads segments; those that follow one another go on where the one before has ended."""

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
            reader.close()
        else:
            self._readers[segment.number] = reader
        while len(self._readers) > _MOST_READERS:
            self._readers.pop(next(iter(self._readers))).close()
        return packets
