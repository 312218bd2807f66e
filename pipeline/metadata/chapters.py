"""Chapters as containers can hold them."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from av.container import InputContainer

if TYPE_CHECKING:
    from av.container.core import Chapter  # exists in PyAV's type stubs only

    from pipeline.source.source_video import Cut

_FORMATS = {"mp4": True, "mov": True, "matroska": False, "webm": False}
"""Formats with chapters, and whether the first must start at zero."""


def chapters_for(
    source: InputContainer, output_format: str, cut: Cut | None = None
) -> list[Chapter]:
    """The source's chapters, in order and each from a time of its own, at or after zero.

    Where the source is ``cut``, those that its part has something of.

    Matroska's muxer refuses others, or its readers ignore them. mp4 loses those without a title,
    and moves all when the first starts after zero: that one is made longer instead.
    ``output_format`` is a muxer's name or a demuxer's.
    """
    output_format, *_ = output_format.split(",")
    if output_format not in _FORMATS:
        return []
    all_chapters = source.chapters()
    if cut:
        all_chapters = _within(all_chapters, cut)
    by_start = {_seconds(chapter, "start"): chapter for chapter in all_chapters}
    starts = sorted(by_start)
    result = [
        _clean(by_start[start], number, start, following)
        for number, (start, following) in enumerate(zip(starts, [*starts, None][1:], strict=True))
    ]
    if result and _FORMATS[output_format]:
        result[0]["start"] = 0
    return result


def chapter_starts(chapters: list[Chapter]) -> list[Fraction]:
    """When each begins, in seconds."""
    return [_seconds(chapter, "start") for chapter in chapters]


def _within(chapters: list[Chapter], cut: Cut) -> list[Chapter]:
    """Chapters by the times of a part; one that does not say where it ends ends with the next."""
    ordered = sorted(chapters, key=lambda chapter: chapter["start"] * _tick(chapter))
    result: list[Chapter] = []
    for chapter, following in zip(ordered, [*ordered, None][1:], strict=True):
        tick = _tick(chapter)
        start, end = chapter["start"] * tick, chapter["end"] * tick
        if end <= start:
            end = start if following is None else following["start"] * _tick(following)
        begins, ends = max(start, cut.start), end if cut.end is None else min(end, cut.end)
        is_last = following is None and end <= start and (cut.end is None or start < cut.end)
        if begins < ends or is_last:
            clipped = chapter.copy()
            clipped["start"] = round((begins - cut.start) / tick)
            clipped["end"] = round((max(begins, ends) - cut.start) / tick)
            result.append(clipped)
    return result


def _clean(chapter: Chapter, number: int, start: Fraction, following: Fraction | None) -> Chapter:
    end = _seconds(chapter, "end")
    if end < start:  # not given
        end = start if following is None else following
    tick = _tick(chapter)
    return {
        "id": number + 1,  # Matroska allows no 0
        "start": round(start / tick),
        "end": round(end / tick),
        "time_base": tick,
        "metadata": {"title": "", **chapter["metadata"]},
    }


def _seconds(chapter: Chapter, edge: Literal["start", "end"]) -> Fraction:
    return max(Fraction(0), chapter[edge] * _tick(chapter))


def _tick(chapter: Chapter) -> Fraction:
    return chapter["time_base"] or Fraction(1, 1000)
