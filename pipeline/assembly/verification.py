"""Proof that an output has lost nothing: it is read again and compared with its source."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import AttachmentStream, Stream
from av.video.stream import VideoStream

from pipeline.assembly.copied_packets import CopiedPackets
from pipeline.assembly.passages import (
    WITHOUT_PAUSES,
    CopyPlan,
    Way,
    is_converted,
    is_sound,
    is_text,
)
from pipeline.assembly.stream_contents import StreamContents, Times
from pipeline.conversion.sound import (
    SampleReader,
    SoundCodec,
    SoundDecoder,
    SoundPart,
    flac_frame,
    pcm_bytes,
)
from pipeline.conversion.subtitle_text import CUE_TICK
from pipeline.metadata.chapters import chapter_starts, chapters_for
from pipeline.source.first_frame import display_matrix, first_frame
from pipeline.source.media_file import film_streams, films_before, open_source
from pipeline.source.source_video import Cut, SourceVideo

_COPIED_KINDS = frozenset({"audio", "subtitle", "video"})
"""Not data: mp4 and mov write streams of their own for chapters and timecode. Not attachments:
they have no packets."""
_CHAPTER_TICK = Fraction(1, 1000)
"""Seconds to which containers round the starts of chapters."""
_UNTURNED = (65_536, 0, 0, 0, 65_536)
_MATRIX_TOLERANCE = 2
"""Largest difference of matrix entries, in 1/65536: Matroska keeps an angle, not a matrix."""


@dataclass(frozen=True)
class Verified:
    """What the written file, read again, was found to have."""

    frame_count: bool
    """As many frames as the pieces had."""
    pts: bool
    """Every frame at the time of its source frame, to the nearest tick of the output."""
    copied_streams: bool
    """Every copied stream with the bytes and times of the source, however it is cut; attachments,
    chapters and rotation too, where the container has them."""
    later_by_seconds: float = 0.0
    """By how much all is shown later, sound and picture alike: Matroska has no times before zero.
    Negative for a GIF that begins earlier: each begins at zero."""

    @property
    def everything(self) -> bool:
        """Whether all holds."""
        return self.frame_count and self.pts and self.copied_streams


@dataclass(frozen=True)
class _Beside:
    """What a file has beside streams of packets."""

    attachments: list[bytes]
    chapter_starts: list[Fraction]
    turn: tuple[int, ...] | None
    """Rotation and mirroring: the first five numbers of a display matrix; None: never mind."""

    def is_kept_in(self, copy: _Beside) -> bool:
        starts = zip(self.chapter_starts, copy.chapter_starts, strict=False)
        turns = zip(self.turn or (), copy.turn or (), strict=False)
        return (
            self.attachments == copy.attachments
            and len(self.chapter_starts) == len(copy.chapter_starts)
            and all(abs(b - a) <= _CHAPTER_TICK for a, b in starts)
            and all(abs(b - a) <= _MATRIX_TOLERANCE for a, b in turns)
        )


def verify(
    source: SourceVideo,
    expected_pts: Sequence[int],
    copies: CopyPlan,
    output: Path,
    *,
    refused: Collection[tuple[int, int]] = (),
) -> Verified:
    """Compare ``output`` with its source; ``expected_pts`` are the frames it should show.

    ``refused`` are packets of the source, by stream and number in it, that the muxer did not take.
    """
    with open_source(source.path) as container:
        place = films_before(container, source.stream_index, copies.stream_indices)
    with open_source(output) as container:
        video_stream = film_streams(container)[place]
        video_index, output_format = video_stream.index, container.format.name
        beside = _beside_output(container, video_stream)
    any_converted = any(is_converted(way) for way in copies.ways.values())
    written = _read_output(output, video_index, converted=any_converted)
    with open_source(source.path) as container:
        kept = _beside_source(container, source, copies, output_format)
        originals = _read_copies(container, source, copies, output_format, frozenset(refused))
    before = _with_packets(originals)
    video = written.pop(video_index)
    after = _with_packets(written)
    covers = [
        sorted(stream.digest.digest() for stream in streams.values() if stream.is_cover)
        for streams in (originals, written)
    ]

    expected = Times(array("q", sorted(expected_pts)), source.info.time_base)
    found = Times(array("q", sorted(video.pts)), video.tick)
    times = [expected, *(stream.times for stream in before)]
    later_by = _shift(found, times, output_format)
    return Verified(
        frame_count=len(found.ticks) == len(expected.ticks) == video.packets,
        pts=expected.agree(found, later_by=later_by),
        copied_streams=len(before) == len(after)
        and all(a.is_copied_to(b, later_by=later_by) for a, b in zip(before, after, strict=True))
        and covers[0] == covers[1]
        and kept.is_kept_in(beside),
        later_by_seconds=float(later_by),
    )


def _shift(found: Times, expected: Sequence[Times], output_format: str) -> Fraction:
    """How much later all may be: what lay before zero, if it has been moved to zero.

    ``expected`` holds the picture first, then the copied streams.
    """
    picture = expected[0]
    if not picture.ticks or not found.ticks:
        return Fraction(0)
    if output_format == "gif":
        return -picture.earliest
    earliest = min(times.earliest for times in expected if times.ticks)
    moved_by = found.earliest - picture.earliest
    return -earliest if earliest < 0 and moved_by > -earliest / 2 else Fraction(0)


def _read_output(path: Path, video_index: int, *, converted: bool) -> dict[int, StreamContents]:
    """Every stream by its index; the payload of the picture, which is new, is not hashed."""
    with open_source(path) as container:
        streams = {
            stream.index: StreamContents.of(stream, converted=converted)
            for stream in container.streams
        }
        try:
            for packet in container.demux():
                if packet.size:
                    index = packet.stream_index
                    streams[index].take(packet, payload=index != video_index)
        except av.FFmpegError:
            pass  # cut short: what is missing shows in the numbers
    return streams


def _read_copies(
    container: InputContainer,
    source: SourceVideo,
    copies: CopyPlan,
    output_format: str,
    refused: frozenset[tuple[int, int]],
) -> dict[int, StreamContents]:
    """The copied streams of the source, as far as it can be read, with the times of the output."""
    fills_gaps = bool(WITHOUT_PAUSES & set(output_format.split(",")))
    expected = {
        index: _Expected(container.streams[index], way, source.cut, fills_gaps=fills_gaps)
        for index, way in copies.ways.items()
    }
    numbers: Counter[int] = Counter()
    for packet in CopiedPackets(container, source, copies):
        index = packet.stream_index
        if (index, numbers[index]) not in refused:
            expected[index].take(packet)
        numbers[index] += 1
    for each in expected.values():
        each.take(None)
    return {index: each.contents for index, each in expected.items()}


class _Expected:
    """What a copied stream should hold: its packets, or the samples or texts that they hold."""

    def __init__(self, stream: Stream, way: Way, cut: Cut | None, *, fills_gaps: bool) -> None:
        self.contents = StreamContents.of(stream, converted=is_text(way))
        self._codec: SoundCodec | None = None
        if is_text(way):
            self.contents.tick = CUE_TICK
        elif is_sound(way):
            sound = cast("AudioStream", stream)
            self._codec = way
            part = SoundPart(cut.seconds) if cut else None
            self._decoder = SoundDecoder(sound, fills_gaps=fills_gaps, part=part)
            tick = Fraction(1, sound.codec_context.sample_rate)
            samples = SampleReader(sound) if way == "flac" else None
            self.contents = replace(self.contents, codec=way, tick=tick, samples=samples)

    def take(self, packet: av.Packet[Any] | None) -> None:
        """Add a packet of the source; None stands for the end."""
        if self._codec:
            for frame in self._decoder.decode(packet):
                if self.contents.samples:
                    self.contents.samples.add(flac_frame(frame))
                samples = () if self._codec == "flac" else [pcm_bytes(frame, self._codec)]
                self.contents.add(samples, frame.pts, frame.samples)
        elif packet and self.contents.text:
            for cue in self.contents.text.take(packet):
                self.contents.add((), cue.start, cue.end - cue.start)
        elif packet:
            self.contents.tick = packet.time_base
            self.contents.take(packet)


def _with_packets(streams: dict[int, StreamContents]) -> list[StreamContents]:
    """Not those that are announced and empty: mp4 leaves them out."""
    return [
        stream for stream in streams.values() if stream.kind in _COPIED_KINDS and stream.packets
    ]


def _beside_output(container: InputContainer, video: VideoStream) -> _Beside:
    frame = first_frame(container, video)
    matrix = None if frame is None else display_matrix(frame)
    return _Beside(
        attachments=_attachments(container.streams),
        chapter_starts=chapter_starts(container.chapters()),
        turn=matrix[:5] if matrix else _UNTURNED,
    )


def _beside_source(
    container: InputContainer, source: SourceVideo, copies: CopyPlan, output_format: str
) -> _Beside:
    """What the output should have, as far as its container can hold it."""
    turn = source.display_matrix[:5] if source.display_matrix else _UNTURNED
    keeps_turn = output_format != "gif" and (_is_rotation(turn) or "mp4" in output_format)
    return _Beside(
        attachments=_attachments(container.streams[index] for index in copies.stream_indices),
        chapter_starts=chapter_starts(chapters_for(container, output_format, source.cut)),
        turn=turn if keeps_turn else None,
    )


def _attachments(streams: Iterable[Stream]) -> list[bytes]:
    return [stream.data for stream in streams if isinstance(stream, AttachmentStream)]


def _is_rotation(turn: tuple[int, ...]) -> bool:
    """Whether it only turns or mirrors: Matroska cannot say that a picture is stretched."""
    a, b, flat, c, d = (number / _UNTURNED[0] for number in turn)
    lengths = a * a + b * b, c * c + d * d
    return (
        not flat and abs(a * c + b * d) < 1e-3 and all(abs(length - 1) < 1e-3 for length in lengths)
    )
