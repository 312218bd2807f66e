"""FFmpeg's muxers: what they hold, and how they are opened."""

from __future__ import annotations

import os

import av
from av.format import Flags

from pipeline.encoders import Container
from pipeline.gif_repetition import gif_options
from pipeline.source_video import SourceVideo

_MOVIE_TIMESCALE = 90_000
"""Of mp4; its default of 1000 puts start offsets off by up to half a millisecond."""


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
    options = {"movflags": "+faststart", "movie_timescale": str(_MOVIE_TIMESCALE)}
    if source.info.time_base.denominator >= 1000:
        options["video_track_timescale"] = str(source.info.time_base.denominator)
    return options
