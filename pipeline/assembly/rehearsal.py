"""Copied streams tried before any work: written alone into a container, read again, compared.

What a muxer takes is known only when it has taken it. A stream that fails here would fail after
every frame has been stylized.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, cast

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

from nst_core.errors import MediaError
from pipeline.assembly.copied_packets import CopiedPackets, first_sounds
from pipeline.assembly.muxers import muxer_options
from pipeline.assembly.passages import WITHOUT_PAUSES, CopyPlan, Passage, Way, is_converted, is_text
from pipeline.assembly.stream_contents import UNEVEN_SECONDS, StreamContents
from pipeline.conversion.channel_layouts import layout_of
from pipeline.conversion.matroska_acm import name_acm_tracks
from pipeline.conversion.subtitle_text import TextReader
from pipeline.encoding.encoders import Container
from pipeline.metadata.covers import is_cover
from pipeline.source.media_file import open_source
from pipeline.source.source_video import Cut, SourceVideo

_MOST_BYTES = 64 << 20
"""Bytes rehearsed of all streams together: hours of compressed sound, minutes of PCM."""

_MPEG_LAYERS = frozenset({"mp1", "mp2", "mp3"})
_PCM_BITS = re.compile(r"pcm_[suf](\d+)[bl]e$")
"""Codecs of which every sample has the same bytes in every container, with its bits."""


def rehearse(source: SourceVideo, copies: CopyPlan, container: Container) -> frozenset[int]:
    """Write and read again the start of each stream; returns those that do not come out alike.

    Attachments are never among them, nor the covers that become attachments.
    """
    written = 0
    options = muxer_options(container, source)
    options.pop("movflags", None)  # what is in memory has no name to be opened again by
    with open_source(source.path) as original:
        first = first_sounds(source, copies, container.format)
        trials = {
            index: _Trial(
                container, options, original.streams[index], way, source.cut, first.get(index)
            )
            for index, way in copies.ways.items()
            if _is_tried(original.streams[index], container)
        }
        for packet in CopiedPackets(original, source, copies) if trials else ():
            if trial := trials.get(packet.stream_index):
                trial.see_time(packet)
                trial.take(packet, is_written=written <= _MOST_BYTES or trial.is_text)
                written += packet.size
            if written > _MOST_BYTES and not any(t.needs_all for t in trials.values()):
                break
        return frozenset(index for index, trial in trials.items() if not trial.comes_out_alike())


def _is_tried(stream: Stream, container: Container) -> bool:
    is_attached = is_cover(stream) and container.format == "matroska"
    return stream.type != "attachment" and not is_attached


class _Trial:
    """One stream on its way into a file of its own, in memory."""

    def __init__(
        self,
        container: Container,
        options: dict[str, str],
        original: Stream,
        way: Way,
        cut: Cut | None,
        first: av.Packet[Any] | None,
    ) -> None:
        self._way = way
        self._file = io.BytesIO()
        self._failed = False
        self._refused = 0
        self.needs_all = is_converted(way)
        """Whether all of it matters: sound that is converted must not change, every text must be
        read again; PCM must not pause in a container that counts its samples."""
        self.is_text = is_text(way)
        self._is_whole = True
        self._expected = StreamContents.of(original)
        if is_converted(way):
            self._expected.codec = way
        self._text = TextReader(cast("SubtitleStream", original)) if self.is_text else None
        self._result: OutputContainer | None = None
        with self._failures_noted():
            self._result = av.open(
                self._file, "w", format=container.format, container_options=options
            )
            self._passage = Passage(self._result, original, way, cut, first=first)
            self._passage.stream.disposition = original.disposition
            self._result.start_encoding()
        if isinstance(original, AudioStream) and way == "copy":
            bits = _PCM_BITS.search(original.codec_context.codec.canonical_name)
            self.needs_all = bits is not None and container.format in WITHOUT_PAUSES
            frame_bits = int(bits[1]) * layout_of(original.codec_context).nb_channels if bits else 8
            self._bytes_per_second = original.codec_context.sample_rate * frame_bits // 8
        self._bytes_seen = 0
        self._begins: Fraction | None = None

    def see_time(self, packet: av.Packet[Any]) -> None:
        """Fail where PCM pauses and the container counts its samples only."""
        if not self.needs_all or is_converted(self._way) or packet.pts is None:
            return
        time = packet.pts * packet.time_base
        self._begins = time if self._begins is None else self._begins
        late = time - self._begins - Fraction(self._bytes_seen, self._bytes_per_second)
        self._failed |= abs(late) > UNEVEN_SECONDS + packet.time_base
        self._bytes_seen += packet.size

    def take(self, packet: av.Packet[Any] | None, *, is_written: bool) -> None:
        """Write what becomes of a packet, or only find it out; a few may be damaged and refused."""
        if self._failed or self._result is None:
            return
        self._is_whole &= is_written
        if self._text and packet:
            self._text.take(packet)
        with self._failures_noted():
            for passed in self._passage.take(packet):
                if not is_written:
                    continue
                try:
                    self._result.mux(passed)
                except av.FFmpegError:
                    self._refused += 1
                else:  # its times are now the output's
                    self._expected.tick = passed.time_base
                    self._expected.take(passed)

    def comes_out_alike(self) -> bool:
        """End the file and compare it with what went in."""
        self.take(None, is_written=self._is_whole)
        with self._failures_noted():
            if self._result:
                self._result.close()
            if self._way == "acm" and not self._failed:
                name_acm_tracks(self._file)
        if self._failed or self._refused > self._expected.packets:
            return False
        if self._text and (self._text.damaged or self._refused):
            return False  # letters that are not UTF-8, say
        if not self._expected.packets:
            return True
        with self._failures_noted():
            self._failed = not self._is_read_again()
        return not self._failed

    def _is_read_again(self) -> bool:
        self._file.seek(0)
        self._expected.text = self._text
        with av.open(self._file, "r") as container:
            found = StreamContents.of(container.streams[0], converted=self.is_text)
            for packet in container.demux(container.streams[0]):
                if packet.size:
                    found.take(packet)
        if found.kind == "audio" and not self._is_same_codec(found.codec):
            return False
        if found.is_cover:
            return bool(found.digest.digest() == self._expected.digest.digest())
        begins = self._expected.times.earliest if self._expected.pts else Fraction(0)
        moved = bool(found.pts) and found.times.earliest - begins > -begins / 2
        later_by = -begins if begins < 0 and moved else Fraction(0)
        return self._expected.is_copied_to(found, later_by=later_by)

    def _is_same_codec(self, found: str) -> bool:
        """Whether a player will know what it is; the layers of MPEG audio share their mark."""
        return found == self._expected.codec or {found, self._expected.codec} <= _MPEG_LAYERS

    @contextmanager
    def _failures_noted(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, MediaError, ValueError, IndexError):  # the last: nothing is read
            self._failed = True
