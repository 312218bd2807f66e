"""A film for a pipe: read once, from a pipe or a file, decoded, handed out in segments as it comes.

Frames are decoded here, in a thread, so that segments may be cut anywhere. Workers get them as raw
packets, and do with these what they do with a file's.
"""

from __future__ import annotations

import io
import os
import queue
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from nst_core.errors import InputError, MediaError
from pipeline.segments.packet_reader import EncodedPacket
from pipeline.segments.plan import Segment
from pipeline.source.first_frame import display_matrix
from pipeline.source.media_file import film_streams, main_video_stream, open_source, reason
from pipeline.source.source_video import VideoStreamInfo, describe, with_first_frame

PIPE = Path("-")
"""What a user calls standard input and output."""
_FORMATS = {"y4m": "yuv4mpegpipe", "mkv": "matroska", "ts": "mpegts"}
"""FFmpeg's names, where users have others."""
_MOST_SEGMENT_BYTES = 32 << 20
"""Bytes of the frames in a segment: a few segments are in memory at a time."""
_SECONDS_TO_WAIT = 0.1
_SAME_STEP_SECONDS = 0.002
"""By how much frames that are equally long differ in it, where a format counts milliseconds."""


@dataclass(frozen=True)
class PipedFilm:
    """What a stream is, by its headers and its first frame."""

    name: str
    """``-``, or the file's path."""
    info: VideoStreamInfo
    """As workers get it: its packets are raw frames."""
    others: tuple[Stream, ...]
    """All its streams but the one that is stylized."""
    y4m_header: str
    """First line of a stream of y4m; empty for another."""
    is_turned: bool
    """Whether a player is told to turn or mirror it."""


@dataclass(frozen=True, repr=False)
class PipedSegment:
    """A segment with its packets, and those of other streams that came with it."""

    segment: Segment
    packets: tuple[EncodedPacket, ...]
    beside: tuple[av.Packet[Any], ...]


class PipeReader:
    """Reads a film from a file descriptor or a file, one segment ahead."""

    def __init__(self, source: int | Path, input_format: str | None = None) -> None:
        """``input_format`` is y4m, nut or another of FFmpeg's; None: it is found out."""
        self.damage: list[str] = []
        """What was not whole, in words; complete at the end."""
        self.is_uneven = False
        """Whether its frames are not equally long; known at the end."""
        self._pipe = None if isinstance(source, Path) else _Pipe(source)
        self._name = source if isinstance(source, Path) else PIPE
        self._format = input_format
        self._found: queue.Queue[Any] = queue.Queue(maxsize=1)
        """A PipedFilm, then segments; at last what ``next`` raises."""
        self._cutter: _Cutter | None = None
        self._may_cut = threading.Event()
        self._open = ExitStack()
        """Holds the container, after whose streams the output's are made, to the end."""

    def open(self) -> PipedFilm:
        """Wait for the first frame. Raises MediaError where none comes, and InputError."""
        # Not waited for at the end of the process: it may hang on a pipe that nobody writes to.
        threading.Thread(target=self._read, name="pipe", daemon=True).start()
        while (film := self._next()) is None:
            continue
        return cast("PipedFilm", film)

    def begin(self, info: VideoStreamInfo, *, seconds: float, warm_up: int) -> None:
        """Let segments be cut: of ``seconds``, each behind ``warm_up`` frames before it."""
        self._cutter = _Cutter(info, str(self._name), seconds=seconds, warm_up=warm_up)
        self._may_cut.set()

    def next(self) -> PipedSegment | None:
        """Return the next segment; None: it is not there yet.

        Raises StopIteration at the end, and MediaError.
        """
        return cast("PipedSegment | None", self._next())

    def _next(self) -> Any:
        try:
            found = self._found.get(timeout=_SECONDS_TO_WAIT)
        except queue.Empty:
            return None
        if isinstance(found, Exception):
            raise found
        return found

    def _read(self) -> None:
        try:
            for found in self._pieces():
                self._found.put(found)
            self._found.put(StopIteration())
        except Exception as error:
            self._found.put(error)

    def _pieces(self) -> Iterator[PipedFilm | PipedSegment]:
        container = self._opened()
        stream = self._film_in(container)
        frames = _Frames(container, stream, self.damage)
        first = next(frames.all, None)
        if first is None:
            raise MediaError(f"{self._name}: no frame of it can be decoded")
        info = with_first_frame(describe(stream, self._name), first)
        is_y4m = container.format.name == _FORMATS["y4m"]
        yield PipedFilm(
            str(self._name),
            replace(
                info,
                codec="rawvideo",
                came_as=info.codec,
                extradata=None,
                codec_tag="",
                bits_per_coded_sample=0,
            ),
            tuple(each for each in container.streams if each is not stream),
            self._first_line() if is_y4m else "",
            is_turned=display_matrix(first) is not None,
        )
        self._may_cut.wait()
        assert self._cutter is not None
        self._cutter.add(first)
        for frame in frames.all:
            if self._cutter.is_full:
                yield self._cutter.cut(frames.beside)
            self._cutter.add(frame)
        yield self._cutter.cut(frames.beside)
        self.is_uneven = self._cutter.is_uneven
        if is_y4m and frames.end != self._size():
            self.damage.append("its last frame is cut short, and left out")

    def _film_in(self, container: InputContainer) -> VideoStream:
        if self._pipe is None:
            return main_video_stream(container, self._name)
        films = film_streams(container)
        if not films:
            raise MediaError(f"{PIPE}: no video stream in it")
        return max(films, key=lambda each: each.width * each.height)

    def _size(self) -> int:
        """Bytes of all that came."""
        return self._pipe.taken if self._pipe else self._name.stat().st_size

    def _first_line(self) -> str:
        if self._pipe:
            return self._pipe.first_line()
        with self._name.open("rb") as file:
            return file.readline().decode(errors="replace")

    def _opened(self) -> InputContainer:
        if self._pipe is None:
            return self._open.enter_context(open_source(self._name))
        name = _FORMATS.get(self._format or "", self._format)
        try:
            return av.open(self._pipe, "r", format=name, metadata_errors="surrogateescape")
        except av.FFmpegError as error:
            raise MediaError(
                f"{PIPE}: not a readable video ({reason(error)}); --input-format y4m, nut or "
                "another of FFmpeg's says what it is"
            ) from error
        except ValueError as error:
            raise InputError(
                f"--input-format {self._format}: not known here; try y4m, nut or matroska"
            ) from error


class _Pipe(io.RawIOBase):
    """Bytes from a descriptor, counted."""

    def __init__(self, descriptor: int) -> None:
        self.name = str(PIPE)
        self.taken = 0
        self._descriptor = descriptor
        self._start = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = os.read(self._descriptor, size)
        self._start = self._start or data
        self.taken += len(data)
        return data

    def first_line(self) -> str:
        return self._start.partition(b"\n")[0].decode(errors="replace")


class _Frames:
    """The frames of a stream, in the order of showing; packets of other streams are laid aside."""

    def __init__(self, container: InputContainer, stream: VideoStream, damage: list[str]) -> None:
        self.all = self._decoded(container, stream, damage)
        self.beside: list[av.Packet[Any]] = []
        """For whoever takes a segment to take away."""
        self.end = 0
        """Where the last packet ends in a stream of y4m, in bytes."""

    def _decoded(
        self, container: InputContainer, stream: VideoStream, damage: list[str]
    ) -> Iterator[av.VideoFrame]:
        damaged = 0
        try:
            for packet in container.demux():
                if packet.stream is not stream:
                    if packet.size:
                        self.beside.append(packet)
                    continue
                if packet.size:
                    self.end = (packet.pos or 0) + packet.size
                try:
                    yield from cast("list[av.VideoFrame]", packet.decode())
                except av.FFmpegError:
                    damaged += 1
        except (av.FFmpegError, IndexError) as error:  # the latter: streams that begin later
            damage.append(f"it could be read only in part ({reason(error)})")
        if damaged:
            damage.append(f"{damaged} of its packets could not be decoded")


class _Cutter:
    """Makes segments of frames, each of so many and no more than _MOST_SEGMENT_BYTES."""

    def __init__(self, info: VideoStreamInfo, name: str, *, seconds: float, warm_up: int) -> None:
        self._seconds, self._name = seconds, name
        self._info = info
        self._step = max(1, round(1 / (info.rate * info.time_base)))
        self._packets: list[EncodedPacket] = []
        self._warm: deque[EncodedPacket] = deque(maxlen=warm_up)
        self._number = self._first = 0
        self._encoder = av.VideoCodecContext.create("rawvideo", "w")
        self._encoder.width, self._encoder.height = info.width, info.height
        self._encoder.pix_fmt, self._encoder.time_base = info.pixel_format, info.time_base
        self._stored = info.width, info.height, info.pixel_format
        self._last: int | None = None
        self.is_uneven = False

    @property
    def is_full(self) -> bool:
        """Whether the next frame is another segment's."""
        a_frame = len(self._packets[0].data)
        most = min(int(self._seconds * self._info.rate), _MOST_SEGMENT_BYTES // a_frame)
        return len(self._packets) >= max(1, most)

    def add(self, frame: av.VideoFrame) -> None:
        """Take the next frame, at its time, or behind the last where that is not later.

        Raises MediaError for one of another size or format.
        """
        if (frame.width, frame.height, frame.format.name) != self._stored:
            raise MediaError(
                f"{self._name}: its frames change to {frame.width}x{frame.height}, "
                f"{frame.format.name}, on the way; only from a file into a file they are scaled"
            )
        next_one = 0 if self._last is None else self._last + self._step
        pts = next_one if frame.pts is None else frame.pts
        if self._last is not None and pts <= self._last:
            pts = self._last + 1
        late = float(abs(pts - next_one) * self._info.time_base)
        self.is_uneven |= self._last is not None and late > _SAME_STEP_SECONDS
        self._last = pts
        (packet,) = self._encoder.encode(frame)
        self._packets.append(EncodedPacket(bytes(packet), pts, pts, self._step, is_keyframe=True))

    def cut(self, beside: list[av.Packet[Any]]) -> PipedSegment:
        """Return the segment of the frames so far, with what lies ``beside``, which is emptied."""
        first, count = self._first, len(self._packets)
        segment = Segment(
            number=self._number,
            first_packet=first - len(self._warm),
            end_packet=first + count,
            owned_pts=tuple(packet.pts for packet in self._packets),
            warm_pts=tuple(packet.pts for packet in self._warm),
        )
        found = PipedSegment(segment, (*self._warm, *self._packets), tuple(beside))
        self._warm.extend(self._packets)
        self._packets.clear()
        beside.clear()
        self._number, self._first = self._number + 1, first + count
        return found
