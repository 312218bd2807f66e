"""The textures and the super-resolution network that ship with the program do what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jobs.applying.synthesize import synthesize
from jobs.evaluating.super_resolution import evaluate_super_resolution
from jobs.specs.evaluating import EvaluateSuperResolution
from jobs.specs.single import Synthesize
from nst_core.checkpoints.library import bundled, find_style
from nst_core.pictures.reading import read_rgb


@pytest.mark.parametrize(
    "name",
    [
        name if name == "pebble" else pytest.param(name, marks=pytest.mark.slow)
        for name in bundled("synthesize")
    ],
)
def test_a_bundled_texture_wraps_around_without_a_seam(name: str, tmp_path: Path) -> None:
    seams, likes = [], []
    for seed in range(8):
        path = tmp_path / f"{seed}.png"
        synthesize(Synthesize(name, path, size=(256, 192), seed=seed))
        pixels = np.asarray(read_rgb(path), dtype=np.float64)
        assert pixels.std() > 10
        for axis in (0, 1):
            # The seam lies in the middle after a roll by half; all other lines are neighbours.
            side = pixels.shape[axis]
            rolled = np.roll(pixels, side // 2, axis)
            steps = np.abs(np.diff(rolled, axis=axis)).mean(axis=(1 - axis, 2))
            seam = steps[side // 2 - 1]
            inner = np.delete(steps, side // 2 - 1)
            assert seam < inner.max()
            # Every 16th line is a border of all five scales' doubled pixels, as the seam is.
            alike = np.delete(steps[15::16], side // 32 - 1)
            seams.append(seam / np.median(inner))
            likes.append(alike.mean() / np.median(inner))
    # Of 16 seams one may be strong by chance: their mean is not.
    assert np.mean(seams) < 1.2
    assert np.mean(seams) == pytest.approx(np.mean(likes), rel=0.1)


@pytest.mark.parametrize(("side", "tiles"), [(16, False), (32, True), (40, False), (48, True)])
def test_what_tiles_is_told(side: int, tiles: bool, tmp_path: Path) -> None:
    report = synthesize(Synthesize("bricks", tmp_path / "small.png", size=(side, 64)))
    assert report.tiles == tiles


@pytest.mark.parametrize("name", bundled("synthesize"))
def test_two_seeds_give_two_samples_of_one_texture(name: str, tmp_path: Path) -> None:
    pictures = []
    for seed in (1, 2):
        path = tmp_path / f"{seed}.png"
        synthesize(Synthesize(name, path, size=(128, 128), seed=seed))
        pictures.append(np.asarray(read_rgb(path), dtype=np.float64))
    first, second = pictures
    assert np.abs(first - second).mean() > 5
    np.testing.assert_allclose(first.mean((0, 1)), second.mean((0, 1)), atol=20)


def test_the_bundled_super_resolution_network_beats_bicubic_on_set5(data: Path) -> None:
    path = find_style("x4").path
    assert path is not None
    report = evaluate_super_resolution(
        EvaluateSuperResolution(str(path), data / "sr" / "Set5", engine="torch")
    )
    assert report.bicubic.psnr == pytest.approx(28.43, abs=0.02)
    assert report.model.psnr is not None
    assert report.model.psnr > 29
    assert report.model.ssim > report.bicubic.ssim
