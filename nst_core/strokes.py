"""Sizes of strokes: which one a picture gets, and what a style's trained sizes mix to it.

A stroke of 1 is right for a picture whose shorter side has 512 pixels; a side twice as long needs
strokes of 2 to look alike.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

PROPORTIONAL_SIDE = 512.0
"""Shorter side, in pixels, of a picture for which a stroke of 1 is in proportion: the painting's.
Measured on five photographs: with 724 pictures of ``udnie`` were twice as far from the painting,
and kept no more of the subject."""

Sizes = Sequence[float]
"""Strokes that a style was trained with, ascending; none: it has one size, called 1."""


@dataclass(frozen=True)
class StrokeChoice:
    """How wide the strokes of a style are, by the size of the picture that the network sees."""

    sizes: tuple[float, ...] = ()
    """The strokes a style was trained at, ascending; empty: stroke 1 only."""
    factor: float = 1.0
    """How many times wider than in proportion to the picture."""

    def of(self, height: int, width: int) -> float:
        """Return the stroke for a picture of ``height`` x ``width`` pixels."""
        return reached(self.sizes, self._wanted(height, width))

    def limit(self, height: int, width: int) -> str | None:
        """Say in a line that the style does not reach what is asked for; None where it does.

        The line is the same for all pictures: it is told once. Nothing is asked for with a factor
        of 1: strokes are in proportion as far as they reach.
        """
        wanted, stroke = self._wanted(height, width), self.of(height, width)
        if not self.sizes or self.factor == 1 or wanted == stroke:
            return None
        is_wide = wanted > stroke
        asked, small, taken = (
            ("wider", "large", "finer") if is_wide else ("finer", "small", "wider")
        )
        return (
            f"--stroke {self.factor:g} is relative to the size of the picture: in one as {small} "
            f"as this it asks for {asked} strokes than the style has ({self.sizes[0]:g} to "
            f"{self.sizes[-1]:g}); its {'widest' if is_wide else 'finest'} are taken, which are "
            f"{taken} than asked for"
        )

    def _wanted(self, height: int, width: int) -> float:
        return self.factor * in_proportion(height, width)


def in_proportion(height: int, width: int) -> float:
    """Return the stroke in proportion to a picture, to the nearest half octave.

    So pictures of many sizes need few strokes, each of which takes a network of its own.
    """
    octaves = math.log2(min(height, width) / PROPORTIONAL_SIDE)
    return float(2.0 ** (round(2 * octaves) / 2))


def reached(sizes: Sizes, stroke: float) -> float:
    """Return the nearest stroke that a style of these sizes has; 1 where it has one size only."""
    return min(max(stroke, sizes[0]), sizes[-1]) if sizes else 1.0


def shares(sizes: Sizes, stroke: float) -> tuple[float, ...]:
    """Return each size's part in a stroke, together 1: of the two around it, by the logarithm.

    Beyond the sizes it is the outermost; a style of one size is a single part.
    """
    if not sizes:
        return (1.0,)
    stroke = reached(sizes, stroke)
    parts = [0.0] * len(sizes)
    upper = bisect_left(sizes, stroke)
    if sizes[upper] == stroke:
        parts[upper] = 1.0
    else:
        low, high = sizes[upper - 1], sizes[upper]
        parts[upper] = math.log2(stroke / low) / math.log2(high / low)
        parts[upper - 1] = 1 - parts[upper]
    return tuple(parts)


def half_octaves(sizes: Sizes) -> tuple[float, ...]:
    """Return the sizes and all half octaves between them: every stroke a picture may choose."""
    if not sizes:
        return (1.0,)
    first, last = (math.ceil(2 * math.log2(sizes[0])), math.floor(2 * math.log2(sizes[-1])))
    return tuple(sorted({*sizes, *(2.0 ** (step / 2) for step in range(first, last + 1))}))
