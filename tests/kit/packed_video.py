"""AVI files as Xvid and DivX write them: two frames in a packet, then an empty one.

No encoder here packs: the frames are FFmpeg's own, packed by hand.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av

from tests.kit.media import HEIGHT, RATE, WIDTH, moving_picture

_FRAME = b"\0\0\1\xb6"
_INTRA, _BIDIRECTIONAL = 0, 2
_PACKED = b"\0\0\1\xb2DivX503b1393p"
"""The user data by which decoders know such streams."""
EMPTY_FRAME = bytes.fromhex("000001b65247")
"""P-frame that is not coded, its time in five bits."""
Fill = Literal["frame", "byte", "nothing"]


def write_packed(
    path: Path, *, frames: int = 49, keyframes: int = 24, fill: Fill = "frame", tag: str = "XVID"
) -> list[int]:
    """Write a packed AVI; returns the moments, in frames, at which its frames are due.

    ``fill`` is what stands at a moment whose frame came before: an empty frame, DivX's single byte,
    or an empty chunk. Behind every fourth group a frame is dropped: the one before stays.
    """
    blank = {"frame": EMPTY_FRAME, "byte": b"\x7f", "nothing": b""}[fill]
    slots: list[bytes] = []
    due: list[int] = []
    with av.open(_encoded(frames, keyframes), "r") as encoded, av.open(str(path), "w") as container:
        video = encoded.streams.video[0]
        packets = [_labelled(bytes(packet)) for packet in encoded.demux(video) if packet.size]
        for number, (reference, *others) in enumerate(_groups(packets)):
            due += range(len(slots), len(slots) + 1 + len(others))
            if others:
                slots += [reference + others[0], *others[1:], blank]
            else:
                slots.append(reference)
            if number % 4 == 3:
                slots.append(blank)
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.codec_tag = tag
        container.start_encoding()
        for moment, data in enumerate(slots):
            if data:
                container.mux(_packet(data, moment, stream))
    return due


def _encoded(frames: int, keyframes: int) -> io.BytesIO:
    """MPEG-4 with two B-frames between others, in its order of decoding."""
    file = io.BytesIO()
    with av.open(file, "w", format="avi") as container:
        video = container.add_stream("mpeg4", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.bit_rate = 4_000_000
        video.codec_context.options = {"bf": "2", "g": str(keyframes), "sc_threshold": "1000000000"}
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(moving_picture(number), "rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    file.seek(0)
    return file


def _labelled(data: bytes) -> bytes:
    return re.sub(rb"\x00\x00\x01\xb2Lavc[\d.]*", _PACKED, data)


def _groups(packets: list[bytes]) -> Iterator[list[bytes]]:
    """Each frame that others refer to, with the B-frames that follow it."""
    group: list[bytes] = []
    for data in packets:
        if group and _kind(data) != _BIDIRECTIONAL:
            yield group
            group = []
        group.append(data)
    yield group


def _kind(data: bytes) -> int:
    return data[data.find(_FRAME) + len(_FRAME)] >> 6


def _packet(data: bytes, moment: int, stream: av.VideoStream) -> Any:
    packet: Any = av.Packet(len(data))
    packet.update(data)
    packet.stream = stream
    packet.pts = packet.dts = moment
    packet.duration, packet.time_base = 1, Fraction(1, RATE)
    packet.is_keyframe = _FRAME in data and _kind(data) == _INTRA
    return packet
