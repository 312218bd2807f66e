"""Encoding a segment's frames into a piece: a small file in memory with one closed-GOP stream."""

from __future__ import annotations

import io
import re
from contextlib import nullcontext
from pathlib import Path
from typing import cast

import av
import numpy as np

from nst_core.errors import InputError
from nst_core.processors import has_avx512, ordinary_scheduling
from pipeline.encoding.encoders import EncoderSettings
from pipeline.encoding.output_frame import OutputFrame
from pipeline.encoding.palette import PaletteQuantizer
from pipeline.source.pixel_formats import EXACT
from pipeline.source.source_video import VideoStreamInfo
from pipeline.source.timestamps import decoding_times

_CARDS = Path("/proc/driver/nvidia/gpus")
"""A folder for each card, with what the driver says of it."""
_MODEL = re.compile(r"^Model:(.*)$", re.MULTILINE)
_WITHOUT_NVENC = re.compile(r"\b(A100|H100|H200)\b")
"""In the names of cards for computing centres, which decode and do not encode."""


class SegmentEncoder:
    """Encodes frames into a closed-GOP piece: a small file in memory."""

    def __init__(self, stream: VideoStreamInfo, output: OutputFrame) -> None:
        settings = output.encoder
        self._buffer = io.BytesIO()
        self._palettes = PaletteQuantizer() if settings.pixel_format == "pal8" else None
        self._container = av.open(self._buffer, "w", format=settings.piece_format)
        self._stream = cast(
            "av.VideoStream", self._container.add_stream(settings.encoder, rate=stream.rate)
        )
        self._packets: list[av.Packet[av.VideoStream]] = []
        self._stream.time_base = stream.time_base
        self._time_base = stream.time_base
        self._pixel_format = "bgra" if self._palettes else settings.pixel_format
        context = self._stream.codec_context
        context.width, context.height = output.width, output.height
        context.pix_fmt = settings.pixel_format
        context.time_base = stream.time_base
        context.framerate = stream.rate
        context.thread_count = 1
        if stream.sample_aspect_ratio:
            context.sample_aspect_ratio = stream.sample_aspect_ratio
        context.color_range = output.color.range
        context.color_primaries = output.color.primaries
        context.color_trc = output.color.transfer
        context.colorspace = output.color.matrix
        context.options = _repeatable(settings)

    def encode(self, frame: av.VideoFrame, pts: int) -> None:
        """Take the next frame, of the layout that was planned, in the order of showing."""
        if frame.format.name != self._pixel_format:  # the same samples, stored in another order
            frame = frame.reformat(format=self._pixel_format, interpolation=EXACT)
        frame.pts = pts
        frame.time_base = self._time_base
        self._encode(self._palettes.take(frame) if self._palettes else [frame])

    def finish(self) -> bytes:
        """Drain the encoder and return the piece."""
        if self._palettes:
            self._encode(self._palettes.rest())
        self._packets += self._stream.encode(None)
        # libx265 leaves DTS unset where it is drained after one or two frames.
        order = np.array([packet.pts for packet in self._packets], dtype=np.int64)
        for packet, dts in zip(self._packets, decoding_times(order).tolist(), strict=True):
            packet.dts = dts
            self._container.mux(packet)
        self._container.close()
        return self._buffer.getvalue()

    def _encode(self, frames: list[av.VideoFrame]) -> None:
        for frame in frames:
            with nullcontext() if self._stream.codec_context.is_open else ordinary_scheduling():
                self._packets += self._stream.encode(frame)


def packet_bytes(piece: bytes) -> list[int]:
    """Return the size of each packet of a piece that ``SegmentEncoder.finish`` gave."""
    with av.open(io.BytesIO(piece), "r") as container:
        return [packet.size for packet in container.demux(video=0) if packet.size]


def check_encoder(stream: VideoStreamInfo, output: OutputFrame) -> None:
    """Encode one empty frame, so that a setting the encoder refuses is told before any work.

    Raises InputError.
    """
    try:
        encoder = SegmentEncoder(stream, output)
        encoder.encode(_empty_frame(output), 0)
        encoder.finish()
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        advice = "try another --preset, --crf or --codec"
        if output.encoder.encoder.endswith("nvenc"):
            advice = f"{_why_no_nvenc()}; leave out --encoder nvenc"
        raise InputError(
            f"{output.encoder.encoder} does not open for {output.width}x{output.height} "
            f"({output.encoder.in_words}: {reason}); {advice}"
        ) from error


def _why_no_nvenc() -> str:
    """Say what is to be said of this machine's cards, which their driver names."""
    texts = (path.read_text() for path in _CARDS.glob("*/information"))
    cards = [match[1].strip() for text in texts if (match := _MODEL.search(text))]
    without = [card for card in cards if _WITHOUT_NVENC.search(card)]
    if without and len(without) == len(cards):
        return f"{without[0]} decodes, but has no NVENC"
    return "not every card and driver has NVENC"


def _empty_frame(output: OutputFrame) -> av.VideoFrame:
    """A frame of zeros: of no particular colour."""
    frame = av.VideoFrame(output.width, output.height, output.encoder.layout.pixel_format)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    return frame


def _repeatable(settings: EncoderSettings) -> dict[str, str]:
    """Options under which the same frames give the same bytes, run for run.

    x264's AVX-512 code does not repeat itself (seen with frames up to 320x192: other decisions
    at every run, and none with ``asm=AVX2``). Older CPUs may still give other bytes than newer.
    """
    options = dict(settings.options)
    if settings.encoder == "libx264" and has_avx512():
        options["x264-params"] += ":asm=AVX2"
    return options
