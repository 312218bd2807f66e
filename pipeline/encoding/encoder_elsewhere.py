"""Encoders on other machines: a worker's frames go there packed, and pieces come back.

A worker with a GPU makes more frames than its processors encode. Decoding and packing a frame takes
them a third to a half of what encoding it takes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Protocol

import av

from nst_core.libraries import configure
from pipeline.encoding.lossless import FramePacker, FrameUnpacker, PackedFormat
from pipeline.encoding.output_frame import OutputFrame
from pipeline.segments.encoder import SegmentEncoder
from pipeline.source.source_video import VideoStreamInfo

_BYTES_AT_ONCE = 4 << 20
"""Sent in one message: three frames of 1080p."""
_MOST_UNDER_WAY = 2
"""Messages of a segment that are sent and not worked off: all that a slow encoder has waiting."""
_MOST_LOSSES = 3
"""For each encoder that is wanted: then those that are lost are not replaced."""


class EncoderLost(Exception):  # noqa: N818
    """An encoder on another machine is gone, and what it had of a segment."""


class FarEncoder(Protocol):
    """An ``EncoderHost`` on another machine, as its worker sees it."""

    def is_ready(self) -> bool:
        """Whether it has started. Raises EncoderLost where it will not."""
        ...

    def call(self, method: str, *arguments: Any) -> Callable[[], Any]:
        """Call a method of the host, behind the calls before; what returns waits for its result.

        That raises EncoderLost, or what the method has raised.
        """
        ...


class EncoderHost:
    """Encodes segments for one worker, one after the other, in a process of its own."""

    def __init__(self) -> None:
        configure()

    def ready(self) -> None:
        """Answer once it is there."""

    def begin(self, packed: PackedFormat, stream: VideoStreamInfo, output: OutputFrame) -> None:
        """Begin a segment; one before that was given up is forgotten."""
        self._unpacker = FrameUnpacker(packed)
        self._encoder = SegmentEncoder(stream, output)

    def encode(self, frames: Sequence[tuple[int, bytes]]) -> None:
        """Take the next frames, each with its PTS."""
        for pts, data in frames:
            self._encoder.encode(self._unpacker.frame(data), pts)

    def finish(self) -> bytes:
        """Return the piece."""
        return self._encoder.finish()


class EncoderElsewhere:
    """What a worker uses in place of a SegmentEncoder; all methods raise EncoderLost."""

    def __init__(self, far: FarEncoder, stream: VideoStreamInfo, output: OutputFrame) -> None:
        layout = output.encoder.layout
        self._packer = FramePacker(output.width, output.height, layout.pixel_format)
        self._far = far
        self._frames: list[tuple[int, bytes]] = []
        self._bytes = 0
        self._under_way = deque([far.call("begin", self._packer.format, stream, output)])

    def encode(self, frame: av.VideoFrame, pts: int) -> None:
        """Take the next frame, of the layout that was planned, in the order of showing."""
        data = self._packer.packed(frame)
        self._frames.append((pts, data))
        self._bytes += len(data)
        if self._bytes >= _BYTES_AT_ONCE:
            self._send()

    def finish(self) -> bytes:
        """Return the piece."""
        self._send()
        piece = self._far.call("finish")
        while self._under_way:
            self._under_way.popleft()()
        encoded: bytes = piece()
        return encoded

    def _send(self) -> None:
        while len(self._under_way) >= _MOST_UNDER_WAY:
            self._under_way.popleft()()
        self._under_way.append(self._far.call("encode", self._frames))
        self._frames, self._bytes = [], 0


class HiredEncoders:
    """The encoders that one worker has on other machines: started, ready, lost and replaced."""

    def __init__(self, hire: Callable[[], FarEncoder | None], most: int, *, wanted: int) -> None:
        """``hire`` starts one; None: there is no machine for it. ``wanted`` may become ``most``."""
        self._hire = hire
        self.most = most
        self.wanted = wanted
        self._starting: list[FarEncoder] = []
        self.at_work = 0
        self._losses = 0
        self._lock = Lock()
        """Held to count: some are lost while others start, in other threads."""

    def newly_ready(self) -> list[FarEncoder]:
        """Return those that have started since it was last asked, and start what lacks."""
        ready = []
        starting = [*self._starting]
        # First, for it may raise: those found ready below would be gone.
        while self._lacks and (hired := self._hire()) is not None:
            self._starting.append(hired)
        for far in starting:
            try:
                if not far.is_ready():
                    continue
                ready.append(far)
            except EncoderLost:
                with self._lock:
                    self._losses += 1
            self._starting.remove(far)
        with self._lock:
            self.at_work += len(ready)
        return ready

    def lose(self) -> None:
        """Note that one of those at work is lost."""
        with self._lock:
            self.at_work -= 1
            self._losses += 1

    @property
    def given_up(self) -> bool:
        """Whether so many did not start, or were lost, that no more are started."""
        return self._losses >= _MOST_LOSSES * self.most

    @property
    def _lacks(self) -> bool:
        there = self.at_work + len(self._starting)
        return there < self.wanted and not self.given_up
