"""Opening a media file, finding its main stream, and reading that stream's packets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from nst_core.errors import MediaError

# FFmpeg writes to stderr by itself; what goes wrong is told by exceptions and reports instead. Only
# None is safe: under any other level FFmpeg's threads take the GIL to log, and a decoder that is
# closed, with the GIL held, waits for its threads: for ever, once one of them logs.
av.logging.set_level(None)


@contextmanager
def open_source(path: Path, *, with_all_cut: bool = False) -> Iterator[InputContainer]:
    """Open a media file for reading. Raises MediaError for one that cannot be opened.

    ``with_all_cut`` brings back what an edit list cuts off.
    """
    try:
        # Absolute, for FFmpeg takes what is before a colon for a protocol. Strict, the default,
        # raises UnicodeDecodeError at the first Latin-1 tag.
        container = av.open(
            str(path.absolute()),
            metadata_errors="surrogateescape",
            options={"ignore_editlist": "1"} if with_all_cut else {},
        )
    except FileNotFoundError as error:
        raise MediaError(f"{path}: no such file") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"{path}: not a readable video ({reason(error)})") from error
    with container:
        yield container


def main_video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Find the first video stream that is not cover art. Raises MediaError."""
    for stream in container.streams.video:
        if stream.codec_context is not None and not (stream.disposition & Disposition.attached_pic):
            return stream
    raise MediaError(f"{path}: no video stream in it")


def video_packets(
    container: InputContainer, stream_index: int, *, late_streams: list[str] | None = None
) -> Iterator[av.Packet[Any]]:
    """Demux one stream's packets that carry data, the other streams skipped.

    Raises av.FFmpegError where the file is damaged. A line is added to ``late_streams`` at the end
    of a file that brought streams after its start: they are not among the container's.
    """
    chosen = container.streams[stream_index]
    for stream in container.streams:
        if stream is not chosen:
            stream.discard = Discard.all
    yield from demux(container, [chosen], late_streams=late_streams)


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
                late_streams.append("streams that begin only later in the file are left out")
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


def reason(error: Exception) -> str:
    """What FFmpeg says of an error, without its number."""
    return getattr(error, "strerror", None) or str(error)
