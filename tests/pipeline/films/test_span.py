"""Times on the command line: seconds and timecodes, exact; whatever else is refused in one line."""

from __future__ import annotations

from fractions import Fraction

import pytest

from nst_core.errors import InputError
from pipeline.films.settings import FilmSettings
from pipeline.films.span import Span, span_of, time_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", Fraction(0)),
        ("12.5", Fraction(25, 2)),
        (".04", Fraction(1, 25)),
        ("90", Fraction(90)),
        ("00:12", Fraction(12)),
        ("75:00.001", 4500 + Fraction(1, 1000)),
        ("1:02:03.5", 3723 + Fraction(1, 2)),
        ("100:00:00", Fraction(360_000)),
        (" 3 ", Fraction(3)),
    ],
)
def test_seconds_and_timecodes_are_read_exactly(text: str, seconds: Fraction) -> None:
    assert time_of("--start", text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "x", "-1", "1:60", "1:60:00", "1:2:3:4", "1,5", "1s", ":12", "1:", "nan", "inf", "1e3"],
)
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(InputError, match=r"^--end .*: seconds or a timecode .* 1:02:03\.5$"):
        time_of("--end", text)


def test_a_duration_counts_from_the_start() -> None:
    assert FilmSettings().span is None
    assert FilmSettings(start=Fraction(2)).span == Span(Fraction(2))
    assert FilmSettings(end=Fraction(2)).span == Span(end=Fraction(2))
    asked = FilmSettings(start=Fraction(2), duration=Fraction(5))
    assert asked.span == Span(Fraction(2), Fraction(7))
    assert FilmSettings(duration=Fraction(5)).span == Span(end=Fraction(5))


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (
            {"start": Fraction(3), "end": Fraction(3)},
            "--end 3: it must be later than the start, 3 s",
        ),
        (
            {"start": Fraction(3), "end": Fraction(2)},
            "--end 2: it must be later than the start, 3 s",
        ),
        ({"end": Fraction(0)}, "--end 0: it must be later than the start, 0 s"),
        ({"duration": Fraction(0)}, "--duration 0: more than 0 is needed"),
        ({"start": Fraction(-1)}, "--start -1: 0 or more is needed"),
        (
            {"end": Fraction(3), "duration": Fraction(3)},
            "both say where the part ends; give one of them",
        ),
    ],
)
def test_a_part_that_cannot_be_is_refused(times: dict[str, Fraction], words: str) -> None:
    with pytest.raises(InputError) as error:
        span_of(*(times.get(name) for name in ("start", "end", "duration")))
    assert words in str(error.value)
