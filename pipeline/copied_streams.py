"""Which streams go from the source into the output as they are."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.format import Flags
from av.stream import Discard, Disposition, Stream

from nst_core.errors import MediaError
from pipeline.encoders import Container, container_for
from pipeline.media_file import demux, open_source
from pipeline.source_video import SourceVideo

_MOST_SAMPLED = 1000
_CLOSEST_IN_GIF = 2
"""Hundredths of a second: players take less for 10."""
COVER_TYPES = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}
"""File names and media types by which players find a cover among Matroska's attachments."""


@dataclass(frozen=True)
class CopyPlan:
    """Which streams of the source go into the output as they are."""

    stream_indices: tuple[int, ...]
    warnings: tuple[str, ...]
    """One line for each stream that the container cannot hold."""
    strict_times: bool = True
    """Whether the container wants every packet of a stream later than the one before."""


def plan_copies(source: SourceVideo, output: Path) -> CopyPlan:
    """Check, before any work, what the output container can hold.

    Raises MediaError for audio that it cannot: sound is never left out in silence. A GIF, which
    has none by its nature, is warned of.
    """
    container = container_for(output)
    supported, strict = _abilities(container)
    copied: list[int] = []
    warnings = _check_gif(source) if container.format == "gif" else []
    with open_source(source.path) as file:
        samples = _first_packets(file)
        for stream in file.streams:
            if stream.index == source.stream_index or _is_kept_otherwise(stream, container):
                continue
            name = stream.codec_context.name if stream.codec_context else stream.type
            sample = samples.get(stream.index)
            if _fits(stream, name, container, supported, sample):
                copied.append(stream.index)
            elif _is_sound(stream) and container.format not in ("gif", "matroska"):
                raise MediaError(
                    f"{source.path}: its {name} audio does not fit into {output.suffix} without "
                    "being encoded again; name the output .mkv, which holds any audio"
                )
            else:
                warnings.append(
                    f"stream {stream.index} ({stream.type}, {name}) does not fit into "
                    f"{output.suffix} and is left out"
                )
    return CopyPlan(tuple(copied), tuple(warnings), strict)


def _is_sound(stream: Stream) -> bool:
    """Whether it is audio of a codec that is known: of another nothing can be kept anywhere."""
    return stream.type == "audio" and getattr(stream, "codec_context", None) is not None


def is_cover(stream: Stream) -> bool:
    """Whether it is a picture of the film as a whole, not one of its frames."""
    return bool(stream.disposition & Disposition.attached_pic)


def _check_gif(source: SourceVideo) -> list[str]:
    """Refuse frames faster than players of GIF are, and tell what it cannot hold."""
    hundredths = 100 * source.info.time_base
    shown = source.packets.shown_pts
    closest = int(np.min(np.diff(shown), initial=2**62))
    if closest * hundredths < _CLOSEST_IN_GIF:
        raise MediaError(
            f"{source.path}: it has frames {float(closest * source.info.time_base):.3g} s apart, a "
            "GIF at least 0.02 s; name the output .mp4 or .webm"
        )
    if source.display_matrix:
        return ["a GIF cannot be turned by the player: it shows the frames as they are stored"]
    return []


def _is_kept_otherwise(stream: Any, container: Container) -> bool:
    """Whether a data stream is a list of chapters or a timecode, which muxers write themselves."""
    if stream.type != "data" or container.format == "gif":
        return False
    is_chapters = stream.name == "bin_data" and stream.discard == Discard.all
    return is_chapters or "timecode" in stream.metadata


def _first_packets(file: InputContainer) -> dict[int, av.Packet[Any]]:
    """A packet of each stream that begins near the start of the file."""
    samples: dict[int, av.Packet[Any]] = {}
    streams = [stream for stream in file.streams if stream.type in ("audio", "subtitle", "video")]
    with suppress(av.FFmpegError):
        for packet in islice(demux(file, streams), _MOST_SAMPLED):
            samples.setdefault(packet.stream_index, packet)
            if len(samples) == len(streams):
                break
    return samples


def _fits(
    stream: Any,
    codec: str,
    container: Container,
    supported: frozenset[str],
    sample: av.Packet[Any] | None,
) -> bool:
    """Whether the container takes the stream: asked of the muxer itself, with a trial file."""
    if container.format == "gif":
        return False
    if stream.type == "attachment":
        return container.format == "matroska"
    if is_cover(stream):
        if container.format == "matroska":
            return codec in COVER_TYPES
        if container.format != "mp4":
            return False  # other muxers make a film of it
    if stream.type not in ("audio", "subtitle", "video") or codec not in supported:
        return False
    try:
        with av.open(io.BytesIO(), "w", format=container.format) as trial:
            copy = trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
            if sample:
                sample.stream = copy
                with suppress(av.InvalidDataError):  # the packet may be damaged, not the stream
                    trial.mux(sample)
    except (av.FFmpegError, ValueError):
        return False
    return True


def _abilities(container: Container) -> tuple[frozenset[str], bool]:
    """Names of the codecs that the muxer may take, and whether times must differ."""
    with av.open(os.devnull, "w", format=container.format) as trial:
        flags = Flags(trial.format.flags)
        return frozenset(trial.supported_codecs), Flags.ts_nonstrict not in flags
