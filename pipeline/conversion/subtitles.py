"""Text subtitles that a container does not hold as they are: written anew in its own codec.

Words, times, line breaks, bold, italic and underlined are kept; places, fonts and effects are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

import av
from av.container import OutputContainer
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import SubtitleSet

from pipeline.conversion.subtitle_text import CUE_TICK, TEXT_SOURCES, Screen, Shown, TextReader

TextCodec = Literal["mov_text", "subrip", "ass", "webvtt"]

_CODECS: dict[str, tuple[TextCodec, ...]] = {
    "mp4": ("mov_text",),
    "mov": ("mov_text",),
    "matroska": ("subrip", "ass"),
    "webm": ("webvtt",),
}
"""By FFmpeg's names of the containers, the best first: SubRip cannot hold every text."""
_MARKUP = re.compile(r"(\{\\[^}]*\})")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def text_codecs_for(codec: str, container: str) -> tuple[TextCodec, ...]:
    """What a subtitle of some codec may become in a container, the best first; mostly nothing."""
    return _CODECS.get(container, ()) if codec in TEXT_SOURCES else ()


class SubtitleConverter:
    """Adds a stream of a text codec to an open container, and makes its packets."""

    def __init__(self, result: OutputContainer, original: SubtitleStream, codec: TextCodec) -> None:
        self._reader = TextReader(original)
        original.codec_context.open(strict=False)  # only now it has its header
        self.stream = result.add_stream(codec)
        self.stream.time_base = self.stream.codec_context.time_base = CUE_TICK
        self.stream.codec_context.subtitle_header = original.codec_context.subtitle_header
        self._codec = codec
        # A track of mov_text shows one packet at a time: texts that overlap become one.
        self._screen = Screen() if codec == "mov_text" else None
        self._number = 0

    @property
    def damaged(self) -> int:
        """Packets that could not be decoded."""
        return self._reader.damaged

    def take(self, packet: av.Packet[Any] | None) -> Iterator[av.Packet[Any]]:
        """Packets of the new stream for the next one of the source; None: the end."""
        if packet is None:
            for shown in self._screen.rest() if self._screen else ():
                yield self._packet(shown)
            return
        for cue in self._reader.take(packet):
            if self._screen:
                yield from map(self._packet, self._screen.take(cue))
            else:
                yield self._packet(Shown(cue.start, cue.end, (cue,)))

    def _packet(self, shown: Shown) -> av.Packet[Any]:
        text = "\\N".join(
            cue.text if number == 0 else f"{{\\r{cue.style}}}{cue.text}"
            for number, cue in enumerate(shown.cues)
        )
        if self._codec == "webvtt":  # its encoder lets marks through that are text
            text = _escaped(text)
        event = f"{self._number},0,{shown.cues[0].style},,0,0,0,,{text}"
        self._number += 1
        subtitle = SubtitleSet.create(event.encode(), 0, shown.end - shown.start)
        packet = self.stream.codec_context.encode_subtitle(subtitle)
        packet.time_base = CUE_TICK
        packet.pts = packet.dts = shown.start
        packet.duration = shown.end - shown.start
        packet.stream = self.stream
        return packet


def _escaped(text: str) -> str:
    """The text with WebVTT's entities, but for overrides in braces."""
    parts = _MARKUP.split(text)
    return "".join(
        part if number % 2 else part.translate(_ENTITIES) for number, part in enumerate(parts)
    )
