"""Reassembly: splice the pieces into one video stream, then remux all else of the source beside it.

The splice regenerates every DTS over the whole output: ``dts[n] = sorted_pts[n - d]`` with the
smallest delay d that keeps each DTS at or before its PTS. Pieces encoded apart then play as one
stream, with the PTS of the source.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from nst_core.errors import MediaError, VerificationError
from pipeline.encoders import Container, container_for
from pipeline.source_video import SourceVideo, open_source
from pipeline.work_folder import FinishedSegment

_MOVIE_TIMESCALE = 90_000
"""Of mp4; its default of 1000 puts start offsets off by up to half a millisecond."""
_TAGS_OF_THE_CONTAINER = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder"})
_TAGS_OF_THE_STREAM = frozenset(
    {"encoder", "vendor_id", "rotate", "DURATION", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "BPS"}
)


@dataclass(frozen=True)
class CopyPlan:
    """Which streams of the source go into the output as they are."""

    stream_indices: tuple[int, ...]
    warnings: tuple[str, ...]
    """One line for each stream that the container cannot hold."""


def plan_copies(source: SourceVideo, output: Path) -> CopyPlan:
    """Check, before any work, what the output container can hold.

    Raises MediaError for audio that it cannot: sound is never left out in silence.
    """
    container = container_for(output)
    supported = _supported_codecs(container)
    copied: list[int] = []
    warnings: list[str] = []
    with open_source(source.path) as file:
        for stream in file.streams:
            if stream.index == source.stream_index:
                continue
            name = stream.codec_context.name if stream.codec_context else stream.type
            if _fits(stream, name, container, supported):
                copied.append(stream.index)
            elif stream.type == "audio":
                raise MediaError(
                    f"{source.path}: its {name} audio does not fit into {output.suffix} without "
                    "being encoded again; name the output .mkv, which holds any audio"
                )
            else:
                warnings.append(
                    f"stream {stream.index} ({stream.type}, {name}) does not fit into "
                    f"{output.suffix} and is left out"
                )
    return CopyPlan(tuple(copied), tuple(warnings))


def reassemble(
    source: SourceVideo,
    pieces: Sequence[FinishedSegment],
    destination: Path,
    copies: CopyPlan,
    *,
    container: Container,
) -> None:
    """Write the pieces and the copied streams to ``destination``, a file of no special name.

    ``pieces`` are in the order of showing. Raises MediaError where nothing could be decoded,
    VerificationError where pieces do not fit together.
    """
    pieces = [piece for piece in pieces if piece.piece is not None]
    if not pieces:
        raise MediaError(f"{source.path}: not one frame could be decoded")
    with (
        open_source(source.path) as original,
        av.open(
            str(destination.absolute()),
            "w",
            format=container.format,
            container_options=_muxer_options(container, source),
            metadata_errors="surrogateescape",
        ) as result,
    ):
        _mux(source, original, pieces, result, copies)


def _fits(stream: Any, codec: str, container: Container, supported: set[str]) -> bool:
    """Whether the container takes the stream: asked of the muxer itself, with a trial header."""
    if stream.type == "attachment":
        return container.format == "matroska"
    if stream.disposition & Disposition.attached_pic and container.format != "mp4":
        return False  # other muxers make a film of the cover
    if stream.type not in ("audio", "subtitle", "video") or codec not in supported:
        return False
    try:
        with av.open(os.devnull, "w", format=container.format) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


@dataclass(frozen=True)
class SplicePlan:
    """Timestamps of the whole output stream, in decoding order."""

    pts: tuple[int, ...]
    dts: tuple[int, ...]
    duration: tuple[int, ...]


def plan_splice(pts_in_decoding_order: Sequence[int], *, last_duration: int) -> SplicePlan:
    """Regenerate DTS and durations for all frames of the output."""
    order = sorted(pts_in_decoding_order)
    rank = {pts: place for place, pts in enumerate(order)}
    delay = max(place - rank[pts] for place, pts in enumerate(pts_in_decoding_order))
    step = max(1, order[1] - order[0]) if len(order) > 1 else 1
    before = [order[0] - (delay - place) * step for place in range(delay)]
    dts = (before + order)[: len(order)]
    gaps = [after - pts for pts, after in pairwise(order)]
    durations = [*gaps, last_duration or (gaps[-1] if gaps else 0)]
    return SplicePlan(
        pts=tuple(pts_in_decoding_order),
        dts=tuple(dts),
        duration=tuple(durations[rank[pts]] for pts in pts_in_decoding_order),
    )


def _mux(
    source: SourceVideo,
    original: InputContainer,
    pieces: Sequence[FinishedSegment],
    result: OutputContainer,
    copies: CopyPlan,
) -> None:
    metadata = original.metadata.items()
    result.metadata.update({k: v for k, v in metadata if k not in _TAGS_OF_THE_CONTAINER})
    video: VideoStream | None = None
    copied: dict[int, Stream] = {}
    for stream in original.streams:
        if stream.index == source.stream_index:
            video = _add_video(result, stream, source, pieces[0])
        elif stream.index in copies.stream_indices:
            new = _add_copy(result, stream)
            if stream.type != "attachment":
                copied[stream.index] = new
    assert video is not None
    chapters = original.chapters()
    if chapters:
        with suppress(NotImplementedError):  # the container has no chapters
            result.set_chapters(chapters)
    result.start_encoding()
    packets = heapq.merge(
        _spliced(source, pieces, video),
        _copied(original, copied),
        key=lambda timed: timed[0],
    )
    for _, packet in packets:
        result.mux(packet)


def _add_video(
    result: OutputContainer, original: Any, source: SourceVideo, first: FinishedSegment
) -> VideoStream:
    with av.open(str(first.piece)) as piece:
        template = piece.streams.video[0]
        stream = result.add_stream_from_template(template, opaque=True)
        if template.codec_context.name == "hevc" and result.format.name in ("mp4", "mov"):
            stream.codec_context.codec_tag = "hvc1"  # players of Apple want it
    stream.time_base = source.info.time_base
    stream.codec_context.framerate = source.info.rate  # the template has none
    tags = original.metadata.items()
    stream.metadata.update({k: v for k, v in tags if k not in _TAGS_OF_THE_STREAM})
    stream.disposition = original.disposition
    if source.display_matrix:
        stream.set_display_matrix(list(source.display_matrix))
    return stream


def _add_copy(result: OutputContainer, original: Any) -> Stream:
    opaque = {} if original.codec_context is None else {"opaque": True}
    stream: Stream = result.add_stream_from_template(original, **opaque)
    # A template brings neither.
    stream.metadata.update({k: v for k, v in original.metadata.items() if k != "vendor_id"})
    stream.disposition = original.disposition
    return stream


def _spliced(
    source: SourceVideo, pieces: Sequence[FinishedSegment], stream: VideoStream
) -> Iterator[tuple[Fraction, av.Packet[Any]]]:
    """Every video packet with its DTS in seconds; two passes over the pieces, one at a time."""
    decoding_order: list[int] = []
    headers: set[bytes | None] = set()
    for piece in pieces:
        with av.open(str(piece.piece)) as file:
            video = file.streams.video[0]
            headers.add(video.codec_context.extradata)
            decoding_order += _source_pts(piece, [p.pts for p in file.demux(video) if p.size])
    if len(headers) > 1:
        raise VerificationError(
            f"{source.path}: the encoder wrote different headers for its segments; "
            "choose another --codec or --preset"
        )
    plan = plan_splice(decoding_order, last_duration=source.last_duration)
    place = 0
    for piece in pieces:
        with av.open(str(piece.piece)) as file:
            for packet in file.demux(file.streams.video[0]):
                if not packet.size:
                    continue
                packet.time_base = source.info.time_base
                packet.pts, packet.dts = plan.pts[place], plan.dts[place]
                packet.duration = plan.duration[place]
                packet.stream = stream
                place += 1
                yield packet.dts * source.info.time_base, packet


def _source_pts(piece: FinishedSegment, pts_in_piece: Sequence[int | None]) -> list[int]:
    """Give packets the PTS of the source by rank: a container may have rounded its own."""
    order = sorted(pts for pts in pts_in_piece if pts is not None)
    if len(order) != len(pts_in_piece) or len(order) != len(piece.pts):
        raise VerificationError(
            f"segment {piece.number:05d}: {len(pts_in_piece)} packets for {len(piece.pts)} frames"
        )
    rank = {pts: place for place, pts in enumerate(order)}
    return [piece.pts[rank[pts]] for pts in pts_in_piece if pts is not None]


def _copied(
    original: InputContainer, streams: dict[int, Stream]
) -> Iterator[tuple[Fraction, av.Packet[Any]]]:
    if not streams:
        return
    last = Fraction(-(10**9))
    for packet in original.demux([original.streams[index] for index in streams]):
        if not packet.size:
            continue
        timestamp = packet.dts if packet.dts is not None else packet.pts
        if timestamp is not None and packet.time_base is not None:
            last = timestamp * packet.time_base
        packet.stream = streams[packet.stream.index]
        yield last, packet


def _muxer_options(container: Container, source: SourceVideo) -> dict[str, str]:
    if container.format not in ("mp4", "mov"):
        return {}
    options = {"movflags": "+faststart", "movie_timescale": str(_MOVIE_TIMESCALE)}
    if source.info.time_base.denominator >= 1000:
        options["video_track_timescale"] = str(source.info.time_base.denominator)
    return options


def _supported_codecs(container: Container) -> set[str]:
    with av.open(os.devnull, "w", format=container.format) as probe:
        return set(probe.supported_codecs)
