"""Timecodes that go on, and counts of a whole film that are not true of a part."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.metadata.cut_tags import later, tags_from_cut
from pipeline.source.source_video import Cut, probe

_NTSC = Fraction(30_000, 1001)


@pytest.mark.parametrize(
    ("timecode", "seconds", "rate", "expected"),
    [
        ("00:00:00:00", "2.5", Fraction(24), "00:00:02:12"),
        ("01:00:00:00", "0", Fraction(25), "01:00:00:00"),
        ("01:59:59:24", "0.04", Fraction(25), "02:00:00:00"),
        ("23:59:59:23", "1", Fraction(24), "00:00:00:23"),
        ("no timecode", "1", Fraction(24), "no timecode"),
    ],
)
def test_a_timecode_goes_on(timecode: str, seconds: str, rate: Fraction, expected: str) -> None:
    assert later(timecode, Fraction(seconds), rate) == expected


def test_numbers_that_are_left_out_are_never_reached() -> None:
    """SMPTE 12M: at 29.97, frames 0 and 1 of each minute have no number but for each tenth."""
    for start in ("00:00:59;28", "00:08:59;28", "00:09:59;28", "10:59:59;28", "23:59:59;28"):
        timecode = start
        for _ in range(6):
            timecode = later(timecode, 1 / _NTSC, _NTSC)
            _, minutes, seconds = timecode.partition(";")[0].split(":")
            is_left_out = timecode[-2:] in ("00", "01") and seconds == "00"
            assert not (is_left_out and int(minutes) % 10), timecode
    assert later("00:00:59;29", 1 / _NTSC, _NTSC) == "00:01:00;02"
    assert later("00:09:59;29", 1 / _NTSC, _NTSC) == "00:10:00;00"
    assert later("00:00:00;00", Fraction(600), _NTSC) == "00:10:00;00"


def test_counts_of_the_whole_film_go(clip: Path) -> None:
    tags = {"BPS-eng": "1", "NUMBER_OF_FRAMES": "48", "title": "x", "TIMECODE": "00:00:00:00"}
    source = probe(clip)
    assert tags_from_cut(tags, source) == tags
    cut = replace(source, cut=Cut(Fraction(3), None, Fraction(1)))
    assert tags_from_cut(tags, cut) == {"title": "x", "TIMECODE": "00:00:02:00"}
