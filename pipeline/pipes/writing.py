"""The stylized film on its way out through a pipe: y4m, or NUT with the sound that came along."""

from __future__ import annotations

import heapq
import io
import os
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Protocol

import av
from av.container import OutputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from nst_core.errors import MediaError
from pipeline.assembly.muxers import abilities
from pipeline.assembly.passages import codec_of
from pipeline.encoding.encoders import PIPE_CONTAINERS
from pipeline.encoding.output_frame import OutputFrame
from pipeline.metadata.covers import is_cover
from pipeline.pipes.nut_aspect import with_pixel_aspect
from pipeline.pipes.reading import PIPE, PipedFilm
from pipeline.segments.task import SegmentResult
from pipeline.source.media_file import reason

_RANGES = {1: " XCOLORRANGE=LIMITED", 2: " XCOLORRANGE=FULL"}
_MISSED = frozenset({"audio", "subtitle", "video"})


def streams_to_copy(
    film: PipedFilm, output: str, *, allow_left_out: bool, warnings: list[str]
) -> list[Stream]:
    """Choose the streams that go along; what does not is told in ``warnings``.

    Raises MediaError for sound, subtitles and films that ``output`` does not hold, unless
    ``allow_left_out``.
    """
    copied = []
    supported = abilities(PIPE_CONTAINERS[".nut"])[0] if output == "nut" else frozenset()
    for stream in film.others:
        codec = codec_of(stream)
        is_missed = stream.type in _MISSED and not is_cover(stream)
        if is_missed and codec in supported:
            copied.append(stream)
            continue
        words = f"its stream {stream.index} ({stream.type}, {codec}) does not fit into {output}"
        if is_missed and not allow_left_out:
            other = "--output-format nut may hold it, or " if output == "y4m" else ""
            raise MediaError(f"{film.name}: {words}; {other}--allow-left-out leaves it out")
        warnings.append(f"{words} and is left out")
    if film.info.has_alpha_packets:
        warnings.append("its alpha, which lies beside its frames, is left out; a file keeps it")
    if film.is_turned:
        warnings.append(
            f"it is shown turned or mirrored, which {output} cannot say; ffmpeg, which turns the "
            "frames themselves, may stand before: ffmpeg -i FILE ... | nst stylize video - -o -"
        )
    return copied


class PipeWriter(Protocol):
    """Writes a film to a pipe."""

    def write(self, result: SegmentResult[bytes], beside: Sequence[av.Packet[Any]]) -> None:
        """Write the next segment, and the packets of other streams that came with it.

        Raises BrokenPipeError where nobody reads any more.
        """
        ...

    def finish(self) -> None:
        """Write what belongs at the end. Raises BrokenPipeError."""
        ...


class Y4mWriter:
    """Writes y4m: a line of text, and before each frame's planes another."""

    def __init__(self, descriptor: int, film: PipedFilm, output: OutputFrame) -> None:
        self._descriptor = descriptor
        self._header: str | None = y4m_header(film, output)

    def write(self, result: SegmentResult[bytes], beside: Sequence[av.Packet[Any]]) -> None:
        """Write the next segment's frames; other streams are none of y4m's."""
        if self._header:
            write_all(self._descriptor, f"{self._header}\n".encode())
            self._header = None
        for packet in _packets(result):
            write_all(self._descriptor, b"FRAME\n")
            write_all(self._descriptor, packet)

    def finish(self) -> None:
        """Nothing belongs at its end."""


def y4m_header(film: PipedFilm, output: OutputFrame) -> str:
    """Return the first line of a stream of y4m; marks of the source's stay as far as they hold."""
    info, layout = film.info, output.encoder.layout
    chroma = layout.subsampling + (f"p{layout.depth}" if layout.depth > 8 else "")
    if chroma == "420":
        marks = [mark for mark in film.y4m_header.split() if mark.startswith("C420")]
        chroma = marks[0][1:] if marks and "p1" not in marks[0] else "420mpeg2"
    aspect = info.sample_aspect_ratio or Fraction(1)
    return (
        f"YUV4MPEG2 W{output.width} H{output.height} "
        f"F{info.rate.numerator}:{info.rate.denominator} Ip "
        f"A{aspect.numerator}:{aspect.denominator} C{chroma} XYSCSS={chroma.upper()}"
        f"{_RANGES.get(output.color.range, '')}"
    )


class NutWriter:
    """Writes NUT: FFmpeg's own container for pipes."""

    def __init__(
        self, descriptor: int, film: PipedFilm, output: OutputFrame, copied: Sequence[Stream]
    ) -> None:
        self._descriptor = descriptor
        self._film = film
        self._output = output
        self._copied = copied
        self._buffer = _Unseekable()
        self._aspect = film.info.sample_aspect_ratio
        """Width of a pixel by its height; None once it is written."""
        self._begun: tuple[OutputContainer, VideoStream] | None = None
        self._streams: dict[int, Stream] = {}

    def write(self, result: SegmentResult[bytes], beside: Sequence[av.Packet[Any]]) -> None:
        """Write the next segment, with the sound that came along. Raises MediaError, too."""
        with av.open(io.BytesIO(result.piece), "r") as piece:
            container, video = self._begun or self._begin(piece.streams.video[0])
            pictures: list[av.Packet[Any]] = []
            packets = (packet for packet in piece.demux(video=0) if packet.size)
            for picture, pts in zip(packets, result.pts, strict=True):
                picture.time_base = self._film.info.time_base
                picture.pts = picture.dts = pts
                picture.stream = video
                pictures.append(picture)
            others = [packet for packet in beside if packet.stream_index in self._streams]
            for packet in others:
                packet.stream = self._streams[packet.stream_index]
            for packet in heapq.merge(pictures, others, key=_seconds):
                try:
                    container.mux(packet)
                except av.FFmpegError as error:
                    raise MediaError(
                        f"{self._film.name}: the times of its streams go back ({reason(error)}); "
                        "in a file they are mended, nst stylize video FILE -o out.mkv"
                    ) from error
                self._send()

    def finish(self) -> None:
        """Write the index at its end."""
        if self._begun:
            self._begun[0].close()
            self._send()

    def _begin(self, template: VideoStream) -> tuple[OutputContainer, VideoStream]:
        """Write the header, after the first piece."""
        info, options = self._film.info, {"fflags": "+bitexact"}
        result = av.open(self._buffer, "w", format="nut", container_options=options)
        if self._output.encoder.codec == "rawvideo":  # of which a template does not tell the format
            video = result.add_stream("rawvideo", rate=info.rate)
            video.width, video.height = self._output.width, self._output.height
            video.pix_fmt = self._output.encoder.pixel_format
            video.codec_context.time_base = info.time_base
        else:
            video = result.add_stream_from_template(template, opaque=True)
        context = video.codec_context
        context.framerate = info.rate
        context.color_range = self._output.color.range
        video.time_base = info.time_base
        for original in self._copied:
            stream = result.add_stream_from_template(original, opaque=True)
            stream.metadata.update(original.metadata)
            stream.disposition = original.disposition
            self._streams[original.index] = stream
        result.start_encoding()
        self._begun = result, video
        return self._begun

    def _send(self) -> None:
        data = self._buffer.getvalue()
        if data and self._aspect:
            data, self._aspect = with_pixel_aspect(data, self._aspect), None
        write_all(self._descriptor, data)
        self._buffer.seek(0)
        self._buffer.truncate()


class _Unseekable(io.BytesIO):
    """Bytes that are sent on as they come: a muxer must not go back in them."""

    name = str(PIPE)

    def seekable(self) -> bool:
        return False


def write_all(descriptor: int, data: bytes) -> None:
    """Write all bytes to a descriptor, however few it takes at a time. Raises BrokenPipeError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _packets(result: SegmentResult[bytes]) -> list[bytes]:
    with av.open(io.BytesIO(result.piece), "r") as piece:
        return [bytes(packet) for packet in piece.demux(video=0) if packet.size]


def _seconds(packet: av.Packet[Any]) -> Fraction:
    timestamp = packet.dts if packet.dts is not None else packet.pts
    return (timestamp or 0) * packet.time_base
