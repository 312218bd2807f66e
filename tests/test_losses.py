"""The losses against float64 NumPy, written from the papers' formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nst_core.losses import (
    feature_reconstruction_loss,
    gram_matrix,
    style_reconstruction_losses,
    total_variation,
)


@pytest.fixture
def features() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(3, 40, (2, 5, 7, 9))).float()


def test_gram_matrix_is_f_ft_over_c_h_w(features: torch.Tensor) -> None:
    array = features.double().numpy()
    expected = np.zeros((2, 5, 5))
    for n in range(2):
        for i in range(5):
            for j in range(5):
                expected[n, i, j] = (array[n, i] * array[n, j]).sum() / (5 * 7 * 9)
    np.testing.assert_allclose(gram_matrix(features).numpy(), expected, rtol=1e-5)


def test_gram_matrix_stays_float32_under_autocast(features: torch.Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        gram = gram_matrix(features.bfloat16())
    exact = gram_matrix(features.bfloat16().float())
    assert gram.dtype == torch.float32
    torch.testing.assert_close(gram, exact, rtol=1e-6, atol=0)


def test_gram_matrix_of_caffe_scaled_activations_is_finite() -> None:
    # Activations of 1.5e4 squared exceed float16's 65504 at the first product.
    gram = gram_matrix(torch.full((1, 4, 8, 8), 1.5e4, dtype=torch.float16))
    assert torch.isfinite(gram).all()


def test_feature_reconstruction_is_squared_distance_over_c_h_w(features: torch.Tensor) -> None:
    target = features.flip(0) * 0.5
    difference = features.double().numpy() - target.double().numpy()
    expected = np.mean([(difference[n] ** 2).sum() / (5 * 7 * 9) for n in range(2)])
    loss = feature_reconstruction_loss(features, target)
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-5)


def test_style_reconstruction_is_squared_frobenius_norm(features: torch.Tensor) -> None:
    gram, target = gram_matrix(features), gram_matrix(features.flip(2)[:1] * 1.5)
    difference = gram.double().numpy() - target.double().numpy()
    expected = np.mean([np.linalg.norm(d, "fro") ** 2 for d in difference])
    loss = style_reconstruction_losses(gram, target).mean()
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-5)


def test_total_variation_sums_squared_differences_of_neighbours() -> None:
    image = torch.from_numpy(np.random.default_rng(2).random((2, 3, 6, 5))).float()
    array = image.double().numpy()
    total = 0.0
    for y in range(6):
        for x in range(5):
            if y + 1 < 6:
                total += ((array[:, :, y + 1, x] - array[:, :, y, x]) ** 2).sum()
            if x + 1 < 5:
                total += ((array[:, :, y, x + 1] - array[:, :, y, x]) ** 2).sum()
    np.testing.assert_allclose(total_variation(image).item(), total / array.size, rtol=1e-5)


def test_total_variation_of_a_flat_picture_is_zero() -> None:
    assert total_variation(torch.full((1, 3, 8, 8), 0.3)).item() == 0
