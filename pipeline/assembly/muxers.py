"""FFmpeg's muxers: what they hold, and how they are opened."""

from __future__ import annotations

import os
from math import lcm

import av
from av.format import Flags

from pipeline.encoding.encoders import Container
from pipeline.metadata.gif_repetition import gif_options
from pipeline.source.source_video import SourceVideo

_MOVIE_TIMESCALE = 90_000
"""Time scale of mp4 files; FFmpeg's 1000 puts start offsets off by up to half a millisecond."""
_TOO_MANY_TICKS = 1 << 31


def abilities(container: Container) -> tuple[frozenset[str], bool]:
    """Names of the codecs that the muxer may take, and whether times must differ."""
    with av.open(os.devnull, "w", format=container.format) as trial:
        flags = Flags(trial.format.flags)
        return frozenset(trial.supported_codecs), Flags.ts_nonstrict not in flags


def muxer_options(container: Container, source: SourceVideo) -> dict[str, str]:
    """Options for an output of ``source``, as a file with a name."""
    if container.format in ("matroska", "webm"):
        return {"fflags": "+bitexact"}  # no random numbers: the same input gives the same bytes
    if container.format == "gif":
        return gif_options(source)
    options = {"movflags": "+faststart", "movie_timescale": str(_movie_timescale(source))}
    if source.info.time_base.denominator >= 1000:
        options["video_track_timescale"] = str(source.info.time_base.denominator)
    return options


def _movie_timescale(source: SourceVideo) -> int:
    """Ticks of a second in which the start of the picture is a whole number."""
    time_base = source.info.time_base
    start = int(source.packets.shown_pts[0]) * time_base
    exact = lcm(_MOVIE_TIMESCALE, time_base.denominator)
    is_exact = (start * _MOVIE_TIMESCALE).denominator == 1
    return _MOVIE_TIMESCALE if is_exact or exact >= _TOO_MANY_TICKS else exact
