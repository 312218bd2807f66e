"""The pieces as one video stream: their packets, with times for the whole output.

Every DTS is regenerated over the whole output. Pieces encoded apart then play as one stream, with
the PTS of the source.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import av
import numpy as np
from av.video.stream import VideoStream

from nst_core.errors import VerificationError
from pipeline.segments.task import KeptResult
from pipeline.source.source_video import SourceVideo
from pipeline.source.timestamps import Ticks, decoding_times, without_long_steps

Timed: TypeAlias = "tuple[Fraction, av.Packet[Any]]"
"""A packet after the seconds by which packets of all streams are merged."""


@dataclass(frozen=True, repr=False)
class SplicePlan:
    """Timestamps of the whole output stream, in decoding order and ticks of the source."""

    pts: Ticks
    dts: Ticks
    duration: Ticks

    def __repr__(self) -> str:
        return f"SplicePlan({len(self.pts)} packets)"


def plan_splice(pts_in_decoding_order: Ticks, *, last_duration: int) -> SplicePlan:
    """Regenerate DTS and durations for all frames of the output; PTS are unique."""
    order = np.sort(pts_in_decoding_order)
    gaps = np.diff(order)
    last = last_duration or (int(gaps[-1]) if len(gaps) else 0)
    duration = np.append(gaps, last)[np.searchsorted(order, pts_in_decoding_order)]
    dts = decoding_times(pts_in_decoding_order)
    return SplicePlan(
        pts=pts_in_decoding_order,
        dts=without_long_steps(dts, pts_in_decoding_order, duration),
        duration=duration,
    )


def spliced(
    source: SourceVideo, pieces: Sequence[KeptResult], stream: VideoStream
) -> Iterator[Timed]:
    """Every packet for ``stream``; two passes over the pieces, one piece at a time.

    Raises VerificationError where pieces do not fit together.
    """
    plan = plan_splice(_decoding_order(source, pieces), last_duration=source.last_duration)
    place = 0
    for piece in pieces:
        with av.open(str(piece.piece)) as file:
            for packet in file.demux(file.streams.video[0]):
                if not packet.size:
                    continue
                packet.time_base = source.info.time_base
                packet.pts, packet.dts = int(plan.pts[place]), int(plan.dts[place])
                packet.duration = int(plan.duration[place])
                packet.stream = stream
                place += 1
                yield packet.dts * source.info.time_base, packet


def encoded_as_gif(
    source: SourceVideo, pieces: Sequence[KeptResult], stream: VideoStream
) -> Iterator[Timed]:
    """Every packet for a GIF's ``stream``, made of pieces that hold pictures with their palettes.

    A GIF's frame is what differs from the one before: it cannot be encoded in a worker.
    """
    first = pieces[0].pts[0]  # a GIF begins at zero: taken away before times are rounded
    seconds = Fraction(0)
    for piece in pieces:
        with av.open(str(piece.piece)) as file:
            frames = file.decode(file.streams.video[0])
            for frame, pts in zip(frames, piece.pts, strict=True):
                frame.pts, frame.time_base = pts - first, source.info.time_base
                seconds = frame.pts * frame.time_base
                for packet in stream.encode(frame):
                    yield seconds, packet
    for packet in stream.encode(None):
        yield seconds, packet


def _decoding_order(source: SourceVideo, pieces: Sequence[KeptResult]) -> Ticks:
    """PTS of the source for every packet of the pieces."""
    parts: list[Ticks] = []
    headers: set[bytes | None] = set()
    for piece in pieces:
        with av.open(str(piece.piece)) as file:
            video = file.streams.video[0]
            headers.add(video.codec_context.extradata)
            parts.append(_source_pts(piece, [p.pts for p in file.demux(video) if p.size]))
    if len(headers) > 1:
        raise VerificationError(
            f"{source.path}: the encoder wrote different headers for its segments; "
            "choose another --codec or --preset"
        )
    return np.concatenate(parts)


def _source_pts(piece: KeptResult, pts_in_piece: Sequence[int | None]) -> Ticks:
    """Give packets the PTS of the source by rank: a container may have rounded its own."""
    known = [pts for pts in pts_in_piece if pts is not None]
    if len(set(known)) != len(pts_in_piece) or len(known) != len(piece.pts):
        raise VerificationError(
            f"segment {piece.number:05d}: {len(pts_in_piece)} packets for {len(piece.pts)} frames"
        )
    ranks = np.searchsorted(np.sort(known), known)
    return np.array(piece.pts, dtype=np.int64)[ranks]
