"""The sheet of a preview: a row for each frame, a column for each style, and their names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

_WIDEST = 4800
"""Pixels of all columns together, as long as cells do not become smaller than LEAST_CELL."""
_LEAST_CELL = 240
_WIDER_THAN_HIGH = 1.6
"""Columns by lines, where a single row is broken into lines."""
_GAP = 10
_CAPTION, _NAME = 24, 18
"""Heights of letters: of what is above a row, and above each picture."""
_LINE = 1.5
"""Height of a line, in heights of its letters."""
_INK, _PAPER, _GREY = "#1a1a1a", "#ffffff", "#5c5c5c"


@dataclass(frozen=True)
class Row:
    """One frame in all styles."""

    caption: str
    pictures: Sequence[tuple[str, Image.Image]]
    """Each with its name; all of one size."""


def draw_sheet(rows: Sequence[Row], *, longest_side: int) -> Image.Image:
    """Lay the rows out below each other; a single row is broken into several lines.

    ``longest_side`` is that of the pictures, in pixels.
    """
    columns = max(len(row.pictures) for row in rows)
    if len(rows) == 1:
        columns = math.ceil(columns / max(1, round(math.sqrt(columns / _WIDER_THAN_HIGH))))
    side = max(_LEAST_CELL, min(longest_side, _WIDEST // columns))
    drawn = [_draw_row(row, columns, side) for row in rows]
    width = max(picture.width for picture in drawn)
    result = Image.new("RGB", (width, sum(picture.height for picture in drawn) + _GAP), _PAPER)
    top = 0
    for picture in drawn:
        result.paste(picture, (0, top))
        top += picture.height
    return result


def _draw_row(row: Row, columns: int, side: int) -> Image.Image:
    width, height = row.pictures[0][1].size
    factor = side / max(width, height)
    cell = (max(1, round(width * factor)), max(1, round(height * factor)))
    caption, name = (ImageFont.load_default(size=size) for size in (_CAPTION, _NAME))
    caption_height, name_height = round(_CAPTION * _LINE), round(_NAME * _LINE)
    pitch = max(cell[0], _LEAST_CELL) + _GAP
    lines = math.ceil(len(row.pictures) / columns)
    line_height = name_height + cell[1] + _GAP
    size = (columns * pitch + _GAP, _GAP + caption_height + lines * line_height)
    result = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(result)
    draw.text((_GAP, _GAP), _fitting(row.caption, caption, size[0] - 2 * _GAP), _INK, caption)
    for number, (label, picture) in enumerate(row.pictures):
        line, column = divmod(number, columns)
        x, y = _GAP + column * pitch, _GAP + caption_height + line * line_height
        draw.text((x, y), _fitting(label, name, pitch - _GAP), _GREY, name)
        resized = picture.resize(cell, Image.Resampling.LANCZOS)
        result.paste(resized, (x, y + name_height))
    return result


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Leave out the middle of a text that is wider than ``width``: names differ at their ends."""
    text = text.encode("utf-8", "replace").decode()
    shown, kept = text, len(text)
    while font.getlength(shown) > width and kept > 2:
        kept -= 1
        shown = f"{text[: kept // 2]}...{text[len(text) - (kept + 1) // 2 :]}"
    return shown
