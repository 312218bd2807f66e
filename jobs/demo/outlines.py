"""What has outlines in the demo's scene, drawn large with Pillow and shrunk: RGBA images."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

_Colour = tuple[int, int, int]
_FINE = 3
"""Outlines are drawn this many times larger, for smooth edges."""
_SAILS = (  # mast's column, how the edge leans, two colours
    (250, 0.47, ((246, 226, 196), (232, 202, 166))),
    (232, -0.36, ((196, 68, 48), (170, 50, 44))),
)
_PLANKS = (
    (238, 226, 204),
    (60, 78, 110),
    (44, 60, 92),
    (52, 70, 102),
    (40, 54, 84),
    (30, 40, 66),
)


def sailing_boat() -> Image.Image:
    """160 x 187 pixels; the waterline is 8 pixels above the lower edge."""
    canvas = Image.new("RGBA", (480, 561))
    draw = ImageDraw.Draw(canvas)
    for mast, lean, colours in _SAILS:
        for panel in range(8):
            low, high = 62 + 48 * panel, 112 + 48 * panel
            edge = [(mast + lean * (high - 60), high), (mast + lean * (low - 60), low)]
            draw.polygon([(mast, low), (mast, high), *edge], fill=colours[panel % 2])
    draw.line([(241, 30), (241, 500)], fill=(64, 38, 28), width=9)
    draw.polygon([(243, 30), (300, 44), (243, 58)], fill=(236, 176, 60))
    draw.ellipse((120, 448, 142, 470), fill=(60, 36, 30))  # who steers it
    draw.polygon([(112, 482), (118, 466), (146, 466), (152, 482)], fill=(150, 60, 44))
    for number, colour in enumerate(_PLANKS):
        top, left, right = 478 + 11 * number, 40 + 1.5 * number**2, 462 - 2.1 * number**2
        lower = [(right - 5, top + 12), (left + 4, top + 12)]
        draw.polygon([(left, top), (right, top - 8), *lower], fill=colour)
    return canvas.reduce(_FINE)


def lighthouse() -> Image.Image:
    """40 x 180 pixels, in nine bands, lit from the right."""
    canvas = Image.new("RGBA", (40 * _FINE, 180 * _FINE))
    draw = ImageDraw.Draw(canvas)
    top, bottom = 120, 540
    for column in np.arange(-1, 1, 0.02):
        light = 0.62 + 0.38 * math.sin(1.2 * (column + 0.4))
        for band in range(9):
            colour = ((250, 238, 220), (204, 64, 48))[band % 2]
            rows = (top + 47 * band, top + 47 * (band + 1))
            edge = [(60 + column * (34 + 24 * (row - top) / (bottom - top)), row) for row in rows]
            draw.line(edge, fill=_mixed((0, 0, 0), colour, light), width=2)
    iron, lamp = (58, 44, 52), (255, 226, 130)
    draw.rectangle((32, 58, 88, 108), fill=lamp)
    for bar in (32, 49, 67, 84):
        draw.rectangle((bar, 58, bar + 4, 108), fill=iron)
    draw.rectangle((10, 108, 110, 124), fill=iron)
    draw.polygon([(18, 60), (60, 4), (102, 60)], fill=(140, 44, 40))
    return canvas.reduce(_FINE)


def shore(width: int, height: int, sun_x: int) -> Image.Image:
    """Pines on the right and grass along the lower edge, stroke by stroke."""
    canvas = Image.new("RGBA", (width * _FINE, height * _FINE))
    draw = ImageDraw.Draw(canvas)
    random = np.random.default_rng(31)
    for x, top, bottom in ((0.92, 0.18, 0.98), (0.825, 0.41, 0.97), (0.99, 0.33, 0.98)):
        _pine(draw, random, x * canvas.width, top * canvas.height, bottom * canvas.height)
    for x in np.sort(random.uniform(0, width, 2600)):
        bank = 350 - 46 * math.exp(-(((x - 600) / 120) ** 2)) - 34 * math.exp(-((x / 110) ** 2))
        y, lean, tall = random.uniform(bank, height + 8), random.normal(3, 5), random.uniform(8, 24)
        light = random.uniform() * (0.4 + 0.6 * math.exp(-abs(x - sun_x) / 200))
        blade = [(_FINE * x, _FINE * y), (_FINE * (x + lean), _FINE * (y - tall))]
        draw.line(blade, fill=_mixed((22, 44, 40), (214, 172, 70), light), width=4)
    return canvas.reduce(_FINE)


def _pine(
    draw: ImageDraw.ImageDraw, random: np.random.Generator, x: float, top: float, bottom: float
) -> None:
    draw.line([(x, top), (x, bottom)], fill=(52, 34, 34), width=13)
    for y in np.repeat(np.arange(top, bottom - 60, 7), 3):
        side = random.choice((-1, 1))
        length = (8 + 0.26 * (y - top)) * random.uniform(0.3, 1.1)
        light = random.uniform(0.1, 1) * (1 if side < 0 else 0.5)  # the sun is on the left
        for reach in np.arange(0, length, 5):
            bright = light * random.uniform(0.3, 1) * (0.3 + 0.7 * reach / length)
            start = (x + side * reach, y + 0.25 * reach)
            end = (start[0] + side * random.uniform(4, 16), start[1] + random.uniform(4, 26))
            draw.line([start, end], fill=_mixed((12, 40, 42), (196, 168, 84), bright), width=5)


def _mixed(dark: _Colour, light: _Colour, part: float) -> _Colour:
    red, green, blue = (int(a + (b - a) * part) for a, b in zip(dark, light, strict=True))
    return red, green, blue
