"""Where a video is damaged, in words: frames that follow one another make one place."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from nst_core.wording import counted

MOST_PLACES = 10
"""Told one by one; the rest is counted."""


def frames_in_words(
    pts: Sequence[int], what: str, shown: NDArray[np.int64], time_base: Fraction
) -> str:
    """Say how many frames are ``what`` and where: ``2 frames missing (1.20 s, 4.00 s)``."""
    if not pts:
        return f"no frames {what}"
    return f"{counted(len(pts), 'frames')} {what} ({places_in_words(pts, shown, time_base)})"


def places_in_words(pts: Sequence[int], shown: NDArray[np.int64], time_base: Fraction) -> str:
    """Say where frames are: ``1.20-1.95 s, 4.00 s``, at most MOST_PLACES and a count.

    ``pts`` are some of ``shown``, the PTS of all frames of the video, ascending; both in ticks of
    ``time_base`` seconds.
    """
    ranks = np.searchsorted(shown, np.sort(np.array(pts, dtype=np.int64)))
    places = np.split(ranks, np.flatnonzero(np.diff(ranks) > 1) + 1)
    words = [_place(shown[[place[0], place[-1]]], time_base) for place in places[:MOST_PLACES]]
    more = len(places) - len(words)
    return ", ".join(words) + (f" and {counted(more, 'more places')}" if more else "")


def _place(ends: NDArray[np.int64], time_base: Fraction) -> str:
    first, last = (f"{float(int(pts) * time_base):.2f}" for pts in ends)
    return f"{first} s" if first == last else f"{first}-{last} s"
