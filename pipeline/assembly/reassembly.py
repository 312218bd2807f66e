"""Reassembly: the spliced pieces and all else of the source, in one file."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
from av.container import InputContainer, OutputContainer
from av.stream import Disposition, Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from nst_core.errors import MediaError
from pipeline.assembly.copied_packets import CopiedPackets, first_sounds
from pipeline.assembly.muxers import muxer_options
from pipeline.assembly.passages import CopyPlan, Passage
from pipeline.assembly.splice import Timed, encoded_as_gif, spliced
from pipeline.conversion.matroska_acm import name_acm_tracks
from pipeline.encoding.encoders import Container
from pipeline.encoding.output_frame import OutputFrame
from pipeline.metadata.chapters import chapters_for
from pipeline.metadata.container_tags import (
    ANY_KEY,
    needs_any_key,
    tags_to_keep,
    words_for_lost_tags,
)
from pipeline.metadata.covers import COVER_TYPES, is_cover
from pipeline.metadata.cut_tags import tags_from_cut
from pipeline.metadata.matroska_aspect import PLACEHOLDER, write_pixel_aspect
from pipeline.metadata.spherical_marks import (
    display_factor,
    hide_unspecific_boxes,
    marked,
    words_for_lost_marks,
)
from pipeline.segments.task import KeptResult
from pipeline.source.media_file import films_before, open_source
from pipeline.source.source_video import SourceVideo, VideoStreamInfo

_TAGS_OF_THE_STREAM = frozenset(
    {"encoder", "vendor_id", "rotate", "duration", "number_of_frames", "number_of_bytes", "bps"}
    | {"alpha_mode"}
)
"""In lower case: Matroska's come in capitals."""
_QUICKTIME_LANGUAGES = {
    "bod": "tib",
    "cze": "ces",
    "deu": "ger",
    "ell": "gre",
    "fre": "fra",
    "hye": "arm",
    "isl": "ice",
    "kat": "geo",
    "mkd": "mac",
    "nld": "dut",
    "rum": "ron",
    "slo": "slk",
    "sqi": "alb",
    "swe": "sve",
    "zho": "chi",
}
"""The muxer of mov knows languages by one of their codes, and drops them by the other."""


_FromSource: TypeAlias = "tuple[Fraction, tuple[int, int], av.Packet[Any]]"
"""A packet after the seconds by which streams are merged, its stream in the source and number."""


@dataclass(frozen=True)
class CopyReport:
    """How copying the other streams went."""

    warnings: tuple[str, ...] = ()
    is_whole: bool = True
    """False where the source broke off, or packets of it are damaged."""
    refused: frozenset[tuple[int, int]] = frozenset()
    """Stream of the source and number in it of damaged packets that the muxer did not take."""


def reassemble(
    source: SourceVideo,
    pieces: Sequence[KeptResult],
    destination: Path,
    copies: CopyPlan,
    *,
    container: Container,
    frame: OutputFrame,
) -> CopyReport:
    """Write the pieces and the copied streams to ``destination``, a file of no special name.

    ``pieces`` are in the order of showing, ``frame`` is what they were encoded from. Raises
    MediaError where nothing could be decoded, VerificationError where pieces do not fit together.
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
            container_options=_options(source, original, copies, container),
            metadata_errors="surrogateescape",
        ) as result,
    ):
        tags = tags_from_cut(tags_to_keep(original), source)
        place = films_before(original, source.stream_index, copies.stream_indices)
        packets = CopiedPackets(original, source, copies)
        result.metadata.update(tags)
        video, passages = _add_streams(source, original, pieces, result, copies, frame)
        make = encoded_as_gif if container.format == "gif" else spliced
        refused = _write(result, make(source, pieces, video), packets, passages)
    if "acm" in copies.ways.values():
        with destination.open("r+b") as file:
            name_acm_tracks(file)
    if needs_aspect_patch(source, container.format):
        aspect = source.info.sample_aspect_ratio
        assert aspect is not None
        factor = display_factor(source.info.stereo)
        write_pixel_aspect(destination, frame.width, frame.height, aspect * factor)
    if (source.info.stereo or source.info.spherical) and container.format == "mp4":
        hide_unspecific_boxes(destination)
    lost = [
        *words_for_lost_tags(tags, destination, container.format),
        *words_for_lost_marks(source.info, destination, place),
    ]
    return _report(packets, passages, refused, lost)


def _add_streams(
    source: SourceVideo,
    original: InputContainer,
    pieces: Sequence[KeptResult],
    result: OutputContainer,
    copies: CopyPlan,
    frame: OutputFrame,
) -> tuple[VideoStream, dict[int, Passage]]:
    """Write the header, its streams in the order of the source."""
    video: VideoStream | None = None
    passages: dict[int, Passage] = {}
    first = first_sounds(source, copies, result.format.name)
    for stream in original.streams:
        if stream.index == source.stream_index:
            video = _add_video(result, stream, source, pieces[0], frame)
        elif stream.index in copies.ways:
            if is_cover(stream) and result.format.name == "matroska":
                _attach_cover(result, stream, source.path)
                continue
            passage = Passage(
                result,
                stream,
                copies.ways[stream.index],
                source.cut,
                first=first.get(stream.index),
            )
            _mark(passage.stream, stream, result, source)
            if stream.type != "attachment":
                passages[stream.index] = passage
    if chapters := chapters_for(original, result.format.name, source.cut):
        result.set_chapters(chapters)
    assert video is not None
    result.start_encoding()
    return video, passages


def _write(
    result: OutputContainer,
    pictures: Iterator[Timed],
    packets: CopiedPackets,
    passages: dict[int, Passage],
) -> frozenset[tuple[int, int]]:
    """Merge and write; damaged packets of copied streams that the muxer refuses are told."""
    refused: set[tuple[int, int]] = set()
    both = (
        ((seconds, None, packet) for seconds, packet in pictures),
        _passed(packets, passages),
    )
    for _, origin, packet in heapq.merge(*both, key=lambda timed: timed[0]):
        try:
            result.mux(packet)
        except av.FFmpegError as error:
            if origin is None or isinstance(error, (OSError, MemoryError)):
                raise  # the disk is full, say: nothing is wrong with the packet
            refused.add(origin)
    return frozenset(refused)


def _passed(packets: CopiedPackets, passages: dict[int, Passage]) -> Iterator[_FromSource]:
    """Packets of the copied streams on their way, with what they were in the source."""
    numbers: Counter[int] = Counter()
    last = Fraction(-(10**9))
    for packet in packets:
        index = packet.stream_index
        if index not in passages:
            continue  # an attachment already
        timestamp = packet.dts if packet.dts is not None else packet.pts
        if timestamp is not None:
            last = timestamp * packet.time_base
        for passed in passages[index].take(packet):
            yield last, (index, numbers[index]), passed
        numbers[index] += 1
    for index, passage in passages.items():
        for passed in passage.take(None):
            yield last, (index, numbers[index]), passed


def _report(
    packets: CopiedPackets,
    passages: dict[int, Passage],
    refused: frozenset[tuple[int, int]],
    lost: list[str],
) -> CopyReport:
    counts = Counter(stream for stream, _ in refused)
    counts.update({index: passage.damaged for index, passage in passages.items()})
    lines = [
        f"stream {stream}: {count} damaged packets do not fit into the output: left out"
        for stream, count in sorted(counts.items())
        if count
    ]
    return CopyReport(
        warnings=(*packets.problems, *lines, *lost),
        is_whole=packets.is_whole and not lines,
        refused=refused,
    )


def _add_video(
    result: OutputContainer,
    original: Any,
    source: SourceVideo,
    first: KeptResult,
    frame: OutputFrame,
) -> VideoStream:
    assert first.piece is not None
    with av.open(str(first.piece)) as piece:
        template = piece.streams.video[0]
        if result.format.name == "gif":
            stream = _add_gif(result, template, source)
        else:
            stream = _add_from_template(result, template, source.info, first.piece)
            if template.codec_context.name == "hevc" and result.format.name in ("mp4", "mov"):
                stream.codec_context.codec_tag = "hvc1"  # players of Apple want it
            _set_stream_properties(stream.codec_context, source, frame)
        alpha = [value for tag, value in template.metadata.items() if tag.lower() == "alpha_mode"]
    stream.time_base = source.info.time_base
    tags = _tags(original, result, source).items()
    stream.metadata.update({k: v for k, v in tags if k.lower() not in _TAGS_OF_THE_STREAM})
    if alpha:
        stream.metadata["alpha_mode"] = alpha[0]
    if needs_aspect_patch(source, result.format.name):
        title = stream.metadata.get("title", "")
        stream.metadata["title"] = f"{title} {PLACEHOLDER}".lstrip()
    stream.disposition = original.disposition
    if source.display_matrix:
        stream.set_display_matrix(list(source.display_matrix))
    return stream


def _add_from_template(
    result: OutputContainer, template: VideoStream, info: VideoStreamInfo, piece: Path
) -> VideoStream:
    if not (info.spherical or info.stereo):
        return result.add_stream_from_template(template, opaque=True)
    with av.open(marked(piece, info), "r") as with_marks:
        stream = result.add_stream_from_template(with_marks.streams.video[0], opaque=True)
        stream.codec_context.extradata = template.codec_context.extradata
        return stream


def _set_stream_properties(
    context: VideoCodecContext, source: SourceVideo, frame: OutputFrame
) -> None:
    """Set what NUT does not keep, for codecs that have no place for it in their packets."""
    context.framerate = source.info.rate
    context.color_range, context.colorspace = frame.color.range, frame.color.matrix
    context.color_primaries, context.color_trc = frame.color.primaries, frame.color.transfer
    if source.info.sample_aspect_ratio:
        context.sample_aspect_ratio = source.info.sample_aspect_ratio


def needs_aspect_patch(source: SourceVideo, output_format: str) -> bool:
    """Whether pixels are not square and the container is Matroska: see matroska_aspect."""
    is_matroska = {"matroska", "webm"} & set(output_format.split(","))
    return bool(is_matroska) and source.info.sample_aspect_ratio not in (None, 0, 1)


def _add_gif(result: OutputContainer, template: VideoStream, source: SourceVideo) -> VideoStream:
    stream = result.add_stream("gif", rate=source.info.rate)
    stream.width, stream.height = template.width, template.height
    stream.pix_fmt = "pal8"
    stream.codec_context.time_base = source.info.time_base
    if source.info.sample_aspect_ratio:
        stream.codec_context.sample_aspect_ratio = source.info.sample_aspect_ratio
    return stream


def _mark(stream: Stream, original: Any, result: OutputContainer, source: SourceVideo) -> None:
    """Tags and disposition: a template brings neither."""
    tags = _tags(original, result, source).items()
    stream.metadata.update({k: v for k, v in tags if k != "vendor_id"})
    stream.disposition = original.disposition
    if original.disposition & Disposition.timed_thumbnails:  # a track: no cover
        stream.disposition &= ~Disposition.attached_pic


def _tags(original: Any, result: OutputContainer, source: SourceVideo) -> dict[str, str]:
    tags = tags_from_cut(original.metadata, source)
    if "name" in tags:  # as FFmpeg reads the track's name in MP4; it writes the title there
        tags["title"] = tags.get("title") or tags.pop("name")
    if result.format.name == "mov" and "language" in tags:
        tags["language"] = _QUICKTIME_LANGUAGES.get(tags["language"], tags["language"])
    return tags


def _attach_cover(result: OutputContainer, original: Any, path: Path) -> None:
    name, media_type = COVER_TYPES[original.codec_context.name]
    with open_source(path) as container:
        packets = container.demux(container.streams[original.index])
        data = next((bytes(packet) for packet in packets if packet.size), b"")
    tags = original.metadata
    result.add_attachment(tags.get("filename", name), tags.get("mimetype", media_type), data)


def _options(
    source: SourceVideo, original: InputContainer, copies: CopyPlan, container: Container
) -> dict[str, str]:
    options = muxer_options(container, source)
    # A cover lies among the plain tags: with the flag there would be none.
    has_cover = any(is_cover(original.streams[index]) for index in copies.stream_indices)
    may_have_any_key = container.format in ("mp4", "mov") and not has_cover
    if may_have_any_key and needs_any_key(tags_to_keep(original), container.format):
        options["movflags"] += f"+{ANY_KEY}"
    if source.info.spherical or source.info.stereo:
        options["strict"] = "unofficial"  # or mp4 would have no marks of them
    return options
