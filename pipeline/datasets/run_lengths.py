"""Masks as COCO writes them: lengths of runs of 0 and 1 down the columns, as numbers or as a text.

The text is that of COCO's API: each length as the difference to the last but one, in digits of five
bits from the lowest on, the sixth bit of a digit says that more follow, and 48 is added to all.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nst_core.pictures.formats import MAX_PIXELS
from pipeline.datasets.annotated import MOST_PIXELS

_FIRST, _MORE, _SIGN, _BITS = 48, 0x20, 0x10, 5
_SHOWN = 40
"""Characters of a number that makes no sense."""

Counts = str | list[int]


def resized(counts: Counts, before: Sequence[int], after: Sequence[int]) -> Counts:
    """Return a mask in another size (height, width), by its nearest pixels, in the same form.

    Raises ValueError where the runs do not fill the mask, and where it is too large.
    """
    if not all(isinstance(side, int) and 0 <= side <= MOST_PIXELS for side in before):
        raise ValueError(f"a mask's size cannot be {str(before)[:_SHOWN]}")
    lengths = _lengths(counts) if isinstance(counts, str) else counts
    if (
        not all(isinstance(each, int) and each >= 0 for each in lengths)
        or sum(lengths) != before[0] * before[1]
    ):
        raise ValueError(f"the runs of a mask do not fill {before[1]}x{before[0]} pixels")
    if tuple(before) == tuple(after):
        return counts
    if after[0] * after[1] > MAX_PIXELS:
        raise ValueError(f"a mask would have {after[1]}x{after[0]} pixels")
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for old, new in zip(before, after, strict=True)
    )
    # Not drawn in its own size: a few bytes may claim any number of pixels.
    ends = np.cumsum(lengths)
    mask = np.empty((after[1], after[0]), dtype=np.uint8)  # column by column
    for drawn, column in zip(mask, columns, strict=True):
        drawn[:] = np.searchsorted(ends, column * before[0] + rows, side="right") % 2
    runs = _runs(mask.ravel())
    return _text(runs) if isinstance(counts, str) else runs


def _runs(mask: NDArray[np.uint8]) -> list[int]:
    changes = np.flatnonzero(np.diff(mask, prepend=np.uint8(0))).tolist()
    ends = [0, *changes, mask.size]
    return [int(end - start) for start, end in pairwise(ends)]


def _lengths(text: str) -> list[int]:
    lengths: list[int] = []
    value = shift = 0
    for character in text:
        digit = ord(character) - _FIRST
        value |= (digit & 0x1F) << shift
        shift += _BITS
        if digit & _MORE:
            continue
        if digit & _SIGN:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return lengths


def _text(lengths: Sequence[int]) -> str:
    text = []
    for number, length in enumerate(lengths):
        value = length - (lengths[number - 2] if number > 2 else 0)
        while True:
            digit = value & 0x1F
            value >>= _BITS
            is_last = value == (-1 if digit & _SIGN else 0)
            text.append(chr((digit if is_last else digit | _MORE) + _FIRST))
            if is_last:
                break
    return "".join(text)
