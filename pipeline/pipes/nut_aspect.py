"""The shape of pixels in the header of NUT, where PyAV does not let it be told.

NUT as its specification has it: packets begin with a start code and their length, and end with a
checksum; numbers have 7 bits a byte, the last of them without the top bit.
"""

from __future__ import annotations

from fractions import Fraction

_STREAM = b"NS\x11\x40\x5b\xf2\xf9\xdb"
_VIDEO = 0
_CHECKSUM_BYTES = 4
_LARGEST_WITHOUT_CHECKSUM = 4096
"""Largest packet whose length has no checksum of its own."""
_POLYNOMIAL = 0x04C11DB7


def with_pixel_aspect(header: bytes, aspect: Fraction) -> bytes:
    """Return the beginning of a stream of NUT with the shape of its picture's pixels.

    It is left as it is where it cannot be told.
    """
    start = header.find(_STREAM)
    while start >= 0:
        length, begin = _number(header, start + len(_STREAM))
        if length > _LARGEST_WITHOUT_CHECKSUM:
            return header
        end = begin + length - _CHECKSUM_BYTES
        fields = _Fields(header[begin:end])
        fields.skip(1)
        if fields.next() == _VIDEO:
            told = fields.with_aspect(aspect)
            packet = _written(len(told) + _CHECKSUM_BYTES) + told + checksum(told)
            before = header[: start + len(_STREAM)]
            return before + packet + header[end + _CHECKSUM_BYTES :]
        start = header.find(_STREAM, end)
    return header


class _Fields:
    """The fields of a stream's header, read one by one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def next(self) -> int:
        number, self._place = _number(self._data, self._place)
        return number

    def skip(self, count: int) -> None:
        for _ in range(count):
            self.next()

    def _skip_bytes(self) -> None:
        length = self.next()
        self._place += length

    def with_aspect(self, aspect: Fraction) -> bytes:
        """Return all of them, of which number and class are read, with another pixel aspect."""
        self._skip_bytes()  # its tag
        self.skip(5)  # time base, two numbers about times, delay, flags
        self._skip_bytes()  # its codec's header
        self.skip(2)  # width and height
        begin = self._place
        self.skip(2)
        told = _written(aspect.numerator) + _written(aspect.denominator)
        return self._data[:begin] + told + self._data[self._place :]


def _number(data: bytes, place: int) -> tuple[int, int]:
    """Read a number; returns it, and where the next field begins."""
    number = 0
    while True:
        number = number << 7 | data[place] & 0x7F
        place += 1
        if not data[place - 1] & 0x80:
            return number, place


def _written(number: int) -> bytes:
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(reversed(groups))


def checksum(data: bytes) -> bytes:
    """Return a packet's checksum: a CRC of 32 bits that begins with 0."""
    rest = 0
    for byte in data:
        rest ^= byte << 24
        for _ in range(8):
            rest = (rest << 1 ^ (_POLYNOMIAL if rest & 0x80000000 else 0)) & 0xFFFFFFFF
    return rest.to_bytes(_CHECKSUM_BYTES)
