"""What text subtitles show, and when: read alike from every codec that FFmpeg decodes to ASS."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, cast

import av
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle

TEXT_SOURCES = frozenset({"subrip", "ass", "webvtt", "mov_text", "text"})
"""Codecs, by FFmpeg's names, whose packets are texts with a time."""
CUE_TICK = Fraction(1, 1000)
"""Seconds."""
_LONGEST_UNTOLD = 5000
"""Milliseconds for which a text without a duration is shown at most: else until the next one."""
_UNEVEN = 2
"""Milliseconds by which times may differ: containers round starts and durations apart."""
_DRAWING = re.compile(r"\{[^}]*\\p[1-9][^}]*\}.*?(?=\{[^}]*\\p0[^}]*\}|$)")
_BLOCK = re.compile(r"\{[^}]*\}")
_OVERRIDE = re.compile(r"\\[^\\}]*")
_OVERRIDES = re.compile(r"\{\\[^}]*\}")
_ESCAPED_BRACE, _ESCAPED_BACKSLASH = ("\\{{}", "{"), ("\\\u2060", "\\")
"""What FFmpeg's decoder of WebVTT makes of a brace and of a backslash."""
_BREAKS = re.compile(r"\\[Nnh]|\s+")


@dataclass(frozen=True)
class Cue:
    """A text with its time."""

    start: int
    """Milliseconds."""
    end: int
    """Milliseconds; where it is ``start``, the source does not tell it."""
    style: str
    """A style of the header; ASS alone has several."""
    text: str
    """As in an ASS event: with overrides in braces, without drawings."""

    @property
    def words(self) -> str:
        """What is read, on one line."""
        return _BREAKS.sub(" ", _OVERRIDES.sub("", self.text)).strip()


@dataclass(frozen=True)
class Shown:
    """What is on the screen between two changes."""

    start: int
    end: int
    cues: tuple[Cue, ...]
    """In the order in which they came, no words twice."""

    @property
    def words(self) -> str:
        """All that is read, on one line."""
        return " ".join(cue.words for cue in self.cues)


def read_cues(context: SubtitleCodecContext, packet: av.Packet[Any]) -> Iterator[Cue]:
    """Decode a packet; nothing comes where it shows nothing. Raises av.FFmpegError."""
    found = context.decode2(packet)
    if found is None or packet.pts is None:
        return
    start = round(packet.pts * packet.time_base * 1000)
    end = round((packet.pts + (packet.duration or 0)) * packet.time_base * 1000)
    for rectangle in found:
        event = cast("AssSubtitle", rectangle).ass.decode("utf-8", "replace").split(",", 8)
        if len(event) < 9:
            continue
        text = _DRAWING.sub("", event[-1])
        if context.codec.canonical_name == "ass":  # elsewhere such braces are text
            text = _BLOCK.sub(_without_comments, text)
        elif context.codec.canonical_name == "webvtt":
            text = text.replace(*_ESCAPED_BRACE).replace(*_ESCAPED_BACKSLASH)
        cue = Cue(start, end, event[2], text)
        if cue.words:
            yield cue


def _without_comments(block: re.Match[str]) -> str:
    overrides = "".join(_OVERRIDE.findall(block[0]))
    return f"{{{overrides}}}" if overrides else ""


class Screen:
    """Cues as they come, in the order of their starts, made into what is shown at a time."""

    def __init__(self) -> None:
        self._cues: list[Cue] = []
        self._time = -(1 << 62)

    def take(self, cue: Cue) -> Iterator[Shown]:
        """What is shown before a cue; it counts from then on."""
        yield from self._until(cue.start)
        self._cues.append(cue)

    def rest(self) -> Iterator[Shown]:
        """What is shown after the last cue has come."""
        latest = max((self._end(cue) for cue in self._cues), default=0)
        yield from self._until(latest)

    def _until(self, time: int) -> Iterator[Shown]:
        self._cues = [
            replace(cue, end=min(self._end(cue), time))
            if cue.start == cue.end and cue.start < time
            else cue
            for cue in self._cues
        ]
        changes = sorted({time, *(cue.end for cue in self._cues if cue.end < time)})
        for end in changes:
            there = [cue for cue in self._cues if cue.end >= end]
            if there and self._time < end:
                yield Shown(self._time, end, tuple({cue.words: cue for cue in there}.values()))
            self._time = max(self._time, end)
        self._cues = [cue for cue in self._cues if cue.end > time or cue.start == cue.end]

    @staticmethod
    def _end(cue: Cue) -> int:
        return cue.end if cue.end > cue.start else cue.start + _LONGEST_UNTOLD


class TextReader:
    """Reads a stream's packets, one by one, into the cues of all of it."""

    def __init__(self, stream: SubtitleStream) -> None:
        self.cues: list[Cue] = []
        self.damaged = 0
        """Packets that could not be decoded."""
        self._context = stream.codec_context

    def take(self, packet: av.Packet[Any]) -> list[Cue]:
        """The cues of the next packet; they are kept as well."""
        try:
            found = list(read_cues(self._context, packet))
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
            self.damaged += 1
            return []
        self.cues += found
        return found


def show_alike(cues: Iterable[Cue], others: Iterable[Cue], *, later_by: Fraction) -> bool:
    """Whether the same words are read at the same times, the others' ``later_by`` seconds later."""
    ours, theirs = _lasting(cues), _lasting(others)
    shift = later_by * 1000
    return len(ours) == len(theirs) and all(
        a.words == b.words
        and abs(b.start - a.start - shift) <= _UNEVEN
        and abs(b.end - a.end - shift) <= _UNEVEN
        for a, b in zip(ours, theirs, strict=True)
    )


def _lasting(cues: Iterable[Cue]) -> list[Shown]:
    """What is shown, one entry for the same words without a pause, those of a moment left out."""
    screen = Screen()
    ordered: Sequence[Cue] = sorted(cues, key=lambda cue: cue.start)
    shown = [each for cue in ordered for each in screen.take(cue)]
    result: list[Shown] = []
    for each in [*shown, *screen.rest()]:
        if each.end - each.start <= _UNEVEN:
            continue
        last = result[-1] if result else None
        if last and last.words == each.words and each.start - last.end <= _UNEVEN:
            result[-1] = replace(last, end=each.end)
        else:
            result.append(each)
    return result
