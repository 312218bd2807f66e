"""Which streams go from the source into the output beside the picture, and how."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Discard, Disposition

from nst_core.errors import MediaError
from pipeline.assembly.muxers import abilities
from pipeline.assembly.passages import CopyPlan, Way, codec_of, is_converted, is_sound, is_text
from pipeline.assembly.rehearsal import rehearse
from pipeline.conversion.channel_layouts import is_of_its_own, layout_of, misplaced_in_matroska
from pipeline.conversion.sound import conversion_in_words, gives_floats, sound_codecs_for
from pipeline.conversion.subtitles import text_codecs_for
from pipeline.encoding.encoders import NUMBERED, Container, container_for
from pipeline.metadata.covers import COVER_TYPES, is_cover
from pipeline.source.late_streams import is_unknown, only_data_begins_later
from pipeline.source.media_file import demux, open_source
from pipeline.source.source_video import SourceVideo

_WITHOUT_OTHERS = frozenset({"gif", NUMBERED})
"""Formats that have nothing beside their frames."""
_SAME_STEP_SECONDS = 0.002
_CLOSEST_IN_GIF = 2
"""Hundredths of a second: players take less for 10."""
_KEEPERS = (".mkv", ".mp4")
"""Endings that are advised where they hold what another container does not."""
_MISSED = {"audio": "audio", "subtitle": "subtitles", "video": "video"}
"""What is left out only where that is allowed, in words: what viewers see or hear."""
_SMALL_PICTURES = Disposition.timed_thumbnails | Disposition.still_image


def plan_copies(source: SourceVideo, output: Path, *, allow_left_out: bool = False) -> CopyPlan:
    """Find out, before any work, what the output container can hold, and try it.

    Sound that cannot be copied is converted to PCM that loses nothing, and text subtitles to the
    container's own. Raises MediaError for sound, subtitles and films that it holds in neither way,
    unless ``allow_left_out``. Of fonts, data and covers there is a line, and so for a GIF and
    numbered pictures, which have nothing beside their frames.
    """
    container = container_for(output)
    is_numbered = container.format == NUMBERED
    supported, strict = (frozenset[str](), True) if is_numbered else abilities(container)
    with open_source(source.path) as file:
        ways = {
            stream.index: list(_ways(stream, container, supported))
            for stream in file.streams
            if stream.index != source.stream_index and not _is_kept_otherwise(stream, container)
        }
        if not is_numbered:
            ways = _rehearsed(source, container, ways, strict_times=strict)
        warnings = _check_gif(source, file) if container.format == "gif" else []
        warnings += _lost_in_pictures(source) if is_numbered else []
        if source.has_late_streams:
            warnings.append(_late(source, file, allowed=allow_left_out))
        for index, possible in ways.items():
            stream = file.streams[index]
            if not possible:
                warnings.append(_left_out(source, stream, output, allowed=allow_left_out))
            elif is_converted(possible[0]):
                warnings.append(_converted(stream, possible[0], output))
            if possible and isinstance(stream, AudioStream) and container.format == "matroska":
                warnings += _misplaced(stream, possible[0])
    chosen = {index: possible[0] for index, possible in ways.items() if possible}
    leaves_out = source.has_late_streams or len(chosen) < len(ways)
    return CopyPlan(chosen, tuple(warnings), strict, leaves_out)


def _rehearsed(
    source: SourceVideo,
    container: Container,
    ways: dict[int, list[Way]],
    *,
    strict_times: bool,
) -> dict[int, list[Way]]:
    """Leave out of each stream's ways those that fail, up to the first that does not."""
    failed = frozenset(ways)
    while failed:
        tried = {index: possible[0] for index, possible in ways.items() if possible}
        failed = rehearse(source, CopyPlan(tried, strict_times=strict_times), container)
        ways = {
            index: possible[1:] if index in failed else possible for index, possible in ways.items()
        }
    return ways


def _ways(stream: Any, container: Container, supported: frozenset[str]) -> Iterator[Way]:
    """How a stream may get into the container, the best way first."""
    context = stream.codec_context
    if stream.type == "attachment":
        if container.format == "matroska":
            yield "copy"
    elif container.format in _WITHOUT_OTHERS or context is None:
        return
    elif is_cover(stream) and container.format != "mp4":  # other muxers make a film of it
        if container.format == "matroska" and context.name in COVER_TYPES:
            yield "copy"
    elif stream.type in ("audio", "subtitle", "video"):
        if context.name in supported:
            yield "copy"
        if isinstance(stream, AudioStream):
            if container.format == "matroska" and not is_of_its_own(layout_of(context)):
                yield "acm"
            yield from sound_codecs_for(stream, container.format)
        if stream.type == "subtitle":
            codec = codec_of(stream)
            yield from (way for way in text_codecs_for(codec, container.format) if way != codec)


def _converted(stream: Any, way: Way, output: Path) -> str:
    """Say that a stream is converted, and why."""
    reason = f"it does not fit into {output.suffix} as it is"
    if is_text(way):
        kept = "words, times, bold and italic are kept, other styling may not be"
        return f"{_in_words(stream)} is converted to {way}: {reason}; {kept}"
    if codec_of(stream) == way:
        reason = f"{output.suffix} knows no pauses in it: they become silence"
    exact = "; an output named .mkv keeps it" if way == "flac" and gives_floats(stream) else ""
    words = conversion_in_words(stream, way) if is_sound(way) else way
    return f"{_in_words(stream)} is converted to {words}: {reason}{exact}"


def _misplaced(stream: AudioStream, way: Way) -> list[str]:
    codec = codec_of(stream) if way == "copy" else way
    words = misplaced_in_matroska(stream.codec_context) if codec.startswith("pcm_") else ""
    return [f"{_in_words(stream)}: {words}"] if words else []


def _left_out(source: SourceVideo, stream: Any, output: Path, *, allowed: bool) -> str:
    """Say that a stream is left out. Raises MediaError for what is missed, unless allowed."""
    suffix = output.suffix.lower()
    is_missed = stream.type in _MISSED and not is_cover(stream)
    if stream.type == "video" and stream.disposition & _SMALL_PICTURES:
        is_missed = False
    may_be_empty = is_unknown(stream) or stream.type == "subtitle"
    if may_be_empty and not _has_packets(source.path, stream.index):
        return f"{_in_words(stream)} is announced and has nothing in it: left out"
    if is_unknown(stream) and not allowed:
        raise MediaError(
            f"{source.path}: its {_in_words(stream)} begins so late that it is not known what "
            "it is, as where recordings were joined: stylize its parts apart, or leave it out "
            "with --allow-left-out"
        )
    keeper = _keeper(stream, suffix)
    if is_missed and not allowed and container_for(output).format not in _WITHOUT_OTHERS:
        does, it = ("do", "them") if stream.type == "subtitle" else ("does", "it")
        how = " without being encoded again" if stream.type == "audio" else ""
        advice = f"name the output {keeper}, which holds {it}"
        if keeper is None:
            advice = f"and nothing else here {does}"
        raise MediaError(
            f"{source.path}: its {codec_of(stream)} {_MISSED[stream.type]} {does} not fit into "
            f"{output.suffix}{how}; {advice}, or leave {it} out with --allow-left-out"
        )
    advice = f"; an output named {keeper} keeps it" if keeper else ""
    return f"{_in_words(stream)} does not fit into {output.suffix} and is left out{advice}"


def _keeper(stream: Any, suffix: str) -> str | None:
    """The ending of a container that holds a stream as it is, or, of sound, as PCM."""
    if stream.type == "attachment":
        return None if suffix == ".mkv" else ".mkv"
    context = stream.codec_context
    for ending in _KEEPERS if context else ():
        supported, _ = abilities(container_for(Path(f"film{ending}")))
        if ending != suffix and (context.name in supported or stream.type == "audio"):
            return ending
    return None


def _late(source: SourceVideo, file: InputContainer, *, allowed: bool) -> str:
    """Say that streams which begin later are left out. Raises MediaError unless they are data."""
    if only_data_begins_later(source.path, file):
        return "streams of data that begin only later in the file are left out"
    if not allowed:
        raise MediaError(
            f"{source.path}: it has streams that begin only later in the file, as where recordings "
            "were joined: stylize its parts apart, or leave them out with --allow-left-out"
        )
    return "streams that begin only later in the file are left out"


def _in_words(stream: Any) -> str:
    return f"stream {stream.index} ({stream.type}, {codec_of(stream)})"


def _has_packets(path: Path, stream_index: int) -> bool:
    with open_source(path) as file, suppress(av.FFmpegError):
        return any(True for _ in demux(file, [file.streams[stream_index]]))
    return False


def _check_gif(source: SourceVideo, file: InputContainer) -> list[str]:
    """Refuse frames faster than players of GIF are, and tell what it cannot hold."""
    hundredths = 100 * source.info.time_base
    shown = source.packets.shown_pts
    closest = int(np.min(np.diff(shown), initial=2**62))
    if closest * hundredths < _CLOSEST_IN_GIF:
        raise MediaError(
            f"{source.path}: it has frames {float(closest * source.info.time_base):.3g} s apart, a "
            "GIF at least 0.02 s; name the output .mp4 or .webm"
        )
    lines = []
    if source.display_matrix:
        lines.append("a GIF cannot be turned by the player: it shows the frames as they are stored")
    if file.chapters():
        lines.append("a GIF has no chapters: they are left out")
    return lines


def _lost_in_pictures(source: SourceVideo) -> list[str]:
    """Tell what numbered pictures cannot say of a film."""
    if source.pictures:
        return []
    lines = []
    if source.display_matrix:
        lines.append("pictures are not turned by players: they are as the frames are stored")
    steps = np.diff(source.packets.shown_pts) * float(source.info.time_base)
    if len(steps) and steps.max() - steps.min() > _SAME_STEP_SECONDS:
        lines.append("its frames are not equally long, and numbered pictures have no times")
    return lines


def _is_kept_otherwise(stream: Any, container: Container) -> bool:
    """Whether a data stream is a list of chapters or a timecode, which muxers write themselves."""
    if stream.type != "data" or container.format in _WITHOUT_OTHERS:
        return False
    is_chapters = stream.name == "bin_data" and stream.discard == Discard.all
    return is_chapters or "timecode" in stream.metadata
