"""Proof that an output has lost nothing: it is read again and compared with its source."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from pipeline.reassembly import CopyPlan
from pipeline.source_video import SourceVideo, main_video_stream, open_source


@dataclass(frozen=True)
class Verified:
    """What the written file, read again, was found to have."""

    frame_count: bool
    """As many frames as the pieces had."""
    pts: bool
    """Every frame at the time of its source frame, exact within one tick of the output."""
    copied_streams: bool
    """Every copied stream with the bytes of the source, packet for packet."""

    @property
    def everything(self) -> bool:
        """Whether all holds."""
        return self.frame_count and self.pts and self.copied_streams


@dataclass
class _Stream:
    """One stream as a reader finds it."""

    kind: str
    packets: int = 0
    pts_seconds: list[Fraction] = field(default_factory=list)
    digest: Any = field(default_factory=hashlib.sha256)


def verify(
    source: SourceVideo, expected_pts: Sequence[int], copies: CopyPlan, output: Path
) -> Verified:
    """Compare ``output`` with its source; ``expected_pts`` are the frames it should show."""
    with open_source(output) as container:
        video_index = main_video_stream(container, output).index
        tick = container.streams[video_index].time_base or Fraction(0)
    written = _read_streams(output, payload_not_of=video_index)
    video = written.pop(video_index)
    expected = [pts * source.info.time_base for pts in sorted(expected_pts)]
    found = sorted(video.pts_seconds)
    count = len(found) == len(expected) == video.packets
    # mkv counts in milliseconds: an exact tick of the source may not exist there.
    exact = tick <= source.info.time_base
    tolerance = Fraction(0) if exact else tick / 2
    pts = count and all(abs(a - b) <= tolerance for a, b in zip(found, expected, strict=True))
    originals = _read_streams(source.path, payload_not_of=source.stream_index)
    before = [
        originals[index] for index in copies.stream_indices if originals[index].kind != "attachment"
    ]
    after = [stream for stream in written.values() if stream.kind != "attachment"]
    same = len(before) == len(after) and all(
        (a.kind, a.packets, a.digest.digest()) == (b.kind, b.packets, b.digest.digest())
        for a, b in zip(before, after, strict=True)
    )
    return Verified(frame_count=count, pts=pts, copied_streams=same)


def _read_streams(path: Path, *, payload_not_of: int) -> dict[int, _Stream]:
    """Every stream of a file; the payload of one of them is not hashed."""
    with open_source(path) as container:
        streams = {stream.index: _Stream(stream.type) for stream in container.streams}
        try:
            for packet in container.demux():
                if not packet.size:
                    continue
                stream = streams[packet.stream_index]
                stream.packets += 1
                if packet.stream_index != payload_not_of:
                    stream.digest.update(bytes(packet))
                elif packet.pts is not None and packet.time_base is not None:
                    stream.pts_seconds.append(packet.pts * packet.time_base)
        except av.FFmpegError:
            pass  # cut short: what is missing shows in the numbers
    return streams
