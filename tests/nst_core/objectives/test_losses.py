"""The losses against float64 NumPy, written from the papers' formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nst_core.objectives.losses import (
    feature_reconstruction_loss,
    gram_matrix,
    style_reconstruction_losses,
    summed_variation,
    total_variation,
    unit_gradient,
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


def _plain_gram(features: torch.Tensor) -> torch.Tensor:
    rows = features.flatten(2)
    return rows @ rows.transpose(1, 2) / features[0].numel()


def _gradients(features: torch.Tensor, upstream: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients through the Gram matrices: ours, and autograd's of the formula in float64."""
    ours = features.clone(memory_format=torch.preserve_format).requires_grad_()
    gram_matrix(ours).backward(upstream)  # type: ignore[no-untyped-call]
    exact = features.double().requires_grad_()
    _plain_gram(exact).backward(upstream.double())  # type: ignore[no-untyped-call]
    assert ours.grad is not None
    assert exact.grad is not None
    return ours.grad, exact.grad


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_of_gram_matrices_are_autograds_of_the_plain_formula(
    layout: torch.memory_format, features: torch.Tensor
) -> None:
    # A gradient that is not symmetric, as no loss of this project has it, tells G from G^T.
    upstream = torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(0))
    ours, exact = _gradients(features.to(memory_format=layout), upstream)
    assert ours.shape == features.shape
    torch.testing.assert_close(ours.double(), exact, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        gram_matrix(features.to(memory_format=layout)), gram_matrix(features), rtol=1e-6, atol=1e-4
    )


def test_gradients_of_gram_matrices_in_bfloat16_stay_near_float64(features: torch.Tensor) -> None:
    # bfloat16 has 8 bits: each factor and each result is within 0.4 percent.
    upstream = torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(0))
    ours, exact = _gradients(features.bfloat16(), upstream)
    assert ours.dtype == torch.bfloat16
    assert (ours.double() - exact).norm() < 0.01 * exact.norm()
    with torch.autocast("cpu", torch.bfloat16):
        again, _ = _gradients(features, upstream)  # float32 stays float32 under autocast
    torch.testing.assert_close(again, _gradients(features, upstream)[0], rtol=1e-6, atol=1e-6)


def test_gradients_of_caffe_scaled_activations_in_float16_are_finite_and_right() -> None:
    features = torch.full((1, 4, 8, 8), 1.5e4, dtype=torch.float16)
    features[:, 1] *= -0.5
    # As a loss divided by the target's squared norm has it: float16 ends at 6e-8, and what comes
    # out, times 1.5e4, is well above.
    ours, exact = _gradients(features, torch.eye(4)[None] * 1e-6)
    torch.testing.assert_close(ours.double(), exact, rtol=2e-3, atol=0)


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


def test_summed_variation_is_of_pixels_up_to_255_and_a_mean_over_the_batch() -> None:
    image = torch.from_numpy(np.random.default_rng(2).random((2, 3, 6, 5))).float()
    array = 255 * image.double().numpy()
    down, right = np.diff(array, axis=2), np.diff(array, axis=3)
    expected = ((down**2).sum() + (right**2).sum()) / 2
    np.testing.assert_allclose(summed_variation(image).item(), expected, rtol=1e-5)


def test_a_unit_gradient_leaves_values_and_divides_each_pictures_gradient(
    features: torch.Tensor,
) -> None:
    upstream = torch.tensor([2.0, 0.5])
    inputs = features.requires_grad_()
    errors = inputs.square().sum(dim=(1, 2, 3)) * torch.tensor([1e12, 1e-3])
    found = unit_gradient(errors, inputs)
    torch.testing.assert_close(found, errors, rtol=1e-6, atol=0)
    (found * upstream).sum().backward()  # type: ignore[no-untyped-call]
    assert inputs.grad is not None
    lengths = inputs.grad.abs().sum(dim=(1, 2, 3))
    torch.testing.assert_close(lengths, upstream)
    array = features.detach().double().numpy()
    directions = array / np.abs(array).sum(axis=(1, 2, 3), keepdims=True)
    expected = upstream.double().numpy()[:, None, None, None] * directions
    np.testing.assert_allclose(inputs.grad.double().numpy(), expected, rtol=1e-4, atol=1e-9)
    with torch.no_grad():
        assert unit_gradient(errors, inputs) is errors


def test_losses_of_a_batch_are_those_of_its_pictures(features: torch.Tensor) -> None:
    gram, target = gram_matrix(features), gram_matrix(features.flip(2))
    together = style_reconstruction_losses(gram, target)
    alone = [style_reconstruction_losses(gram[n : n + 1], target[n : n + 1]) for n in range(2)]
    torch.testing.assert_close(together, torch.cat(alone))
    one_target = style_reconstruction_losses(gram, target[:1])  # for all of them
    torch.testing.assert_close(one_target[1:], style_reconstruction_losses(gram[1:], target[:1]))
    tvs = [total_variation(features[n : n + 1]) for n in range(2)]
    torch.testing.assert_close(total_variation(features), torch.stack(tvs).mean())


def test_total_variation_of_a_flat_picture_is_zero() -> None:
    assert total_variation(torch.full((1, 3, 8, 8), 0.3)).item() == 0
