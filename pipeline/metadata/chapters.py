"""Chapters as containers can hold them."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from av.container import InputContainer

if TYPE_CHECKING:
    from av.container.core import Chapter  # exists in PyAV's type stubs only

_FORMATS = {"mp4": True, "mov": True, "matroska": False, "webm": False}
"""Formats with chapters, and whether the first must start at zero."""


def chapters_for(source: InputContainer, output_format: str) -> list[Chapter]:
    """The source's chapters, in order and each from a time of its own, at or after zero.

    Matroska's muxer refuses others, or its readers ignore them. mp4 loses those without a title,
    and moves all when the first starts after zero: that one is made longer instead.
    ``output_format`` is a muxer's name or a demuxer's.
    """
    output_format, *_ = output_format.split(",")
    if output_format not in _FORMATS:
        return []
    by_start = {_seconds(chapter, "start"): chapter for chapter in source.chapters()}
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
