"""PSNR and SSIM on luma, against hand-made references and the standard test sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from nst_core.measures.image_quality import luma, psnr_y, ssim_y
from nst_core.pictures.reading import read_rgb
from nst_core.training.degradation import crop_to_multiple, downscale, upscale_bicubic
from tests.kit.media import moving_picture, psnr


@pytest.fixture
def noisy() -> NDArray[np.uint8]:
    noise = np.random.default_rng(1).normal(0, 12, moving_picture(0).shape)
    return (moving_picture(0) + noise).round().clip(0, 255).astype(np.uint8)


def _ssim(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Wang et al. 2004, written out: 11 x 11 Gaussian windows wholly inside the picture."""
    line = torch.exp(-(torch.arange(-5.0, 6.0, dtype=torch.float64) ** 2) / (2 * 1.5**2))
    window = torch.outer(line, line)[None, None] / line.sum() ** 2
    x, y = (torch.from_numpy(plane)[None, None] for plane in (first, second))

    def mean(plane: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(plane, window)

    variances = mean(x * x) - mean(x) ** 2 + mean(y * y) - mean(y) ** 2
    covariance = mean(x * y) - mean(x) * mean(y)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mean(x) * mean(y) + c1) * (2 * covariance + c2)
    bottom = (mean(x) ** 2 + mean(y) ** 2 + c1) * (variances + c2)
    return float((top / bottom).mean())


def test_luma_is_bt601_in_studio_range() -> None:
    colors = [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (40, 90, 200)]
    expected = [16, 235, 81.481, 144.553, 40.966, 91.224353]  # MATLAB's table of primaries
    assert luma(np.array([colors], np.uint8))[0] == pytest.approx(expected, abs=1e-4)


def test_equal_pictures_have_infinite_psnr_and_an_ssim_of_one() -> None:
    picture = moving_picture(0)
    assert psnr_y(picture, picture.copy()) == float("inf")
    assert ssim_y(picture, picture.copy()) == pytest.approx(1)


def test_psnr_and_ssim_are_the_formulas_of_the_literature(noisy: NDArray[np.uint8]) -> None:
    picture = moving_picture(0)
    assert psnr_y(noisy, picture) == pytest.approx(psnr(luma(noisy), luma(picture)))
    assert ssim_y(noisy, picture) == pytest.approx(_ssim(luma(noisy), luma(picture)), abs=1e-6)
    assert 0.2 < ssim_y(noisy, picture) < 0.98


@pytest.mark.parametrize(("name", "psnr_bicubic", "ssim_bicubic"), [
    ("Set5", 28.43, 0.8110),
    ("Set14", 25.86, 0.7057),
])  # fmt: skip
def test_bicubic_on_the_standard_sets_has_its_known_figures(
    name: str, psnr_bicubic: float, ssim_bicubic: float, data: Path
) -> None:
    scores = []
    for path in sorted((data / "sr" / name).glob("*.png")):
        picture = read_rgb(path)  # some of Set14 are grey
        original = np.asarray(crop_to_multiple(picture, 4))
        enlarged = np.asarray(upscale_bicubic(downscale(picture, 4), 4))
        scores.append((psnr_y(enlarged, original), ssim_y(enlarged, original)))
    # Tight enough to tell Y as it is from Y rounded: 0.013 dB and 0.001 on Set5.
    assert np.mean(scores, axis=0) == pytest.approx((psnr_bicubic, ssim_bicubic), abs=0.006)
    assert np.mean(scores, axis=0)[1] == pytest.approx(ssim_bicubic, abs=0.0002)


def test_what_is_no_pair_of_pictures_is_refused() -> None:
    picture = moving_picture(0)
    with pytest.raises(ValueError, match="one size"):
        psnr_y(picture, picture[:-1])
    with pytest.raises(ValueError, match="uint8 H x W x 3"):
        luma(np.asarray(Image.fromarray(picture).convert("L"), dtype=np.uint8))
    with pytest.raises(ValueError, match="11 or more"):
        ssim_y(picture[:10], picture[:10])
