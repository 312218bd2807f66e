"""The losses of the papers, each a function of tensors.

Formulas: Johnson et al. 2016, section 3.2. All of them compute in float32 at least, whatever the
precision of the network: Gram matrices of Caffe-scaled activations overflow float16.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def gram_matrix(features: Tensor) -> Tensor:
    """G = F F^T / (C H W), F being C x (H W): N x C x H x W to N x C x C, float32.

    Differentiable once.
    """
    with torch.autocast(features.device.type, enabled=False):  # it would make the product bfloat16
        gram: Tensor = _Gram.apply(features)
    return gram


class _Gram(torch.autograd.Function):
    """Gram matrices whose gradient is one product, F (S + S^T), where autograd would do two.

    Pixels are rows, as channels-last memory has them, so that nothing is copied around.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        rows = _pixel_rows(features.float())
        gram: Tensor = rows.transpose(1, 2) @ rows / features[0].numel()
        return gram

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        symmetric = (gradient + gradient.transpose(1, 2)) / features[0].numel()
        # What comes out is rounded to the features' precision; going in at it costs no range,
        # but for float16.
        computed_in = torch.float32 if features.dtype == torch.float16 else features.dtype
        with torch.autocast(features.device.type, enabled=False):
            rows = _pixel_rows(features.to(computed_in)) @ symmetric.to(computed_in)
        batch, channels, height, width = features.shape
        columns: Tensor = rows.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return columns.to(features.dtype)


def _pixel_rows(features: Tensor) -> Tensor:
    """N x C x H x W to N x HW x C."""
    return features.permute(0, 2, 3, 1).flatten(1, 2)


def channel_means(features: Tensor) -> Tensor:
    """Mean of each channel / C, as a Gram matrix is divided: N x C x H x W to N x C, float32."""
    return features.float().mean(dim=(2, 3)) / features.shape[1]


def feature_errors(features: Tensor, target: Tensor) -> Tensor:
    """Squared Euclidean distance / (C H W) of each picture: N x C x H x W to N."""
    return (features.float() - target.float()).square().mean(dim=(1, 2, 3))


def feature_reconstruction_loss(features: Tensor, target: Tensor) -> Tensor:
    """``feature_errors`` averaged over the batch: a scalar."""
    return feature_errors(features, target).mean()


def style_reconstruction_losses(gram: Tensor, target: Tensor) -> Tensor:
    """Squared Frobenius norm of the difference for each picture: N numbers.

    ``gram`` is N x C x C, ``target`` the same or 1 x C x C; S x N x C x C: S x N numbers.
    """
    return (gram - target).square().sum(dim=(-2, -1))


def total_variation(image: Tensor) -> Tensor:
    """Sum of squared differences of neighbours / (C H W), averaged over the batch: a scalar.

    The paper sums without dividing, as ``summed_variation`` does; with the division a weight serves
    pictures of every size.
    """
    down = (image[..., 1:, :] - image[..., :-1, :]).float().square().sum()
    right = (image[..., :, 1:] - image[..., :, :-1]).float().square().sum()
    return (down + right) / image.numel()


def summed_variation(image: Tensor) -> Tensor:
    """The same as Johnson et al. have it, a sum over pixels of 0..255, for images in [0, 1].

    Averaged over the batch, which their code sums up as well.
    """
    return total_variation(image) * (255**2 * image[0].numel())


def unit_gradient(errors: Tensor, features: Tensor) -> Tensor:
    """Return the errors of N pictures, each with a gradient in ``features`` of L1 norm 1.

    ``errors`` (N) come from ``features`` (N x C x H x W), each from its own picture. Without a
    gradient to divide they are returned as they are.
    """
    if not (torch.is_grad_enabled() and errors.requires_grad):
        return errors
    (gradient,) = torch.autograd.grad(errors.sum(), features, retain_graph=True)
    length = gradient.float().abs().sum(dim=(1, 2, 3)) + 1e-8
    return errors.detach() + (errors - errors.detach()) / length
