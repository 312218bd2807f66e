"""Low-resolution pictures: Pillow's and torch's are the same to a step of 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nst_core.color.pixels import to_tensor
from nst_core.pictures.reading import read_rgb
from nst_core.training.degradation import (
    crop_to_multiple,
    downscale,
    downscale_batch,
    upscale_bicubic,
)


def _random_picture(width: int, height: int) -> Image.Image:
    random = np.random.default_rng(width)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))


def _greatest_difference(picture: Image.Image, scale: int) -> float:
    twin = downscale_batch(to_tensor(picture), scale)
    own = to_tensor(downscale(picture, scale))
    assert twin.shape == own.shape
    return float((twin - own).abs().max())


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("size", [(64, 48), (61, 47)])
def test_torch_and_pillow_shrink_noise_alike(size: tuple[int, int], scale: int) -> None:
    # Pillow's weights are whole numbers: where a value is near a half, they round differently.
    assert _greatest_difference(_random_picture(*size), scale) < 1.01 / 255


@pytest.mark.parametrize("scale", [4, 8])
def test_torch_and_pillow_shrink_photographs_alike(scale: int, data: Path) -> None:
    for path in sorted((data / "photos").glob("*.jpg"))[:3]:
        assert _greatest_difference(read_rgb(path), scale) < 1.01 / 255


def test_a_batch_is_rounded_to_bytes_and_stays_in_range() -> None:
    # A hard edge: bicubic overshoots at both sides of it.
    edge = torch.zeros(2, 3, 32, 32)
    edge[..., 14:] = 1
    small = downscale_batch(edge, 4)
    assert small.shape == (2, 3, 8, 8)
    torch.testing.assert_close(small * 255, (small * 255).round(), atol=1e-4, rtol=0)
    assert (float(small.min()), float(small.max())) == (0, 1)


def test_what_is_beyond_a_multiple_is_cut_at_the_right_and_at_the_bottom() -> None:
    picture = _random_picture(64, 48)
    larger = Image.new("RGB", (67, 49), "white")
    larger.paste(picture)
    assert crop_to_multiple(larger, 4).tobytes() == picture.tobytes()
    assert downscale(larger, 4).tobytes() == downscale(picture, 4).tobytes()
    assert torch.equal(
        downscale_batch(to_tensor(larger), 4), downscale_batch(to_tensor(picture), 4)
    )


def test_frequencies_that_the_small_picture_cannot_hold_are_gone() -> None:
    stripes = np.zeros((48, 96, 3), np.uint8)
    stripes[:, ::3] = 255  # a period of 3 pixels would alias at a quarter of the size
    inside = np.asarray(downscale(Image.fromarray(stripes), 4))[2:-2, 3:-3]
    assert inside.std() < 6
    plain = torch.nn.functional.interpolate(
        to_tensor(Image.fromarray(stripes)), scale_factor=0.25, mode="bicubic"
    )
    assert float(plain[..., 3:-3].std()) * 255 > 60  # what the antialiasing has prevented


def test_enlarging_multiplies_the_size_and_keeps_a_plain_colour() -> None:
    picture = Image.new("RGB", (9, 7), (10, 200, 30))
    enlarged = upscale_bicubic(picture, 4)
    assert enlarged.size == (36, 28)
    assert enlarged.getcolors() == [(36 * 28, (10, 200, 30))]


def test_impossible_scales_are_refused() -> None:
    picture = _random_picture(16, 6)
    with pytest.raises(ValueError, match="1 or more"):
        upscale_bicubic(picture, 0)
    with pytest.raises(ValueError, match="at least 8"):
        downscale(picture, 8)
    with pytest.raises(ValueError, match="at least 8"):
        downscale_batch(to_tensor(picture), 8)


def test_blurred_is_the_gaussian_and_then_cubic_samples_of_the_paper() -> None:
    """Against SciPy's Gaussian, and Keys' cubic between the second and third of four samples."""
    scipy_ndimage = pytest.importorskip("scipy.ndimage")
    picture = _random_picture(64, 48)
    pixels = np.asarray(picture, dtype=np.float64)
    blurred = scipy_ndimage.gaussian_filter(pixels, (1, 1, 0), mode="nearest", truncate=4)
    weights = np.array([-0.09375, 0.59375, 0.59375, -0.09375])  # Keys, a = -0.75, halfway
    rows = sum(w * blurred[k::4] for k, w in enumerate(weights))
    expected = sum(w * rows[:, k::4] for k, w in enumerate(weights)).clip(0, 255)
    for small in (
        np.asarray(downscale(picture, 4, "blurred"), dtype=np.float64),
        downscale_batch(to_tensor(picture), 4, "blurred")[0].permute(1, 2, 0).numpy() * 255,
    ):
        assert small.shape == (12, 16, 3)
        assert np.abs(small - expected).max() < 0.51


def test_the_two_degradations_differ_and_both_take_any_size() -> None:
    picture = _random_picture(9, 5)
    assert downscale(picture, 4, "blurred").size == downscale(picture, 4).size == (2, 1)
    assert downscale(picture, 4, "blurred").tobytes() != downscale(picture, 4).tobytes()
