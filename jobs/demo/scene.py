"""The scene that the demo films: a boat on a lake at dawn, drawn of fractal noise and outlines.

Light, gradient and texture are everywhere, because generators paint strokes only where there are
some. Textures are fixed to what they lie on, so that nothing flickers. Colours are RGB in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.demo.outlines import lighthouse, sailing_boat, shore

Pixels = NDArray[Any]
"""Float32: height x width, of a picture x 3, of a layer with premultiplied alpha x 4."""
Colours = Pixels | tuple[float, float, float]

WIDTH, HEIGHT = 640, 360
_HORIZON = 206
"""The lake's first row."""
_SUN_X, _SUN_Y = 436, 146
_TEXTURE = 512
"""Side of the textures of clouds and ripples, which repeat without a seam."""
_SKY = ((0.16, 0.27, 0.52), (0.40, 0.47, 0.70), (0.80, 0.46, 0.46), (0.93, 0.56, 0.32))
"""From the upper edge to the horizon."""
_RANGES = (
    (11, 74, 22, (0.34, 0.35, 0.58), (0.70, 0.56, 0.66)),
    (13, 46, 12, (0.27, 0.33, 0.45), (0.62, 0.50, 0.46)),
    (17, 24, 7, (0.10, 0.19, 0.22), (0.38, 0.40, 0.26)),
)
"""Mountains, hills and the far shore: seed, height and roughness in pixels, shadow, light."""


def draw_frame(seconds: float) -> Image.Image:
    """Draw a moment of the clip: the boat sails, clouds drift, the lake glitters."""
    above = _over(_land(), _clouded_sky(seconds))
    frame = np.concatenate([above, _lake(above, seconds)])
    frame = _over(_shore(), _over(_boat(seconds), frame))
    return Image.fromarray(np.clip(frame * 255, 0, 255).astype(np.uint8))


def _clouded_sky(seconds: float) -> Pixels:
    sky, near = _sky()
    x, y = _grid(0, _HORIZON)
    closeness = 150 / (_HORIZON + 20 - y)  # the texture's pixels in one of the frame's
    across, down = (x - WIDTH / 2) * closeness, -230 * np.log(_HORIZON + 20 - y)
    density, light = cv2.split(_drifted(_clouds(), across, down, by=(9 * seconds, 0)))
    shade = _mix((0.40, 0.36, 0.54), (1.0, 0.78, 0.68), _step(light, -1.6, 1.8))
    shade = _mix(shade, (1.0, 0.76, 0.48), 0.7 * near)
    return _mix(sky, shade, 0.92 * _step(density, -0.5, 0.6) * _step(_HORIZON - y, 8, 60))


@cache
def _sky() -> tuple[Pixels, Pixels]:
    """The sky without clouds, and how near to the sun each pixel is, 1 at its middle."""
    x, y = _grid(0, _HORIZON)
    heights = np.array((0, 0.42, 0.8, 1)) * _HORIZON
    sky = np.stack([np.interp(y, heights, channel) for channel in zip(*_SKY, strict=True)], -1)
    near = np.exp(-np.hypot(x - _SUN_X, (y - _SUN_Y) * 1.2) / 110)
    sky += 0.3 * near[..., None] * (1.0, 0.62, 0.25)
    sky += 0.012 * _fractal(_HORIZON, WIDTH, 1, slope=0.3)[..., None]
    disc = 1 - _step(np.hypot(x - _SUN_X, y - _SUN_Y), 23, 25)
    return _mix(np.clip(sky, 0, 1).astype(np.float32), (1.0, 0.96, 0.78), disc), near


@cache
def _clouds() -> Pixels:
    """How dense the clouds are, and how much light falls on them from the horizon."""
    density = _fractal(_TEXTURE, _TEXTURE, 16, slope=1.95)
    relief = density - np.roll(density, -5, axis=0)
    return np.dstack([density, relief / relief.std()])


@cache
def _land() -> Pixels:
    """All that stands on the horizon, the nearer the darker; the sun is in a valley."""
    x = np.arange(WIDTH, dtype=np.float32)
    valley = 1 - 0.75 * np.exp(-(((x - _SUN_X) / 150) ** 2))
    layers = []
    for seed, high, rough, dark, light in _RANGES:
        outline = high * valley + rough * _fractal(1, WIDTH, seed, slope=1.45)[0]
        layers.append(_hills(outline, seed + 1, dark, light))
    tower = Image.new("RGBA", (WIDTH, _HORIZON))
    tower.paste(lighthouse(), (65, 39))
    layers.append(_layer(tower))
    headland = 44 * np.exp(-(((x - 70) / 95) ** 2)) - 4 - 4 * _fractal(1, WIDTH, 19, slope=1)[0]
    layers.append(_hills(headland, 41, (0.14, 0.12, 0.18), (0.66, 0.45, 0.34)))
    land = layers[0]
    for layer in layers[1:]:
        land = np.dstack([_over(layer, land[..., :3]), np.maximum(layer[..., 3], land[..., 3])])
    return land


def _hills(height: Pixels, seed: int, dark: Colours, light: Colours) -> Pixels:
    """Ground that rises ``height`` above the horizon, lit from the sun's side, hazy below."""
    x, y = _grid(0, _HORIZON)
    depth = y - (_HORIZON - height)
    ground = _fractal(_HORIZON, WIDTH, seed, slope=1.55, stretch=0.7)
    relief = (ground - np.roll(ground, 2, axis=1)) * np.sign(x - _SUN_X)
    colours = _mix(dark, light, _step(relief / relief.std() + 0.3 * ground, -1.8, 2.2))
    haze = 0.5 * _step(depth, 0, 60) * np.exp(-np.abs(x - _SUN_X) / 260)
    colours = _mix(colours, (0.96, 0.64, 0.46), haze)
    alpha = np.clip(depth + 0.5, 0, 1)[..., None]
    return np.concatenate([colours * alpha, alpha], axis=-1)


def _lake(above: Pixels, seconds: float) -> Pixels:
    """What is above the lake, mirrored and broken by ripples; the sun's glitter."""
    x, y = _grid(_HORIZON, HEIGHT)
    depth = y - _HORIZON
    ripples = _ripples(seconds)
    mirror = np.ascontiguousarray(above[::-1][: HEIGHT - _HORIZON])
    mirror = _over(_boat(seconds, mirrored=True)[_HORIZON:], mirror)
    bend = ripples * (0.6 + depth * 0.05)
    bent = (x + bend * 0.5, depth + bend)
    lake = cv2.remap(mirror, *bent, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    lake = _mix(lake, (0.11, 0.16, 0.32), 0.18 + 0.4 * depth / (HEIGHT - _HORIZON))
    lake = cv2.multiply(lake, cv2.merge([1 + 0.1 * ripples] * 3))
    path = np.exp(-(((x - _SUN_X) / (24 + depth * 0.4)) ** 2))
    return _mix(lake, (1.0, 0.84, 0.50), path * _step(ripples, 0, 1.2))


def _ripples(seconds: float) -> Pixels:
    """Height of the lake's surface: two trains of waves that cross."""
    x, y = _grid(_HORIZON, HEIGHT)
    depth = y - _HORIZON
    across, down = (x - WIDTH / 2) * 160 / (depth + 40), 330 * np.log(depth + 30)
    there = _drifted(_waves(), across, down, by=(14 * seconds, -10 * seconds))
    back = _drifted(_waves(), 190 - 0.8 * across, 0.9 * down, by=(11 * seconds, 8 * seconds))
    return (there + back) * math.sqrt(0.5)


@cache
def _waves() -> Pixels:
    noise = _fractal(_TEXTURE, _TEXTURE, 23, slope=1.1, stretch=3)
    waves: Pixels = cv2.GaussianBlur(noise, (0, 0), 1)
    waves /= waves.std()
    return waves


def _boat(seconds: float, *, mirrored: bool = False) -> Pixels:
    """The boat where it is by then, rocking; or its image in the lake. It comes again."""
    sprite = _boat_sprite()
    height, width = sprite.shape[:2]
    x = (0.53 * WIDTH + 17 * seconds) % (WIDTH + width) - width / 2
    y = 286 + 1.6 * math.sin(1.9 * seconds)
    waterline = (width / 2, height * 0.96)
    place = cv2.getRotationMatrix2D(waterline, 2.5 * math.sin(1.4 * seconds), 1)
    place[:, 2] += (x - waterline[0], y - waterline[1])
    if mirrored:
        place[1] = (0, 0, 2 * y) - place[1]
    return cv2.warpAffine(sprite, place, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)


@cache
def _boat_sprite() -> Pixels:
    sprite = _layer(sailing_boat())
    height, width = sprite.shape[:2]
    wind = 0.94 + 0.1 * np.sin(np.arange(width, dtype=np.float32) / 13)  # in the sails
    sprite[..., :3] *= (wind + 0.04 * _fractal(height, width, 29, slope=0.8))[..., None]
    return sprite


@cache
def _shore() -> Pixels:
    return _layer(shore(WIDTH, HEIGHT, _SUN_X))


def _layer(image: Image.Image) -> Pixels:
    pixels = np.array(image, np.float32) / 255
    pixels[..., :3] *= pixels[..., 3:]
    return pixels


def _over(layer: Pixels, below: Pixels) -> Pixels:
    *colours, alpha = cv2.split(layer)
    uncovered = 1 - alpha
    return cv2.merge([c + b * uncovered for c, b in zip(colours, cv2.split(below), strict=True)])


def _mix(first: Colours, second: Colours, part: Pixels) -> Pixels:
    """Colours between two, ``part`` (height x width) of the second."""
    # Channel by channel: numpy is slow where the last dimension is broadcast.
    pairs = zip(_channels(first), _channels(second), strict=True)
    mixed: list[Pixels] = [start + (end - start) * part for start, end in pairs]
    return cv2.merge(mixed)


def _channels(colours: Colours) -> Sequence[Any]:
    return colours if isinstance(colours, tuple) else cv2.split(colours)


def _step(values: Pixels, start: float, end: float) -> Pixels:
    """Smoothly from 0 at ``start`` to 1 at ``end``."""
    part = np.clip((values - start) / (end - start), 0, 1)
    smooth: Pixels = part * part * (3 - 2 * part)
    return smooth


def _fractal(height: int, width: int, seed: int, *, slope: float, stretch: float = 1) -> Pixels:
    """Noise of variance 1 whose edges meet: amplitude frequency ** -slope, wider by stretch."""
    noise = np.fft.rfft2(np.random.default_rng(seed).normal(size=(height, width)))
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.hypot(down, across * stretch)
    frequency[0, 0] = np.inf
    texture = np.fft.irfft2(noise * frequency**-slope, (height, width))
    normalized: Pixels = (texture / texture.std()).astype(np.float32)
    return normalized


def _drifted(texture: Pixels, across: Pixels, down: Pixels, *, by: tuple[float, float]) -> Pixels:
    """The texture at the positions (columns and rows of it), moved on."""
    columns, rows = across + by[0] % _TEXTURE, down + by[1] % _TEXTURE  # remap takes 16 bits
    return cv2.remap(texture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


@cache
def _grid(top: int, bottom: int) -> tuple[Pixels, Pixels]:
    """Columns and rows of the frame's pixels from row ``top`` to ``bottom`` (exclusive)."""
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(top, bottom))
    return columns.astype(np.float32), rows.astype(np.float32)
