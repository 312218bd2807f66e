"""Opening a media file, finding its main stream, and reading that stream's packets."""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from struct import Struct
from typing import Any

import av
from av.container import InputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from nst_core.errors import MediaError
from pipeline.metadata.covers import is_cover
from pipeline.numbered.names import NumberedPictures, find_pictures, numbering_of
from pipeline.source.late_streams import open_with, probing_options
from pipeline.source.packed_frames import FrameUnpacker

# PyAV's logging stays at its default, None, which is silent. Under any other level FFmpeg's threads
# take the GIL to log, and a decoder that is closed, with the GIL held, waits for its threads: for
# ever, once one of them logs.

_ENOUGH_FRAMES = 5
"""As FFmpeg has it: more do not make a stream more of a film."""
_DEFAULT_IN_PIXELS = 5_000_000
"""How many pixels the mark of a default stream outweighs, likewise."""
_MOST_COUNTED = 1000
MOST_TRIED = 100
"""Numbered pictures at the start that may be damaged."""
_RIFF_HEADER = Struct("<4sI")
"""Name and length of a chunk."""


@contextmanager
def open_source(path: Path, *, with_all_cut: bool = False) -> Iterator[InputContainer]:
    """Open a media file for reading. Raises MediaError for one that cannot be opened.

    ``with_all_cut`` brings back what an edit list cuts off. Of numbered pictures the first that can
    be opened is: all that lies beside their frames is in each.
    """
    if numbering := numbering_of(path):
        path = _first_to_open(find_pictures(numbering))
    check_regular(path)
    try:
        options = probing_options(path) | ({"ignore_editlist": "1"} if with_all_cut else {})
        container = open_with(path, options)
    except FileNotFoundError as error:
        raise MediaError(f"{path}: no such file") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"{path}: not a readable video ({reason(error)})") from error
    with container:
        yield container


def _first_to_open(pictures: NumberedPictures) -> Path:
    """Return the first picture that is not damaged at its very start; else the first."""
    for place in range(min(len(pictures.numbers), MOST_TRIED)):
        path = pictures.path(place)
        with suppress(av.FFmpegError, OSError, ValueError), av.open(str(path.absolute())):
            return path
    return pictures.path(0)


def check_regular(path: Path) -> None:
    """Raise MediaError for what cannot be read twice, or has no end: a pipe, a device, a folder."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # opening it says why, in its own words
    if stat.S_ISDIR(mode):
        raise MediaError(f"{path}: a folder; name a file")
    if not stat.S_ISREG(mode):
        raise MediaError(f"{path}: a pipe or device, which cannot be read twice; name a file")


def film_streams(container: InputContainer) -> list[VideoStream]:
    """All video streams that are no cover art."""
    return [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not is_cover(stream)
    ]


def films_before(container: InputContainer, stream_index: int, copied: Collection[int]) -> int:
    """How many of the copied streams are films and come before another stream."""
    return sum(
        stream.index < stream_index and stream.index in copied for stream in film_streams(container)
    )


def main_video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Find the film among the video streams, by FFmpeg's own rules. Raises MediaError.

    Cover art is none, and a thumbnail has hardly any frames. Of what is left the largest picture
    counts, and more than that what is marked as the default.
    """
    streams = film_streams(container)
    if not streams:
        raise MediaError(f"{path}: no video stream in it")
    if len(streams) == 1:
        return streams[0]
    frames = _first_frames(path, streams)

    def rank(stream: VideoStream) -> tuple[bool, int, int]:
        context = stream.codec_context
        by_default = bool(stream.disposition & Disposition.default)
        return (
            not stream.disposition & (Disposition.timed_thumbnails | Disposition.still_image),
            min(_ENOUGH_FRAMES, frames[stream.index]),
            context.width * context.height + _DEFAULT_IN_PIXELS * by_default,
        )

    return max(streams, key=rank)


def _first_frames(path: Path, streams: Sequence[VideoStream]) -> dict[int, int]:
    """Count frames, as far as it takes to tell films from single pictures."""
    if all(stream.frames for stream in streams):
        return {stream.index: stream.frames for stream in streams}
    counts = {stream.index: 0 for stream in streams}
    with open_source(path) as container, suppress(av.FFmpegError):
        chosen = [container.streams[index] for index in counts]
        for packet in islice(demux(container, chosen), _MOST_COUNTED):
            counts[packet.stream_index] += 1
            if min(counts.values()) >= _ENOUGH_FRAMES:
                break
    return counts


def video_packets(
    container: InputContainer,
    stream_index: int,
    *,
    late_streams: list[str] | None = None,
    unpacker: FrameUnpacker | None = None,
) -> Iterator[av.Packet[Any]]:
    """Demux one stream's packets that carry data, the other streams skipped.

    Those of MPEG-4 go through ``unpacker``, or one of its own: each holds one coded frame. Raises
    av.FFmpegError where the file is damaged. A line is added to ``late_streams`` at the end of a
    file that brought streams after its start: they are not among the container's.
    """
    chosen = container.streams[stream_index]
    for stream in container.streams:
        if stream is not chosen:
            stream.discard = Discard.all
    packets = demux(container, [chosen], late_streams=late_streams)
    if chosen.codec_context.name != "mpeg4":
        yield from packets
        return
    unpacker = unpacker or FrameUnpacker(chosen.codec_context.extradata)
    for packet in packets:
        yield from unpacker.take(packet)
    yield from unpacker.rest()


def demux(
    container: InputContainer, streams: Sequence[Stream], *, late_streams: list[str] | None = None
) -> Iterator[av.Packet[Any]]:
    """Demux the packets of some streams that carry data; see video_packets."""
    packets = container.demux(streams)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except IndexError:  # how PyAV ends where it meets streams that it does not know
            if late_streams is not None:
                late_streams.append("streams begin only later in the file")
            return
        if packet.size:
            yield packet


def declared_seconds(container: InputContainer, stream: Stream) -> float:
    """When a stream ends by the headers of mp4 and mov, or by Matroska's tags; 0: nothing said."""
    if container.format.name.startswith("mov") and stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    try:  # 00:00:07.632000000
        hours, minutes, seconds = stream.metadata["DURATION"].split(":")
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except (KeyError, ValueError):
        return 0.0


def has_whole_riff(path: Path) -> bool:
    """Whether a file of RIFF chunks, an AVI, is as long as these say: not cut short."""
    end, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while end < size:
            file.seek(end)
            header = file.read(_RIFF_HEADER.size)
            if len(header) < _RIFF_HEADER.size:
                return False
            chunk, length = _RIFF_HEADER.unpack(header)
            if chunk != b"RIFF":
                return end > 0  # what follows the chunks is nobody's
            end += _RIFF_HEADER.size + length + length % 2
    return end <= size + 1


def reason(error: Exception) -> str:
    """What FFmpeg says of an error, without its number."""
    return getattr(error, "strerror", None) or str(error)
