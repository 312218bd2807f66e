from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from pipeline.films.report import MOST_PLACES, places_in_words

SHOWN = np.array([0, 10, 20, 45, 50, 60, 90], dtype=np.int64)  # its frame rate varies


@pytest.mark.parametrize(
    ("pts", "words"),
    [
        ([20], "0.20 s"),
        ([20, 45, 10], "0.10-0.45 s"),
        ([0, 10, 50, 90], "0.00-0.10 s, 0.50 s, 0.90 s"),
    ],
)
def test_frames_that_follow_one_another_are_one_place(pts: list[int], words: str) -> None:
    assert places_in_words(pts, SHOWN, Fraction(1, 100)) == words


def test_many_places_are_counted() -> None:
    shown = np.arange(100, dtype=np.int64)
    words = places_in_words(list(range(0, 100, 2)), shown, Fraction(1, 10))
    assert words.count("s,") == MOST_PLACES - 1
    assert words.endswith("1.80 s and 40 more places")
