"""Sound that a container cannot hold as it is: decoded, and written as PCM that loses nothing.

Decoders of lossy codecs give floats or 16 bits, decoders of lossless ones as many bits as were
stored; the PCM has the kind of number that the decoder gives: integers of 16, 24 or 32 bits, or
floats of 32 or 64.

In mp4, readers of some years ago take PCM of more than 16 bits for noise and know none of floats.
There it is FLAC of 24 bits, to which floats are rounded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import Any, Literal, TypeAlias, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer

from nst_core.errors import MediaError
from pipeline.conversion.channel_layouts import is_of_its_own, layout_of, told_layout

PcmCodec = Literal["pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"]
SoundCodec: TypeAlias = "PcmCodec | Literal['flac']"

_CODECS: dict[str, PcmCodec] = {
    "u8": "pcm_s16le",
    "s16": "pcm_s16le",
    "s32": "pcm_s32le",
    "flt": "pcm_f32le",
    "dbl": "pcm_f64le",
}
"""By what a decoder gives, interleaved or planar."""
_PCM_CONTAINERS = frozenset({"matroska", "mov", "mp4"})
"""FFmpeg's names of those that hold all of them."""
_PLANES_MISCOUNTED = 8
"""And more: they fill FFmpeg's list of planes, in which PyAV looks for an end."""
_LEAST_GAP = Fraction(1, 10)
"""Seconds; what is less is unevenness of times, of DVDs for one: silence would be heard there. As
in FFmpeg's own filter."""


def sound_codecs_for(stream: AudioStream, container: str) -> Iterator[SoundCodec]:
    """What holds all that a stream's decoder gives, in a container; the best first, often nothing.

    ``container`` is FFmpeg's name of it.
    """
    context = stream.codec_context
    if context is None or context.format is None or not context.sample_rate:
        return
    if is_of_its_own(layout_of(context)):
        return
    pcm = _CODECS.get(context.format.packed.name)
    if pcm and container in _PCM_CONTAINERS:
        if container == "mp4" and pcm != "pcm_s16le":
            yield "flac"
        yield pcm


def conversion_in_words(stream: AudioStream, codec: SoundCodec) -> str:
    """What a stream becomes, for the user."""
    if codec != "flac":
        floats = " (floats)" if codec[4] == "f" else ""
        return f"PCM of {codec[5:7]} bits{floats}, without any loss"
    if gives_floats(stream):
        return "FLAC of 24 bits, to which what its decoder gives is rounded, not to be heard"
    return "FLAC of 24 bits, without any loss"


def gives_floats(stream: AudioStream) -> bool:
    """Whether a stream's decoder gives floats."""
    return stream.codec_context.format.packed.name in ("flt", "dbl")


def add_converted(result: OutputContainer, original: AudioStream, codec: SoundCodec) -> AudioStream:
    """Add a stream for the decoded samples of another."""
    stream = result.add_stream(codec, rate=original.codec_context.sample_rate)
    stream.codec_context.layout = told_layout(layout_of(original.codec_context))
    if codec == "flac":
        stream.codec_context.format = "s32"
    return stream


class SoundDecoder:
    """Decodes a stream's packets; its frames count in samples and never go back in time.

    ``fills_gaps`` puts silence where nothing is: mov and mp4 know no pauses within PCM. With a
    ``part`` only its samples come.
    """

    def __init__(
        self, stream: AudioStream, *, fills_gaps: bool, part: SoundPart | None = None
    ) -> None:
        self.damaged = 0
        """Packets that could not be decoded."""
        self._context = stream.codec_context
        self._context.thread_count = 1
        self._rate = self._context.sample_rate
        self._fills_gaps = fills_gaps
        self._part = part
        self._next: int | None = None
        self._kind: tuple[int, int, str] | None = None
        self._interleaver: AudioResampler | None = None

    def decode(self, packet: av.Packet[Any] | None) -> Iterator[AudioFrame]:
        """Frames of the next packet; None stands for the end.

        Raises MediaError where the sound changes its rate or its channels.
        """
        try:
            frames = self._context.decode(packet)
        except av.EOFError:
            return
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
            self.damaged += 1
            return
        for decoded in frames:
            frame = decoded
            kind = (frame.sample_rate, frame.layout.nb_channels, frame.format.name)
            self._kind = self._kind or kind
            if kind != self._kind or frame.sample_rate != self._rate:
                raise MediaError("sound changes its rate or its channels: no PCM holds both")
            frame = self._interleaved(frame)
            start = self._place(frame, packet.time_base if packet else None)
            silence: Iterator[AudioFrame] = iter(())
            if self._fills_gaps and self._next is not None:
                silence = _silence(frame, self._next, start)
            frame.pts, frame.time_base = start, Fraction(1, self._rate)
            self._next = start + frame.samples
            for each in chain(silence, (frame,)):
                yield from self._part.of(each) if self._part else (each,)

    def _interleaved(self, frame: AudioFrame) -> AudioFrame:
        """The frame as one plane where it has so many that PyAV miscounts them, and crashes."""
        if not frame.format.is_planar or frame.layout.nb_channels < _PLANES_MISCOUNTED:
            return frame
        if self._interleaver is None:
            self._interleaver = AudioResampler(
                frame.format.packed.name, frame.layout.name, frame.sample_rate
            )
        (packed,) = self._interleaver.resample(frame)
        packed.pts, packed.time_base = frame.pts, frame.time_base
        return packed

    def _place(self, frame: AudioFrame, time_base: Fraction | None) -> int:
        """The first sample's number; of several frames in a packet, only the first has a time."""
        tick = frame.time_base or time_base
        if frame.pts is None or not tick:
            return self._next or 0
        place = round(frame.pts * tick * self._rate)
        if self._next is None:
            return place
        uneven = self._fills_gaps and place - self._next < _LEAST_GAP * self._rate
        return self._next if uneven else max(place, self._next)


@dataclass(frozen=True)
class SoundPart:
    """The samples from time zero on, and up to another."""

    seconds: Fraction | None
    """Exclusive; None: up to the end."""

    def of(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        """What of a frame that counts in samples lies in the part."""
        assert frame.pts is not None
        first, last = max(0, -frame.pts), frame.samples
        if self.seconds is not None:
            last = min(last, round(self.seconds * frame.sample_rate) - frame.pts)
        if first >= last:
            return
        if (first, last) == (0, frame.samples):
            yield frame
            return
        each = 1 if frame.format.is_planar else frame.layout.nb_channels
        samples: Any = np.ascontiguousarray(frame.to_ndarray()[:, first * each : last * each])
        part = AudioFrame.from_ndarray(
            samples, format=frame.format.name, layout=told_layout(frame.layout)
        )
        part.sample_rate, part.time_base = frame.sample_rate, frame.time_base
        part.pts = frame.pts + first
        yield part


def _silence(like: AudioFrame, start: int, end: int) -> Iterator[AudioFrame]:
    """Frames of at most a second, from one sample's number to another."""
    while start < end:
        samples = min(end - start, like.sample_rate)
        frame = AudioFrame(format=like.format.name, layout=like.layout, samples=samples)
        silent = 128 if like.format.packed.name == "u8" else 0
        for plane in frame.planes:
            plane.update(bytes([silent]) * plane.buffer_size)
        frame.sample_rate, frame.pts = like.sample_rate, start
        frame.time_base = Fraction(1, like.sample_rate)
        yield frame
        start += samples


def flac_frame(frame: AudioFrame) -> AudioFrame:
    """A frame of 24 bits, in the upper ones of 32. Floats are rounded, and cut at full scale.

    Raises MediaError for integers of more bits.
    """
    samples: Any = frame.to_ndarray()
    if samples.dtype.kind == "f":
        most = 1 << 23
        rounded = np.rint(samples.astype(np.float64) * most).clip(-most, most - 1)
        samples = rounded.astype(np.int32) << 8
    if (samples & 0xFF).any():
        raise MediaError("sound has more than 24 bits: FLAC does not hold it")
    if frame.format.is_planar:
        samples = np.ascontiguousarray(samples.T).reshape(1, -1)
    result = AudioFrame.from_ndarray(samples, format="s32", layout=told_layout(frame.layout))
    result.sample_rate, result.pts, result.time_base = frame.sample_rate, frame.pts, frame.time_base
    return result


class SampleReader:
    """Decodes a stream's packets, one by one, and hashes their samples: 32 bits, interleaved."""

    def __init__(self, stream: AudioStream) -> None:
        self.digest = hashlib.sha256()
        self._context = stream.codec_context

    def take(self, packet: av.Packet[Any]) -> None:
        """Add the next packet; one that cannot be decoded spoils the hash."""
        try:
            for frame in self._context.decode(packet):
                self.add(frame)
        except av.FFmpegError as error:
            self.digest.update(str(error).encode())

    def add(self, frame: AudioFrame) -> None:
        """Add a frame's samples."""
        self.digest.update(frame.to_ndarray().tobytes())


def pcm_bytes(frame: AudioFrame, codec: PcmCodec) -> bytes:
    """A frame's samples, interleaved, as the bytes of a PCM codec; by numpy, not by FFmpeg."""
    samples: Any = frame.to_ndarray()
    if frame.format.is_planar:
        samples = samples.T
    samples = samples.reshape(-1)
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.int16) - 128) << 8
    kind = {"s": "i", "f": "f"}[codec[4]]
    if codec == "pcm_s24le":
        return cast("bytes", samples.astype("<i4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes())
    return cast("bytes", samples.astype(f"<{kind}{int(codec[5:7]) // 8}").tobytes())
