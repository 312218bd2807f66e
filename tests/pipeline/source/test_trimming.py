"""Which frames belong to a part of a film, and at what times."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from nst_core.errors import MediaError
from pipeline.films.span import Span
from pipeline.source.source_video import Cut, SourceVideo, probe
from pipeline.source.trimming import trimmed
from tests.kit.media import RATE, make_clip


@pytest.fixture(scope="module")
def source(clip: Path) -> SourceVideo:
    """48 frames, 24 a second, from zero on."""
    return probe(clip)


def _seconds(part: SourceVideo) -> list[Fraction]:
    return [int(pts) * part.info.time_base for pts in part.packets.shown_pts]


def _at(*times: Fraction | int) -> Span:
    start, *end = (Fraction(time) for time in times)
    return Span(start, *end)


@pytest.mark.parametrize(
    ("span", "first", "last"),
    [
        (_at(0), 0, 47),
        (_at(Fraction(1, 2), 1), 12, 23),
        (_at(Fraction("0.51"), Fraction("1.01")), 13, 24),
        (_at(0, Fraction(1, RATE)), 0, 0),
        (_at(Fraction(47, RATE), 9), 47, 47),
    ],
)
def test_frames_belong_to_it_from_the_start_on_and_before_the_end(
    source: SourceVideo, span: Span, first: int, last: int
) -> None:
    part = trimmed(source, span)
    tick = part.info.time_base
    expected = [Fraction(number, RATE) - span.start for number in range(first, last + 1)]
    assert len(_seconds(part)) == len(expected)
    assert all(abs(a - b) <= tick for a, b in zip(_seconds(part), expected, strict=True))


@pytest.mark.parametrize("typed", ["0.541", "0.5416", "0.54166", "0.5417", "0.542"])
def test_a_time_rounded_to_milliseconds_means_the_frame_beside_it(
    source: SourceVideo, typed: str
) -> None:
    exact = Fraction(13, RATE)  # 0.541666...
    part = trimmed(source, _at(Fraction(typed), 1))
    is_near = abs(Fraction(typed) - exact) <= Fraction(1, 2000)
    assert len(_seconds(part)) == 11
    assert (_seconds(part)[0] == 0) == is_near
    assert part.cut is not None
    assert abs(part.cut.start - (exact if is_near else Fraction(typed))) <= part.info.time_base
    until = trimmed(source, _at(0, Fraction(typed)))
    assert len(_seconds(until)) == 13
    assert until.cut is not None
    assert until.cut.end == (exact if is_near else Fraction(typed))


def test_a_film_begins_with_its_sound_where_that_is_plainly_earlier(source: SourceVideo) -> None:
    tick = source.info.time_base
    later = round(Fraction(7, 5) / tick)
    packets = replace(source.packets, pts=source.packets.pts + later)
    part = trimmed(replace(source, packets=packets), _at(1))  # its sound begins at zero
    assert len(_seconds(part)) == 48
    assert abs(_seconds(part)[0] - Fraction(2, 5)) <= tick


def test_a_film_without_sound_begins_with_its_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    make_clip(path, sound=False)
    source = probe(path)
    late = replace(source, packets=replace(source.packets, pts=source.packets.pts + 12_345))
    part = trimmed(late, _at(1))
    assert len(_seconds(part)) == 24
    assert _seconds(part)[0] == 0
    assert part.cut == Cut(1 + 12_345 * source.info.time_base, None, 12_345 * source.info.time_base)


def test_a_last_frame_that_stays_long_ends_with_the_part(source: SourceVideo) -> None:
    pts = np.where(
        source.packets.pts > 12_288, source.packets.pts + 10 * 12_288, source.packets.pts
    )
    slow = replace(source, packets=replace(source.packets, pts=pts))
    assert trimmed(slow, _at(0, 5)).last_duration == 4 * 12_288
    assert trimmed(slow, _at(0, 1)).last_duration == 512
    usual = trimmed(slow, _at(0, Fraction("0.51"))).last_duration
    assert usual == 512, "a frame of the usual length is not made shorter"


def test_a_part_that_lies_in_no_frame_is_refused(source: SourceVideo) -> None:
    with pytest.raises(MediaError, match=r"--start 2: it ends at 2\.00 s; name an earlier time"):
        trimmed(source, _at(2))
    with pytest.raises(MediaError, match=r"no frame of it is shown first from 0\.51 s to 0\.52 s"):
        trimmed(source, _at(Fraction("0.51"), Fraction("0.52")))


def test_an_end_behind_the_films_is_told(source: SourceVideo) -> None:
    assert trimmed(source, _at(1, 3)).warnings == ("it ends at 2.00 s, before the end asked for",)
    assert trimmed(source, _at(1, 2)).warnings == ()


def test_a_film_that_breaks_off_later_is_whole_in_the_part_before(source: SourceVideo) -> None:
    broken = replace(source, is_whole=False)
    assert trimmed(broken, _at(0, 1)).is_whole
    assert not trimmed(broken, _at(1)).is_whole
