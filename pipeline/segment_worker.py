"""What a worker does with a segment: decode, stylize, encode. An ordinary class; no Ray here."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import av
import torch

from nst_core.color import Matrix, YuvEncoding
from nst_core.errors import InputError
from nst_core.stylizer import Stylizer
from pipeline.encoders import EncoderSettings, OutputFrame
from pipeline.frames import frame_from_yuv, join_yuv, split_yuv, to_yuv420, yuv_of_frame
from pipeline.packet_reader import EncodedPacket
from pipeline.segments import Segment
from pipeline.source_video import VideoStreamInfo

_MOST_FRAMES_PER_BATCH = 8
_PIXELS_PER_BATCH = 4_000_000
"""Bounds the memory of large frames, as they come out: 4 at 720p, 1 at 4K. Stylized frames are as
many as there are threads at least; enlarged ones are not, for each is many times its source."""
_UNSPECIFIED_MATRIX, _BT709, _SMPTE170M = 2, 1, 6
_MATRICES: dict[int, Matrix] = {1: "bt709", 5: "bt601", 6: "bt601", 9: "bt2020"}


@dataclass(frozen=True, repr=False)
class SegmentTask:
    """A segment with all that a worker needs: it sees no file."""

    segment: Segment
    stream: VideoStreamInfo
    output: OutputFrame
    packets: tuple[EncodedPacket, ...]

    def __repr__(self) -> str:
        return f"SegmentTask({self.segment.name}, {len(self.packets)} packets)"


@dataclass(frozen=True, repr=False)
class StylizedSegment:
    """A segment done: an encoded piece, and what came to light on the way."""

    number: int
    piece: bytes
    """A file with one closed-GOP stream; empty when no frame could be decoded."""
    pts: tuple[int, ...]
    """Of the frames in the piece, ascending."""
    missing_pts: tuple[int, ...]
    """Owned, but the decoder gave no frame."""
    corrupt_frames: int
    """Frames that the decoder marked as damaged."""
    errors: tuple[str, ...]
    """What the decoder complained of."""


class SegmentWorker:
    """Stylizes segments, one after the other, with one Stylizer."""

    def __init__(self, stylizer: Stylizer) -> None:
        self._stylizer = stylizer

    @property
    def engine(self) -> str:
        """What computes, for the report."""
        return self._stylizer.engine

    def process(self, task: SegmentTask) -> StylizedSegment:
        """Decode, stylize and encode. Damage is reported in the result, not raised."""
        decoder = SegmentDecoder(task, threads=self._stylizer.threads)
        encoder = SegmentEncoder(task.stream, task.output)
        pts: list[int] = []
        for batch in _batches(decoder.frames(), self._batch_size(task.output)):
            planes = [to_yuv420(frame, task.stream, task.output) for frame in batch]
            source = join_yuv([yuv_of_frame(frame) for frame in planes])
            stylized = self._stylizer.stylize_yuv(source, yuv_encoding(task.stream))
            for frame, yuv in zip(batch, split_yuv(stylized), strict=True):
                assert frame.pts is not None
                encoder.encode(frame_from_yuv(yuv, task.output), frame.pts)
                pts.append(frame.pts)
        delivered = set(pts)
        return StylizedSegment(
            number=task.segment.number,
            piece=encoder.finish() if pts else b"",
            pts=tuple(pts),
            missing_pts=tuple(p for p in task.segment.owned_pts if p not in delivered),
            corrupt_frames=decoder.corrupt_frames,
            errors=tuple(decoder.errors),
        )

    def _batch_size(self, output: OutputFrame) -> int:
        pixels = output.shown_width * output.shown_height
        least = self._stylizer.threads if output.scale == 1 else 1
        return max(least, min(_MOST_FRAMES_PER_BATCH, _PIXELS_PER_BATCH // pixels))


class SegmentDecoder:
    """Decodes a task's packets with a bare decoder and lets the owned frames through."""

    def __init__(self, task: SegmentTask, *, threads: int) -> None:
        self.errors: list[str] = []
        self.corrupt_frames = 0
        self._task = task
        self._context = _decoder(task.stream, threads)

    def frames(self) -> Iterator[av.VideoFrame]:
        """Owned frames, in the order of showing."""
        wanted = set(self._task.segment.owned_pts)
        last = min(wanted) - 1
        for frame in self._decoded():
            frame.time_base = self._task.stream.time_base
            # A decoder that lost its place gives frames twice or late: encoders take neither.
            if frame.pts not in wanted or frame.pts <= last:
                continue
            last = frame.pts
            self.corrupt_frames += frame.is_corrupt
            yield frame

    def _decoded(self) -> Iterator[av.VideoFrame]:
        for packet in self._task.packets:
            yield from self._feed(_av_packet(packet, self._task.stream))
        yield from self._feed(None)

    def _feed(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        try:
            return self._context.decode(packet)
        except av.EOFError:
            return []
        except av.FFmpegError as error:  # a damaged packet: note it, go on with the next
            self.errors.append(str(error))
            return []


class SegmentEncoder:
    """Encodes frames into a closed-GOP piece: a small file in memory."""

    def __init__(self, stream: VideoStreamInfo, output: OutputFrame) -> None:
        settings = output.encoder
        self._buffer = io.BytesIO()
        self._container = av.open(self._buffer, "w", format=settings.piece_format)
        self._stream = cast(
            "av.VideoStream", self._container.add_stream(settings.encoder, rate=stream.rate)
        )
        self._stream.time_base = stream.time_base
        self._time_base = stream.time_base
        context = self._stream.codec_context
        context.width, context.height = output.width, output.height
        context.pix_fmt = settings.pixel_format
        context.time_base = stream.time_base
        context.framerate = stream.rate
        context.thread_count = 1
        if stream.sample_aspect_ratio:
            context.sample_aspect_ratio = stream.sample_aspect_ratio
        context.color_range = 2 if stream.full_range else max(1, stream.color.range)
        context.color_primaries = stream.color.primaries
        context.color_trc = stream.color.transfer
        context.colorspace = _matrix_tag(stream, output)
        context.options = _repeatable(settings)

    def encode(self, frame: av.VideoFrame, pts: int) -> None:
        """Take the next frame, in the order of showing."""
        frame.pts = pts
        frame.time_base = self._time_base
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> bytes:
        """Drain the encoder and return the piece."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._buffer.getvalue()


def check_encoder(stream: VideoStreamInfo, output: OutputFrame) -> None:
    """Encode one black frame, so that a setting the encoder refuses is told before any work.

    Raises InputError.
    """
    try:
        encoder = SegmentEncoder(stream, output)
        encoder.encode(av.VideoFrame(output.width, output.height, output.encoder.pixel_format), 0)
        encoder.finish()
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{output.encoder.encoder} does not open for {output.width}x{output.height} with "
            f"{dict(output.encoder.options)} ({reason}); try another --preset, --crf or --codec"
        ) from error


def yuv_encoding(stream: VideoStreamInfo) -> YuvEncoding:
    """How the stream's numbers mean colours; untagged is BT.709 in high definition, else BT.601."""
    untagged: Matrix = "bt709" if stream.high_definition else "bt601"
    return YuvEncoding(_MATRICES.get(stream.color.matrix, untagged), stream.full_range)


def _matrix_tag(stream: VideoStreamInfo, output: OutputFrame) -> int:
    """Say the matrix of an untagged source where its new size would let players guess another."""
    shown = replace(stream, width=output.shown_width, height=output.shown_height)
    if stream.color.matrix != _UNSPECIFIED_MATRIX or (
        shown.high_definition == stream.high_definition
    ):
        return stream.color.matrix
    return _BT709 if stream.high_definition else _SMPTE170M


def _repeatable(settings: EncoderSettings) -> dict[str, str]:
    """Options under which the same frames give the same bytes, run for run.

    x264's AVX-512 code does not repeat itself (seen with frames up to 320x192: other decisions
    at every run, and none with ``asm=AVX2``). Older CPUs may still give other bytes than newer.
    """
    options = dict(settings.options)
    if settings.encoder == "libx264" and torch.backends.cpu.get_cpu_capability() == "AVX512":
        options["x264-params"] += ":asm=AVX2"
    return options


def _decoder(stream: VideoStreamInfo, threads: int) -> av.VideoCodecContext:
    context = cast("av.VideoCodecContext", av.VideoCodecContext.create(stream.codec, "r"))
    if stream.extradata:
        context.extradata = stream.extradata
    context.width, context.height = stream.width, stream.height
    context.pix_fmt = stream.pixel_format
    if len(stream.codec_tag) == 4 and stream.codec_tag.isascii() and stream.codec_tag.isprintable():
        context.codec_tag = stream.codec_tag
    if stream.bits_per_coded_sample:
        context.bits_per_coded_sample = stream.bits_per_coded_sample
    if stream.codec == "h264":
        # Streams that do not say how far they reorder: wait for the most, rather than drop frames.
        context.options = {"strict": "1"}
    context.thread_type = "SLICE" if threads == 1 else "AUTO"
    context.thread_count = threads
    return context


def _av_packet(packet: EncodedPacket, stream: VideoStreamInfo) -> av.Packet[Any]:
    # av.Packet(data) would share the bytes without the padding that decoders read beyond the end.
    result = av.Packet(len(packet.data))
    result.update(packet.data)
    result.pts, result.dts = packet.pts, packet.dts
    result.time_base = stream.time_base
    result.duration = packet.duration
    result.is_keyframe = packet.is_keyframe
    return result


def _batches(frames: Iterator[av.VideoFrame], size: int) -> Iterator[list[av.VideoFrame]]:
    batch: list[av.VideoFrame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
