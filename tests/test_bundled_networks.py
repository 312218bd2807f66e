"""The textures and the super-resolution network that ship with the program do what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jobs.evaluate_super_resolution import evaluate_super_resolution
from jobs.specs import Synthesize
from jobs.synthesize import synthesize
from nst_core.pictures import read_rgb
from nst_core.style_library import bundled, find_style


@pytest.mark.parametrize("name", bundled("synthesize"))
def test_a_bundled_texture_wraps_around_without_a_seam(name: str, tmp_path: Path) -> None:
    synthesize(Synthesize(name, tmp_path / "texture.png", height=256, width=192, seed=3))
    pixels = np.asarray(read_rgb(tmp_path / "texture.png"), dtype=np.float64)
    for axis in (0, 1):
        # The seam lies in the middle after a roll by half; all lines else are neighbours.
        rolled = np.roll(pixels, pixels.shape[axis] // 2, axis)
        steps = np.abs(np.diff(rolled, axis=axis)).mean(axis=(1 - axis, 2))
        place = pixels.shape[axis] // 2 - 1
        inner = np.delete(steps, place)
        # One line among hundreds: its step varies by itself about the median.
        assert steps[place] <= np.median(inner) + 3 * inner.std()
        assert steps[place] <= 1.25 * np.median(inner)
    assert pixels.std() > 10


@pytest.mark.parametrize(("side", "tiles"), [(16, False), (32, True), (40, False), (48, True)])
def test_what_tiles_is_told(side: int, tiles: bool, tmp_path: Path) -> None:
    report = synthesize(Synthesize("bricks", tmp_path / "small.png", height=side, width=64))
    assert report.tiles == tiles


@pytest.mark.parametrize("name", bundled("synthesize"))
def test_two_seeds_give_two_samples_of_one_texture(name: str, tmp_path: Path) -> None:
    pictures = []
    for seed in (1, 2):
        path = tmp_path / f"{seed}.png"
        synthesize(Synthesize(name, path, height=128, width=128, seed=seed))
        pictures.append(np.asarray(read_rgb(path), dtype=np.float64))
    first, second = pictures
    assert np.abs(first - second).mean() > 5
    np.testing.assert_allclose(first.mean((0, 1)), second.mean((0, 1)), atol=20)


def test_the_bundled_super_resolution_network_beats_bicubic_on_set5(data: Path) -> None:
    path = find_style("x4").path
    assert path is not None
    report = evaluate_super_resolution(path, data / "sr" / "Set5", engine="torch")
    assert report.bicubic.psnr == pytest.approx(28.43, abs=0.02)
    assert report.model.psnr is not None
    assert report.model.psnr > 29
    assert report.model.ssim > report.bicubic.ssim
