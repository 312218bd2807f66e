"""How the packets of one stream of the source get into the output: as they are, or converted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeGuard, cast, get_args

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

from pipeline.conversion.channel_layouts import layout_of, told_layout
from pipeline.conversion.matroska_acm import add_acm
from pipeline.conversion.sound import (
    PcmCodec,
    SoundCodec,
    SoundDecoder,
    SoundPart,
    add_converted,
    flac_frame,
)
from pipeline.conversion.subtitles import SubtitleConverter, TextCodec
from pipeline.metadata.codec_delay import delayed
from pipeline.source.source_video import Cut

Way: TypeAlias = "Literal['copy', 'acm'] | SoundCodec | TextCodec"
"""Copied as the container's own kind of stream, or under a Windows header; or converted to PCM or
FLAC, or to text subtitles of another codec."""
WITHOUT_PAUSES = frozenset({"mov", "mp4"})
"""Containers, by FFmpeg's names, that count the samples of PCM and know no pauses in it."""
WITHOUT_NEGATIVE_TIMES = frozenset({"matroska", "webm"})
"""Containers whose times begin at zero, but for sound's that is delayed by its decoder."""


def is_sound(way: Way) -> TypeGuard[SoundCodec]:
    """Whether a stream is decoded, and written as PCM or FLAC."""
    return way == "flac" or way in get_args(PcmCodec)


def is_text(way: Way) -> TypeGuard[TextCodec]:
    """Whether a stream is decoded, and written as text subtitles."""
    return way in get_args(TextCodec)


def is_converted(way: Way) -> TypeGuard[SoundCodec | TextCodec]:
    """Whether a stream is decoded, and written in another codec."""
    return is_sound(way) or is_text(way)


def codec_of(stream: Any) -> str:
    """Return FFmpeg's name of a stream's codec; of its kind, where it has none."""
    context = getattr(stream, "codec_context", None)
    return str(context.codec.canonical_name if context else stream.name or stream.type)


@dataclass(frozen=True)
class CopyPlan:
    """Which streams of the source go into the output beside the picture, and how."""

    ways: Mapping[int, Way]
    """By the stream's index in the source, in its order."""
    warnings: tuple[str, ...] = ()
    """One line for each stream that is converted, or that the container cannot hold."""
    strict_times: bool = True
    """Whether the container wants every packet of a stream later than the one before."""
    leaves_out: bool = False
    """Whether a stream that something may be in does not go into the output."""

    @property
    def stream_indices(self) -> tuple[int, ...]:
        """Return the indices of all copied streams."""
        return tuple(self.ways)


class Passage:
    """The way of one stream into an open container; it begins by adding a stream there.

    Of a source with a ``cut``, the ``first`` packet of sound may begin before its part does; it is
    needed for a container WITHOUT_NEGATIVE_TIMES.
    """

    def __init__(
        self,
        result: OutputContainer,
        original: Stream,
        way: Way,
        cut: Cut | None = None,
        *,
        first: av.Packet[Any] | None = None,
    ) -> None:
        self.damaged = 0
        """Packets that could not be converted: left out."""
        self._decoder: SoundDecoder | None = None
        self._converter: SubtitleConverter | None = None
        self.stream: Stream
        if way == "copy":
            self.stream = _add_copy(result, original, first)
        elif way == "acm":
            self.stream = add_acm(result, cast("AudioStream", original))
        elif is_text(way):
            self._converter = SubtitleConverter(result, cast("SubtitleStream", original), way)
            self.stream = self._converter.stream
        elif is_sound(way):
            sound = cast("AudioStream", original)
            fills_gaps = result.format.name in WITHOUT_PAUSES
            part = SoundPart(cut.seconds) if cut else None
            self._decoder = SoundDecoder(sound, fills_gaps=fills_gaps, part=part)
            self.stream = add_converted(result, sound, way)
            self._is_flac = way == "flac"

    def take(self, packet: av.Packet[Any] | None) -> Iterator[av.Packet[Any]]:
        """Packets of the output's stream for the next one of the source; None: the end.

        Raises MediaError for sound that changes and is to be converted.
        """
        if self._converter:
            yield from self._converter.take(packet)
            self.damaged = self._converter.damaged
            return
        if self._decoder is None:
            if packet is not None:
                packet.stream = self.stream
                yield packet
            return
        encoder: Any = self.stream
        for frame in self._decoder.decode(packet):
            yield from encoder.encode(flac_frame(frame) if self._is_flac else frame)
        if packet is None:
            yield from encoder.encode(None)
        self.damaged = self._decoder.damaged


def _add_copy(result: OutputContainer, original: Any, first: av.Packet[Any] | None) -> Stream:
    if first is not None and first.pts is not None and first.pts < 0:
        with delayed(original, first) as template:
            stream: Any = _add_from(result, template)
            is_opus = original.codec_context.codec.canonical_name == "opus"
            if not is_opus:  # its header tells the delay, too
                stream.codec_context.extradata = original.codec_context.extradata
            return cast("Stream", stream)
    return _add_from(result, original)


def _add_from(result: OutputContainer, original: Any) -> Stream:
    opaque = {} if original.codec_context is None else {"opaque": True}
    stream: Any = result.add_stream_from_template(original, **opaque)
    if isinstance(stream, AudioStream):
        layout = layout_of(stream.codec_context)
        told = told_layout(layout)
        if told is not layout:
            stream.codec_context.layout = told
    return cast("Stream", stream)
