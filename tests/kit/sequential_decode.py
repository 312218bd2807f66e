"""A media file read from start to end by FFmpeg's own container reader, with one thread.

The reference for what the program writes: it shares no code with it, knows no segments, and
believes no index.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from numpy.typing import NDArray

_ATTACHED_PICTURE = 0x400
_UNTAGGED = (2, 2, 2)
_RGB = 0
_TAGS_OF_WRITERS = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "software"}
)
_THUMBNAIL = (64, 36)


@dataclass
class CopiedStream:
    """A stream beside the main one: what must arrive unchanged."""

    codec: str
    kind: str
    """FFmpeg's name of its type: audio, video, subtitle."""
    language: str | None
    disposition: int
    packets: int = 0
    times: list[Fraction | None] = field(default_factory=list)
    """Seconds, in the order of the file."""
    payload: Any = field(default_factory=hashlib.sha256)


@dataclass
class Reading:
    """What a file was found to have."""

    tick: Fraction
    """Seconds of one unit of the main stream's timestamps."""
    size: tuple[int, int]
    """Width and height that the stream declares."""
    times: list[Fraction] = field(default_factory=list)
    """Seconds at which frames are shown, in the order in which the decoder gave them."""
    thumbnails: list[NDArray[np.uint8]] = field(default_factory=list)
    """The frames, small: RGB and alpha."""
    moved: Fraction = Fraction(0)
    """Seconds by which everything after a fall of the file's clock comes later here."""
    missing: list[Fraction] = field(default_factory=list)
    """Seconds of frames to show that have a packet and that the decoder did not give."""
    corrupt: int = 0
    errors: int = 0
    copied: list[CopiedStream] = field(default_factory=list)
    features: dict[str, object] = field(default_factory=dict)
    """What a table of files can name; absent where a file has nothing of the kind."""

    @property
    def earliest(self) -> Fraction:
        """Seconds of the first frame or copied packet."""
        copied = [time for stream in self.copied for time in stream.times if time is not None]
        return min([*self.times, *copied])


def read_sequentially(path: Path, *, rate: int | None = None) -> Reading | None:
    """Read a file; None where it cannot be opened or has no moving pictures.

    ``rate`` (frames a second) gives times to the frames of a file that has none. A clock that
    falls back goes on where the last frame before ended, for all streams alike.
    """
    try:
        container = av.open(str(path), metadata_errors="surrogateescape")
    except av.FFmpegError:
        return None
    with container:
        video = _main_stream(container)
        if video is None:
            return None
        main = video.index  # a stream is gone with its container
        reading = Reading(video.time_base, (video.codec_context.width, video.codec_context.height))
        _read_features(container, video, reading)
        _read_frames(container, video, reading, rate)
    _read_copies(path, main, reading)
    return reading


def _main_stream(container: Any) -> Any:
    best = container.streams.best("video")
    return None if best is None or int(best.disposition) & _ATTACHED_PICTURE else best


def _read_frames(container: Any, video: Any, reading: Reading, rate: int | None) -> None:
    decoder = _decoder(video)
    promised: set[int] = set()
    ticks: list[int | None] = []
    for packet in container.demux(video):
        if packet.size and packet.pts is not None and not packet.is_discard:
            promised.add(packet.pts)
        try:
            frames = _decode(decoder, packet)
        except av.FFmpegError:
            reading.errors += 1
            continue
        for frame in frames:
            if not ticks:
                _read_first(frame, reading)
            ticks.append(frame.pts)
            reading.corrupt += frame.is_corrupt
            reading.thumbnails.append(_thumbnail(frame))
    reading.missing = sorted(pts * reading.tick for pts in promised.difference(ticks))
    if rate:
        assert set(ticks) == {None}
        reading.times = [Fraction(number, rate) for number in range(len(ticks))]
    else:
        times = [pts * reading.tick for pts in cast("list[int]", ticks)]
        reading.times, reading.moved = _continued(times)


def _decoder(video: Any) -> Any:
    """The stream's own decoder; where alpha lies beside the packets, the one that looks there."""
    decoder = video.codec_context
    if _tag(video, "alpha_mode") == "1":
        libvpx = {"vp8": "libvpx", "vp9": "libvpx-vp9"}[decoder.name]
        decoder = av.CodecContext.create(libvpx, "r")
    decoder.thread_type, decoder.thread_count = "SLICE", 1
    return decoder


def _decode(decoder: Any, packet: Any) -> list[av.VideoFrame]:
    try:
        return list(decoder.decode(packet if packet.size else None))
    except av.EOFError:
        return []


def _tag(stream: Any, name: str) -> str | None:
    """A tag, however its letters are written: Matroska's writer makes capitals of them."""
    return next((value for key, value in stream.metadata.items() if key.lower() == name), None)


def _continued(times: list[Fraction]) -> tuple[list[Fraction], Fraction]:
    """Times without a fall, and by how much those after it were moved.

    The first frame after a fall follows as the frame before it followed its own.
    """
    falls = [number for number in range(1, len(times)) if times[number] < times[number - 1]]
    if not falls:
        return times, Fraction(0)
    (fall,) = falls
    moved = 2 * times[fall - 1] - times[fall - 2] - times[fall]
    return [*times[:fall], *(time + moved for time in times[fall:])], moved


def _thumbnail(frame: av.VideoFrame) -> NDArray[np.uint8]:
    width, height = _THUMBNAIL
    small = frame.reformat(width=width, height=height, format="rgba", threads=1)
    return cast("NDArray[np.uint8]", small.to_ndarray())


def _read_features(container: Any, video: Any, reading: Reading) -> None:
    features, context = reading.features, video.codec_context
    tags = {key.lower(): value for key, value in container.metadata.items()}
    tags = {key: value for key, value in tags.items() if key not in _TAGS_OF_WRITERS}
    chapters = [
        (chapter["start"] * chapter["time_base"], chapter["metadata"].get("title"))
        for chapter in container.chapters()
    ]
    attachments = [
        (stream.metadata.get("filename"), stream.mimetype, bytes(stream.data))
        for stream in container.streams
        if stream.type == "attachment"
    ]
    colors = tuple(int(n) for n in (context.color_primaries, context.color_trc, context.colorspace))
    pixels = context.format
    found = {
        "tags": tags,
        "chapters": chapters,
        "attachments": attachments,
        "aspect": None if video.sample_aspect_ratio in (None, 1) else video.sample_aspect_ratio,
        "colors": colors if colors != _UNTAGGED and colors[2] != _RGB else None,
        "full": context.color_range == 2 and colors[2] != _RGB,
        "timecode": _tag(video, "timecode"),
        "depth": pixels is not None and max(c.bits for c in pixels.components) > 8,
    }
    features.update({name: value for name, value in found.items() if value})


def _read_first(frame: av.VideoFrame, reading: Reading) -> None:
    if frame.format.name.startswith("yuva"):
        reading.features["alpha"] = True
    try:
        listed = list(cast("Any", frame).side_data)
    except ValueError:  # of a kind that PyAV has no name for
        listed = []
    by_kind = {str(data.type).split(".")[-1]: bytes(data) for data in listed}
    if "DISPLAYMATRIX" in by_kind:
        reading.features["rotation"] = by_kind["DISPLAYMATRIX"]
    if "MASTERING_DISPLAY_METADATA" in by_kind:
        display = np.frombuffer(by_kind["MASTERING_DISPLAY_METADATA"], np.int32)[:20]
        light = np.frombuffer(by_kind["CONTENT_LIGHT_LEVEL"], np.uint32).tolist()
        chromaticities = [Fraction(int(a), int(b)) for a, b in display.reshape(-1, 2)]
        reading.features["hdr10"] = (chromaticities, light)


def _read_copies(path: Path, main: int, reading: Reading) -> None:
    copied: dict[int, CopiedStream] = {}
    with av.open(str(path), metadata_errors="surrogateescape") as container:
        for stream in container.streams:
            if stream.index != main and stream.type in ("audio", "subtitle", "video"):
                copied[stream.index] = CopiedStream(
                    stream.codec_context.name,
                    stream.type,
                    stream.metadata.get("language"),
                    int(stream.disposition),
                )
        for packet in _packets(container):
            if packet.stream.index in copied:
                _add(packet, copied[packet.stream.index], reading.moved)
    reading.copied = list(copied.values())


def _add(packet: Any, stream: CopiedStream, moved: Fraction) -> None:
    stream.packets += 1
    stream.payload.update(_without_adts(stream.codec, bytes(packet)))
    time = None if packet.pts is None else packet.pts * packet.time_base
    last = stream.times[-1] if stream.times else None
    if moved and time is not None and last is not None and time < last - Fraction(1, 2):
        time += moved
    stream.times.append(time)


def _packets(container: Any) -> Iterator[Any]:
    try:
        for packet in container.demux():
            if packet.size:
                yield packet
    except av.FFmpegError:
        return  # cut short: what came before counts


def _without_adts(codec: str, data: bytes) -> bytes:
    """MPEG-TS puts a header of 7 bytes before each AAC frame, which other containers leave out."""
    return data[7:] if codec == "aac" and data[:2] in (b"\xff\xf1", b"\xff\xf9") else data
