"""Decoding a segment's packets far from their file, with a bare decoder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import av

from pipeline.packet_reader import EncodedPacket, put_beside
from pipeline.segment_task import SegmentTask
from pipeline.source_video import VideoStreamInfo


class SegmentDecoder:
    """Decodes a task's packets with a bare decoder and lets the owned frames through."""

    def __init__(self, task: SegmentTask, *, threads: int) -> None:
        self.errors: list[str] = []
        self.corrupt_pts: list[int] = []
        self.notes: set[str] = set()
        self._task = task
        self._context = _decoder(task.stream, threads)

    def frames(self) -> Iterator[av.VideoFrame]:
        """Owned frames, in the order of showing."""
        wanted = set(self._task.segment.owned_pts)
        last = min(wanted) - 1
        size = self._task.stream.width, self._task.stream.height
        for frame in self._decoded():
            frame.time_base = self._task.stream.time_base
            # A decoder that lost its place gives frames twice or late: encoders take neither.
            if frame.pts not in wanted or frame.pts <= last:
                continue
            last = frame.pts
            if frame.is_corrupt:
                self.corrupt_pts.append(frame.pts)
            if (frame.width, frame.height) != size:
                self.notes.add(
                    f"its frames change their size: those of {frame.width}x{frame.height} are "
                    f"scaled to {size[0]}x{size[1]}, as it begins"
                )
            yield frame

    def _decoded(self) -> Iterator[av.VideoFrame]:
        owned = self._task.segment.owned_pts
        for packet in self._task.packets:
            errors = len(self.errors)
            yield from self._feed(_av_packet(packet, self._task.stream))
            if not owned[0] <= packet.pts <= owned[-1]:
                del self.errors[errors:]  # its own segment will tell
        yield from self._feed(None)

    def _feed(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        try:
            return self._context.decode(packet)
        except av.EOFError:
            return []
        except av.FFmpegError as error:  # a damaged packet: note it, go on with the next
            self.errors.append(str(error))
            return []


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
    for kind, data in packet.beside:
        put_beside(result, kind, data)
    return result
