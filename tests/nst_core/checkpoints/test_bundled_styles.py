"""The styles that ship with the program: close in 8 bits, flat where frames are, without a grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nst_core.checkpoints.library import bundled_styles, find_style
from nst_core.pictures.reading import read_rgb
from nst_core.strokes import StrokeChoice
from nst_core.stylizer import Stylizer

_SKIES = {"118035": (slice(0, 96), slice(250, 442)), "228076": (slice(60, 124), slice(20, 212))}
"""Photographs and where their skies are flat: rows and columns."""
_MOST = 50.0
"""Largest peak over its neighbourhood: photographs have up to 13, the first styles had 446."""


@pytest.mark.parametrize("style", bundled_styles())
def test_a_bundled_style_is_close_in_8_bits_at_all_its_strokes(style: str) -> None:
    found = find_style(style)
    assert found.strokes == (0.5, 1.0, 2.0)
    assert found.eight_bit is not None
    assert found.eight_bit.is_close


@pytest.mark.parametrize("style", bundled_styles())
@pytest.mark.parametrize("level", [0, 16, 128, 255])
def test_a_frame_of_one_colour_stays_one_colour(style: str, level: int) -> None:
    frame = np.full((96, 128, 3), level, dtype=np.uint8)
    stylized = Stylizer(find_style(style), engine="torch", device="cpu").stylize(frame)
    assert np.ptp(stylized.reshape(-1, 3), axis=0).max() <= 1


@pytest.mark.parametrize("style", bundled_styles())
def test_no_grid_of_two_or_four_pixels_is_drawn_into_skies(style: str, data: Path) -> None:
    for number, (rows, columns) in _SKIES.items():
        photo = np.asarray(read_rgb(data / "photos" / f"{number}.jpg"))
        found = find_style(style)
        stroke = StrokeChoice(found.strokes).of(*photo.shape[:2])
        stylizer = Stylizer(found.with_stroke(stroke), engine="torch", device="cpu")
        peaks = _peaks(stylizer.stylize(photo)[rows, columns].mean(axis=2))
        assert max(peaks.values()) <= _MOST, (number, peaks)


def _peaks(sky: NDArray[np.float64]) -> dict[str, float]:
    """Energy at periods of 2 and 4 pixels over that of their neighbourhood, in each direction."""
    height, width = sky.shape
    window = np.hanning(height)[:, None] * np.hanning(width)[None, :]
    energy = np.abs(np.fft.fft2((sky - sky.mean()) * window)) ** 2
    peaks = {}
    for period in (2, 4):
        for name, down, across in (("down", 1, 0), ("across", 0, 1), ("diagonal", 1, 1)):
            row, column = down * height // period, across * width // period
            near = {
                (i, j): energy[(row + i) % height, (column + j) % width]
                for i in range(-8, 9)
                for j in range(-8, 9)
            }
            peak = max(value for (i, j), value in near.items() if max(abs(i), abs(j)) <= 1)
            others = [value for (i, j), value in near.items() if max(abs(i), abs(j)) > 2]
            peaks[f"{period} {name}"] = float(peak / np.median(others))
    return peaks


def test_the_measure_sees_a_faint_grid_and_none_in_noise() -> None:
    noise = 10 * np.random.default_rng(0).standard_normal((96, 192))
    assert max(_peaks(noise).values()) < 8
    grid = np.add.outer(np.arange(96) % 4 == 0, np.arange(192) % 2 == 0)
    assert max(_peaks(noise + 2.0 * grid).values()) > 20
