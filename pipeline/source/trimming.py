"""A source cut to a part of its film: the frames shown in it, at times that count from its start.

A film begins with its first frame, or with its sound where that is plainly earlier: there players
begin to count.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil

import numpy as np
from numpy.typing import NDArray

from nst_core.errors import MediaError
from pipeline.films.span import Span
from pipeline.source.media_file import open_source
from pipeline.source.packet_index import PacketIndex
from pipeline.source.source_video import Cut, SourceVideo
from pipeline.source.timestamps import Ticks, decoding_times

_ROUNDED = Fraction(1, 2000)
"""Seconds by which a frame may miss a time and yet be the one that is meant: timecodes and
containers have whole milliseconds."""
_SOUND_IS_EARLIER = Fraction(1, 10)
"""Seconds; sound that begins by less before the picture is what its decoder needs to begin."""


def trimmed(source: SourceVideo, span: Span) -> SourceVideo:
    """Return a source that shows what lies within ``span``. Raises MediaError where nothing does.

    A frame belongs to it if its time is at or after the start and before the end. Packets before
    it stay in the index: frames of the part may be made from them.
    """
    packets, tick = source.packets, source.info.time_base
    shown = packets.shown_pts
    if not len(shown):
        return source
    begin = begin_of(source)
    end = None if span.end is None else begin + span.end
    first = _first_at(shown, begin + span.start, tick)
    last = len(shown) if end is None else _first_at(shown, end, tick)
    if first >= last:
        raise MediaError(_nothing_in(source, span, _ends(source) - begin))
    zero = round(_meant(shown[first], begin + span.start, tick) / tick)
    warnings = source.warnings
    if end is not None and last < len(shown):
        end = _meant(shown[last], end, tick)
    elif end is not None and end > _ends(source) + 1 / source.info.rate:
        warnings += (f"it ends at {float(_ends(source) - begin):.2f} s, before the end asked for",)
    duration = packets.duration.copy()
    duration[packets.pts == shown[last - 1]] = _last_duration(source, shown[last - 1 :], end)
    pts = packets.pts - zero
    return replace(
        source,
        packets=PacketIndex(
            pts=pts,
            duration=duration,
            is_keyframe=packets.is_keyframe,
            is_shown=packets.is_shown & np.isin(packets.pts, shown[first:last]),
            dts=decoding_times(pts),
            size=packets.size,
        ),
        warnings=warnings,
        is_whole=source.is_whole or last < len(shown),
        cut=Cut(zero * tick, end, begin),
    )


def begin_of(source: SourceVideo) -> Fraction:
    """Where the film begins, in seconds of the file's clock."""
    first = int(source.packets.shown_pts[0]) * source.info.time_base
    with open_source(source.path) as container:
        starts = [
            stream.start_time * stream.time_base
            for stream in container.streams.audio
            if stream.start_time is not None and stream.time_base
        ]
    earliest = min(starts, default=first)
    if first - earliest <= _SOUND_IS_EARLIER:
        return first
    return max(earliest, min(first, Fraction(0)))  # what is before zero is heard by nobody


def film_seconds(source: SourceVideo, pts: Ticks) -> NDArray[np.float64]:
    """Seconds from where the film begins to when frames are shown, also where a part is taken."""
    cut = source.cut
    begin = cut.film_start - cut.start if cut else begin_of(source)
    return pts.astype(np.float64) * float(source.info.time_base) - float(begin)


def _first_at(shown: Ticks, seconds: Fraction, tick: Fraction) -> int:
    """Number of the first frame at a time or later."""
    return int(np.searchsorted(shown, ceil((seconds - _ROUNDED) / tick)))


def _meant(first: np.int64, seconds: Fraction, tick: Fraction) -> Fraction:
    """The time of the first frame from a time on, in ticks, where it is meant; else that time."""
    time = int(first) * tick
    return time if time - seconds <= _ROUNDED else seconds


def _ends(source: SourceVideo) -> Fraction:
    """Where the picture ends, in seconds of the file's clock."""
    return (int(source.packets.shown_pts[-1]) + source.last_duration) * source.info.time_base


def _last_duration(source: SourceVideo, shown: Ticks, end: Fraction | None) -> int:
    """Ticks for which the last frame is shown, the first of ``shown``; a long one until the end."""
    tick = source.info.time_base
    lasts = int(shown[1] - shown[0]) if len(shown) > 1 else source.last_duration
    if end is None:
        return lasts
    usual = max(1, round(1 / (source.info.rate * tick)))
    return min(lasts, max(usual, ceil(end / tick) - int(shown[0])))


def _nothing_in(source: SourceVideo, span: Span, ends: Fraction) -> str:
    if span.start >= ends:
        return (
            f"{source.path}: --start {float(span.start):.10g}: it ends at {float(ends):.2f} s; "
            "name an earlier time"
        )
    return f"{source.path}: no frame of it is shown first from {span}; ask for a longer part"
