"""Decoding a segment's packets far from their file, with a bare decoder."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from typing import Any, cast

import av

from pipeline.looks.look import SegmentMask
from pipeline.numbered.exr import is_cut_short
from pipeline.segments.card_decoder import CardError, open_card_decoder
from pipeline.segments.packet_reader import EncodedPacket, put_beside
from pipeline.segments.plan import warm_up_frames
from pipeline.segments.task import SegmentTask
from pipeline.source.source_video import VideoStreamInfo

_log = logging.getLogger(__name__)

_SAME_SHAPE = 0.01
"""By how much pictures of one shape differ in it, where sizes are rounded."""


@dataclass(eq=False)
class DecoderOnItsWay:
    """A decoder that has come as far as a segment's end, within a group of pictures."""

    film: int
    first_packet: int
    """Where it began: what it gives depends on all packets since."""
    threads: int
    context: av.VideoCodecContext
    next_packet: int
    owned_before: int
    """PTS up to which segments have had their frames."""
    waiting: list[av.VideoFrame] = field(default_factory=list)
    """Frames that came out and belong to segments behind."""
    recent: Sequence[av.VideoFrame] = ()
    """The last frames before these: segments behind may begin with them, to follow them."""
    errors: list[tuple[int, str]] = field(default_factory=list)
    """What it complained of, by the packet's PTS, in the packets that such segments own."""


class SegmentDecoder:
    """Decodes a task's packets with a bare decoder and lets the frames it needs through.

    ``earlier`` is the decoder of a segment before: where it has come from the same keyframe it goes
    on, and the way up to the segment is not decoded again. Frames are the same either way.

    ``by_card`` has the graphics card decode. Where it does not, fails, or leaves frames out,
    software decodes from the segment's first packet on: only it tells what is damaged.
    """

    def __init__(
        self,
        task: SegmentTask | SegmentMask,
        *,
        threads: int,
        earlier: DecoderOnItsWay | None = None,
        by_card: bool = False,
    ) -> None:
        self.card_trouble: str | None = None
        """Why software decodes what the card was to decode."""
        self.errors: list[str] = []
        self.corrupt_pts: list[int] = []
        self.notes: set[str] = set()
        self.on_its_way: DecoderOnItsWay | None = None
        """For a segment behind in the same group of pictures, once all frames have come."""
        self._task = task
        segment = task.segment
        if earlier is not None and _goes_on(earlier, task, threads):
            self._context, self._place = earlier.context, earlier.next_packet
            self._waiting = [*earlier.recent, *earlier.waiting]
            self._all_errors = earlier.errors
        else:
            self._context, self._place = self._opened(threads, by_card), segment.first_packet
            self._waiting, self._all_errors = [], []
        self._threads = threads
        self._end = segment.first_packet + len(task.packets)
        self._missing = set(segment.owned_pts)
        self._wanted = {*segment.warm_pts, *segment.owned_pts}
        self._recent: deque[av.VideoFrame] = deque(maxlen=warm_up_frames(task.coherence))

    def frames(self) -> Iterator[av.VideoFrame]:
        """Frames to warm up with and owned ones, in the order of showing."""
        last = min(self._wanted) - 1
        for frame in self._decoded_by_any():
            frame.time_base = self._task.stream.time_base
            # A decoder that lost its place gives frames twice or late: encoders take neither.
            if frame.pts not in self._wanted or frame.pts <= last:
                continue
            last = frame.pts
            self._recent.append(frame)
            if last in self._missing:
                self._missing.discard(last)
                self._note(frame)
            yield frame
        owned = self._task.segment.owned_pts
        self.errors += [words for pts, words in self._all_errors if owned[0] <= pts <= owned[-1]]

    def _note(self, frame: av.VideoFrame) -> None:
        stream = self._task.stream
        if frame.is_corrupt:
            self.corrupt_pts.append(cast("int", frame.pts))
        if (frame.width, frame.height) != (stream.width, stream.height):
            self.notes.add(
                f"its frames change their size: those of {frame.width}x{frame.height} are "
                f"scaled to {stream.width}x{stream.height}, as it begins"
            )
        if frame.interlaced_frame and not stream.has_fields:
            self.notes.add(
                "some of its frames are interlaced; each is stylized as one picture, both fields, "
                "and the output is marked progressive"
            )

    def _opened(self, threads: int, by_card: bool) -> av.VideoCodecContext:
        if by_card:
            try:
                return _with_headers(open_card_decoder(self._task.stream), self._task.stream)
            except CardError as error:
                self.card_trouble = str(error)
        return _decoder(self._task.stream, threads)

    def _decoded_by_any(self) -> Iterator[av.VideoFrame]:
        """Frames by the card as long as they come whole and in order, the others by software."""
        if self._context.is_hwaccel:
            try:
                yield from self._decoded_by_card()
                return
            except (CardError, av.FFmpegError) as error:
                self.card_trouble = f"the card does not decode this stream ({error})"
                _log.debug("%s: %s", self._task, self.card_trouble)
            self._context = _decoder(self._task.stream, self._threads)
            self._place = self._task.segment.first_packet
            self._waiting, self._all_errors = [], []
        yield from self._decoded()

    def _decoded_by_card(self) -> Iterator[av.VideoFrame]:
        expected = sorted(self._wanted)
        place = 0
        for frame in self._decoded():
            if frame.pts in self._wanted:
                if frame.is_corrupt or expected[place : place + 1] != [frame.pts]:
                    raise CardError("frames are damaged or missing")
                place += 1
            yield frame
        if place < len(expected):
            raise CardError("frames are missing")

    def _decoded(self) -> Iterator[av.VideoFrame]:
        segment = self._task.segment
        end = segment.owned_pts[-1]
        waiting, self._waiting = self._waiting, []
        for frame in chain(waiting, self._fed(min(segment.end_packet, self._end))):
            yield from self._now_or_later(frame)
        while self._missing and self._place < self._end:
            for frame in self._fed(self._place + 1):
                yield from self._now_or_later(frame)
        if self._missing or not segment.ahead or self._task.film is None:
            yield from self._feed(None, end)
            return
        self.on_its_way = DecoderOnItsWay(
            self._task.film,
            segment.first_packet,
            self._threads,
            self._context,
            self._place,
            end,
            self._waiting,
            tuple(self._recent),
            [error for error in self._all_errors if error[0] > end],
        )

    def _now_or_later(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        if frame.pts is not None and frame.pts > self._task.segment.owned_pts[-1]:
            if self._task.segment.ahead:
                self._waiting.append(frame)
        else:
            yield frame

    def _fed(self, end_packet: int) -> Iterator[av.VideoFrame]:
        """Frames that come out for the packets up to a place."""
        while self._place < end_packet:
            packet = self._task.packets[self._place - self._task.segment.first_packet]
            self._place += 1
            if self._task.stream.numbered:
                yield from self._decoded_alone(packet)
            else:
                yield from self._feed(_av_packet(packet, self._task.stream), packet.pts)
            if packet.pts in self._missing:
                self._note_pixels()

    def _decoded_alone(self, packet: EncodedPacket) -> Iterator[av.VideoFrame]:
        """Decode a numbered picture by a decoder of its own.

        FFmpeg's one of PNG would predict a first row from the last one of the picture before.
        """
        stream = self._task.stream
        if stream.codec == "exr" and is_cut_short(packet.data):
            self._all_errors.append((packet.pts, "the file is cut short"))
            return
        self._context = _decoder(stream, self._threads)
        for part in (_av_packet(packet, stream), None):
            yield from self._feed(part, packet.pts)

    def _feed(self, packet: av.Packet[Any] | None, pts: int) -> list[av.VideoFrame]:
        try:
            return self._context.decode(packet)
        except av.EOFError:
            return []
        except av.FFmpegError as error:  # a damaged packet: note it, go on with the next
            if self._context.is_hwaccel:
                raise
            self._all_errors.append((pts, str(error)))
            return []

    def _note_pixels(self) -> None:
        """Tell of pixels of another shape, unless another size makes up for it."""
        stream, context = self._task.stream, self._context
        first, now = stream.coded_aspect, context.sample_aspect_ratio
        if not (first and now) or now == first:
            return
        shown, as_first = (
            now * Fraction(context.width, context.height),
            first * Fraction(stream.width, stream.height),
        )
        if abs(shown / as_first - 1) > _SAME_SHAPE:
            self.notes.add(
                f"its pixels change their shape, to {now.numerator}:{now.denominator}: all are "
                f"shown with {first.numerator}:{first.denominator}, as it begins"
            )


def _goes_on(earlier: DecoderOnItsWay, task: SegmentTask | SegmentMask, threads: int) -> bool:
    """Whether the decoder has come the task's own way and has given nothing that it owns."""
    segment = task.segment
    return (
        (earlier.film, earlier.first_packet, earlier.threads)
        == (task.film, segment.first_packet, threads)
        and earlier.next_packet <= segment.end_packet + segment.ahead
        and earlier.owned_before < segment.owned_pts[0]
    )


def begun_by_card(task: SegmentTask) -> Iterator[av.VideoFrame]:
    """Frames by the graphics card; software's where it fails on a later one than the first.

    Raises CardError where it does not decode that.
    """
    decoder = SegmentDecoder(task, threads=1, by_card=True)
    frames = decoder.frames()
    first = next(frames, None)
    if decoder.card_trouble:
        raise CardError(decoder.card_trouble)
    return chain([first] if first else [], frames)


def _decoder(stream: VideoStreamInfo, threads: int) -> av.VideoCodecContext:
    context = cast("av.VideoCodecContext", av.VideoCodecContext.create(stream.codec, "r"))
    context.pix_fmt = stream.pixel_format
    context.thread_type = "SLICE" if threads == 1 or stream.numbered else "AUTO"
    context.thread_count = threads
    return _with_headers(context, stream)


def _with_headers(context: av.VideoCodecContext, stream: VideoStreamInfo) -> av.VideoCodecContext:
    """Give a decoder what the container says of its stream."""
    if stream.extradata:
        context.extradata = stream.extradata
    context.width, context.height = stream.width, stream.height
    if len(stream.codec_tag) == 4 and stream.codec_tag.isascii() and stream.codec_tag.isprintable():
        context.codec_tag = stream.codec_tag
    if stream.bits_per_coded_sample:
        context.bits_per_coded_sample = stream.bits_per_coded_sample
    if stream.codec == "h264":
        # Streams that do not say how far they reorder: wait for the most, rather than drop frames.
        context.options = {"strict": "1"}
    if stream.numbered and stream.codec != "tiff":  # it takes sound ones for damaged, then
        context.options = {"err_detect": "explode+crccheck"}
    return context


def _av_packet(packet: EncodedPacket, stream: VideoStreamInfo) -> av.Packet[Any]:
    # av.Packet(data) would share the bytes without the padding that decoders read beyond the end.
    result = av.Packet(len(packet.data))
    result.update(packet.data)
    result.pts, result.dts = packet.pts, packet.dts
    result.time_base = stream.time_base
    result.duration = packet.duration
    result.is_keyframe = packet.is_keyframe
    for kind, data in packet.beside:
        put_beside(result, kind, data)
    return result
