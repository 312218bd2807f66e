"""MPEG-4 as Xvid and DivX put it into AVI, brought back to one frame in a packet.

AVI has one packet for each moment. Where B-frames need a frame ahead of its moment, these encoders
pack two frames into a packet, and later put an empty one ("not coded") at the moment that is left.
FFmpeg's filter for this, mpeg4_unpack_bframes, takes every small frame for an empty one.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Any

import av

_START = b"\x00\x00\x01"
_FRAME = b"\x00\x00\x01\xb6"
_LAYER = re.compile(rb"\x00\x00\x01[\x20-\x2f]")
_FRAME_HEADER_BYTES = 16
_LAYER_HEADER_BYTES = 32
_STUDIO = (14, 15)
"""Types of objects whose frames have another header."""
_LARGEST_EMPTY_FRAME = 8
"""In bytes, for streams whose headers do not tell where to look."""
_INTRA = 0


class FrameUnpacker:
    """Takes the packets of an MPEG-4 stream; gives back one for each coded frame."""

    def __init__(self, extradata: bytes | None) -> None:
        self.found_packed = False
        """Whether packets held several frames: the file's times then go with other frames."""
        self._clock_bits = _clock_bits(extradata or b"")
        self._waiting: deque[bytes] = deque()
        self._last: av.Packet[Any] | None = None

    def take(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        """Give back what is to be decoded by this packet's time."""
        data = bytes(packet)
        if (
            _FRAME not in data and len(data) > 1
        ):  # headers or damage; one byte is DivX's empty frame
            yield packet
            return
        self._clock_bits = _clock_bits(data) or self._clock_bits
        frames = [frame for frame in _frames(data) if self._is_coded(frame)]
        yield from self._before(packet)
        if self._waiting and len(frames) > 1:  # their own moment is not in the file
            yield from (_packet(packet, frame, None) for frame in self._waiting)
            self._waiting.clear()
        if self._waiting or len(frames) > 1:
            self.found_packed = True
            self._waiting.extend(frames)
            yield _packet(packet, self._waiting.popleft(), packet.dts, pts=packet.pts)
        elif frames:
            yield packet
        self._last = packet

    def rest(self) -> Iterator[av.Packet[Any]]:
        """Give back what the last packets have left."""
        while self._waiting and self._last is not None:
            yield _packet(self._last, self._waiting.popleft(), self._next_moment())

    def _before(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        """Fill moments without a packet: those of empty frames that AVI leaves out."""
        last = self._last
        if last is None or last.dts is None or packet.dts is None:
            return
        moment, step = self._next_moment(), last.duration or 1
        # Less than half a step is what a container has rounded.
        while self._waiting and moment is not None and moment + step / 2 < packet.dts:
            yield _packet(packet, self._waiting.popleft(), moment)
            moment += step

    def _next_moment(self) -> int | None:
        last = self._last
        return None if last is None or last.dts is None else last.dts + (last.duration or 1)

    def _is_coded(self, frame: bytes) -> bool:
        """Read vop_coded (ISO/IEC 14496-2, 6.2.5), which follows the frame's time."""
        start = frame.find(_FRAME) + len(_FRAME)
        if len(frame) - start > _FRAME_HEADER_BYTES:
            return True
        if self._clock_bits is None:
            return len(frame) - start > _LARGEST_EMPTY_FRAME - len(_FRAME)
        bits = _bits(frame[start : start + _FRAME_HEADER_BYTES])
        seconds_end = bits.find("0", 2)
        place = seconds_end + 1 + 1 + self._clock_bits + 1
        return seconds_end < 0 or bits[place : place + 1] != "0"


def _frames(data: bytes) -> list[bytes]:
    """Cut a packet behind each frame; headers go with the frame that follows them."""
    frames, begin = [], 0
    place = data.find(_FRAME)
    while place >= 0:
        end = data.find(_START, place + len(_FRAME))
        place = data.find(_FRAME, end) if end >= 0 else -1
        frames.append(data[begin : end if place >= 0 else None])
        begin = end
    return frames


def _packet(
    like: av.Packet[Any], data: bytes, dts: int | None, *, pts: int | None = None
) -> av.Packet[Any]:
    result: av.Packet[Any] = av.Packet(len(data))
    result.update(data)
    result.stream, result.time_base = like.stream, like.time_base
    result.dts, result.duration = dts, like.duration
    result.pts = dts if pts is None else pts
    result.is_keyframe = data[data.find(_FRAME) + len(_FRAME)] >> 6 == _INTRA
    return result


def _clock_bits(headers: bytes) -> int | None:
    """How many bits a frame's time has, by the video object layer (6.2.3); None: not told."""
    headers = headers.partition(_FRAME)[0]
    found = _LAYER.search(headers)
    if not found:
        return None
    layer = headers[found.end() : found.end() + _LAYER_HEADER_BYTES]
    bits = _bits(layer.ljust(_LAYER_HEADER_BYTES, b"\0"))
    place = 1 + 8
    if int(bits[1:place], 2) in _STUDIO:
        return None
    version = 1
    if bits[place] == "1":
        version = int(bits[place + 1 : place + 5], 2)
        place += 7
    place += 1
    place += 4 + 16 * (bits[place : place + 4] == "1111")  # pixel aspect
    if bits[place] == "1":  # chroma, delay, buffer
        place += 3
        place += 79 * (bits[place + 1] == "1") + 1
    place += 1
    place += 2 + 4 * (bits[place : place + 2] == "11" and version != 1)  # shape
    resolution = int(bits[place + 1 : place + 17], 2)
    return max(1, (resolution - 1).bit_length()) if resolution else None


def _bits(data: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in data)
