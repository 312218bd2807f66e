"""The clip that the demo stylizes: drawn and sounded here, so that the program ships no video."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 640, 360
RATE = 24
SECONDS = 4
_SAMPLE_RATE = 44_100
_SAMPLES_PER_FRAME = 1024  # as AAC wants them
_TUNE_HERTZ = (262, 330, 392, 523)


def make_clip(path: Path) -> None:
    """Encode the demo's clip: H.264 and AAC, WIDTH x HEIGHT at RATE for SECONDS."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.options = {"crf": "18", "preset": "veryfast"}
        video.codec_context.thread_count = 1
        audio = container.add_stream("aac", rate=_SAMPLE_RATE)
        audio.layout = "mono"
        tune = _tune()
        sent = 0
        for number in range(RATE * SECONDS):
            frame = av.VideoFrame.from_image(draw_frame(number / RATE))
            container.mux(video.encode(frame))
            while sent < (number + 1) * _SAMPLE_RATE // RATE:
                container.mux(audio.encode(_sound(tune, sent)))
                sent += _SAMPLES_PER_FRAME
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def draw_frame(seconds: float) -> Image.Image:
    """Draw a moment of the clip: a boat on a swell, a sun, clouds, hills and a turning mill."""
    scale = 2  # drawn large, shrunk: smooth edges
    width, height = WIDTH * scale, HEIGHT * scale
    image = _sky(width, height)
    draw = ImageDraw.Draw(image)
    sun = width * (0.72 + 0.02 * math.sin(seconds))
    draw.ellipse(_box(sun, height * 0.24, height * 0.1), fill=(255, 236, 170))
    for number in range(4):
        x = (width * (0.3 * number + 0.03 * seconds)) % (width * 1.2) - width * 0.1
        y = height * (0.12 + 0.07 * (number % 3))
        for offset, size in ((-0.05, 0.04), (0, 0.06), (0.06, 0.045)):
            draw.ellipse(_box(x + offset * width, y, size * height * 1.3), fill=(250, 250, 252))
    _hills(draw, width, height)
    _mill(draw, width * 0.2, height * 0.42, height * 0.2, seconds)
    _sea(draw, width, height, seconds)
    image = image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    grain = np.random.default_rng(7).normal(0, 5, (HEIGHT, WIDTH, 1))  # the same in every frame
    pixels = np.asarray(image.filter(ImageFilter.SMOOTH), np.float32) + grain
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _sky(width: int, height: int) -> Image.Image:
    rows = np.linspace(0, 1, height)[:, None]
    top, bottom = np.array([[74, 132, 204]]), np.array([[235, 214, 190]])
    column = top * (1 - rows) + bottom * rows
    return Image.fromarray(np.repeat(column[:, None].astype(np.uint8), width, axis=1))


def _hills(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    for base, rise, color in ((0.5, 0.12, (96, 124, 120)), (0.58, 0.09, (70, 104, 66))):
        outline = [
            (x, height * (base - rise * math.sin(3 + x / width * (5 + 20 * rise))))
            for x in range(0, width + 8, 8)
        ]
        draw.polygon([*outline, (width, height), (0, height)], fill=color)


def _mill(draw: ImageDraw.ImageDraw, x: float, y: float, size: float, seconds: float) -> None:
    tower = [(x - size * 0.2, y + size), (x - size * 0.12, y), (x + size * 0.12, y)]
    draw.polygon([*tower, (x + size * 0.2, y + size)], fill=(186, 150, 120))
    draw.polygon(
        [(x - size * 0.16, y), (x, y - size * 0.2), (x + size * 0.16, y)], fill=(120, 50, 44)
    )
    for quarter in range(4):
        angle = seconds * 1.2 + quarter * math.pi / 2
        tip = (x + size * 0.85 * math.cos(angle), y + size * 0.85 * math.sin(angle))
        side = (x + size * 0.6 * math.cos(angle + 0.25), y + size * 0.6 * math.sin(angle + 0.25))
        draw.polygon([(x, y), tip, side], fill=(244, 238, 224), outline=(90, 60, 50))


def _sea(draw: ImageDraw.ImageDraw, width: int, height: int, seconds: float) -> None:
    colors = ((52, 110, 150), (40, 92, 136), (28, 70, 112))
    for layer, color in enumerate(colors):
        base = height * (0.66 + 0.11 * layer)
        if layer == 1:
            _boat(draw, width * (0.35 + 0.06 * seconds), base, height * 0.17, seconds)
        swell = [
            (x, base + height * 0.025 * math.sin(x / width * 14 + seconds * (1.5 + layer) + layer))
            for x in range(0, width + 8, 8)
        ]
        draw.polygon([*swell, (width, height), (0, height)], fill=color)
        draw.line(swell, fill=(214, 232, 240), width=5)


def _boat(draw: ImageDraw.ImageDraw, x: float, y: float, size: float, seconds: float) -> None:
    y += size * 0.12 * math.sin(seconds * 2.5)
    hull = [(x - size * 0.7, y - size * 0.25), (x + size * 0.75, y - size * 0.3)]
    draw.polygon(
        [*hull, (x + size * 0.5, y + size * 0.2), (x - size * 0.5, y + size * 0.2)],
        fill=(140, 44, 36),
    )
    draw.line([(x, y - size * 0.25), (x, y - size * 1.5)], fill=(70, 46, 30), width=8)
    draw.polygon(
        [(x + 8, y - size * 1.45), (x + size * 0.65, y - size * 0.4), (x + 8, y - size * 0.4)],
        fill=(250, 244, 230),
    )
    draw.polygon(
        [(x - 8, y - size * 1.25), (x - size * 0.5, y - size * 0.4), (x - 8, y - size * 0.4)],
        fill=(226, 150, 60),
    )


def _box(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    return (x - radius, y - radius, x + radius, y + radius)


def _tune() -> NDArray[np.float32]:
    """One note after the other, each fading: SECONDS of it, and a frame more."""
    count = SECONDS * _SAMPLE_RATE + 2 * _SAMPLES_PER_FRAME
    time = np.arange(count) / _SAMPLE_RATE
    notes = (time * 2).astype(int)
    hertz = np.array(_TUNE_HERTZ)[notes % len(_TUNE_HERTZ)]
    fading = np.exp(-3 * (time * 2 - notes))
    tune: NDArray[np.float32] = (0.3 * fading * np.sin(2 * np.pi * hertz * time)).astype(np.float32)
    return tune


def _sound(tune: NDArray[np.float32], start: int) -> av.AudioFrame:
    samples = tune[None, start : start + _SAMPLES_PER_FRAME]
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="mono")
    frame.sample_rate = _SAMPLE_RATE
    frame.pts = start
    frame.time_base = Fraction(1, _SAMPLE_RATE)
    return frame
