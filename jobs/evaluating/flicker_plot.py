"""The plot of a video's flicker: the errors of output and source over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby

from PIL import Image, ImageDraw, ImageFont

from nst_core.measures.warping_error import PairError
from pipeline.films.span import timecode

_SIZE = (1200, 480)
_LEFT, _TOP, _RIGHT, _BOTTOM = 60, 60, 1180, 430
"""Edges of the area with the lines."""
_PAPER, _INK, _GRID, _OUTPUT, _SOURCE = "white", "#1a1a1a", "#dddddd", "#c23b22", "#4a7ebb"
_MARKS = 8
"""How many times stand below it, about."""
_LABEL = 80
"""Pixels that a time is wide."""
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
"""Seconds, or levels, between marks."""


def draw_plot(
    times: Sequence[float],
    errors: Sequence[PairError | None],
    worst: Sequence[float],
) -> Image.Image:
    """Draw the root of the errors, in levels of 255, at their ``times`` in seconds.

    A cut (None) interrupts the lines; the ``worst`` times get marks.
    """
    levels = {
        "output": [255 * math.sqrt(one.output) if one else None for one in errors],
        "source": [255 * math.sqrt(one.source) if one else None for one in errors],
    }
    highest = max(one for line in levels.values() for one in line if one is not None) or 1.0
    start, length = times[0], max(times[-1] - times[0], 1e-6)

    def x(seconds: float) -> float:
        return _LEFT + (seconds - start) / length * (_RIGHT - _LEFT)

    def y(level: float) -> float:
        return _BOTTOM - level / (1.05 * highest) * (_BOTTOM - _TOP)

    image = Image.new("RGB", _SIZE, _PAPER)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=15)
    draw.text((_LEFT, 12), "Change along the source's motion, in levels of 255", _INK, font)
    for level in _marks(0, highest):
        draw.line([(_LEFT, y(level)), (_RIGHT, y(level))], _GRID)
        draw.text((_LEFT - 8, y(level)), f"{level:g}", _INK, font, anchor="rm")
    for seconds in _marks(start, start + length):
        draw.line([(x(seconds), _BOTTOM), (x(seconds), _BOTTOM + 5)], _INK)
        draw.text((x(seconds), _BOTTOM + 10), _written(seconds), _INK, font, anchor="mt")
    named: list[float] = []
    for seconds in worst:
        draw.line([(x(seconds), _TOP), (x(seconds), _BOTTOM)], _GRID, 3)
        if all(abs(x(seconds) - other) > _LABEL for other in named):
            draw.text((x(seconds), _TOP - 4), _written(seconds), _OUTPUT, font, anchor="mb")
            named.append(x(seconds))
    for column, (label, color) in enumerate((("source", _SOURCE), ("output", _OUTPUT))):
        draw.text((_RIGHT - 60 * column, 12), label, color, font, anchor="ra")
        points = zip(times, levels[label], strict=True)
        for is_cut, run in groupby(points, key=lambda point: point[1] is None):
            if not is_cut:
                draw.line([(x(at), y(level or 0.0)) for at, level in run], color, 2)
    draw.rectangle([(_LEFT, _TOP), (_RIGHT, _BOTTOM)], outline=_INK)
    return image


def _marks(first: float, last: float) -> list[float]:
    """Return round numbers between the two."""
    step = next((step for step in _STEPS if last - first <= step * _MARKS), _STEPS[-1])
    return [step * number for number in range(math.ceil(first / step), int(last / step) + 1)]


def _written(seconds: float) -> str:
    return timecode(Fraction(seconds)).removesuffix(".000")
