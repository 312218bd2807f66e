"""The losses of the papers, each a function of tensors.

Formulas: Johnson et al. 2016, section 3.2. All of them compute in float32 at least, whatever the
precision of the network: Gram matrices of Caffe-scaled activations overflow float16.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gram_matrix(features: Tensor) -> Tensor:
    """G = F F^T / (C H W), F being C x (H W): N x C x H x W to N x C x C, float32."""
    _, channels, height, width = features.shape
    with torch.autocast(features.device.type, enabled=False):  # it would make the product bfloat16
        flat = features.float().flatten(2)  # N x C x HW
        return (flat @ flat.transpose(1, 2)) / (channels * height * width)


def feature_reconstruction_loss(features: Tensor, target: Tensor) -> Tensor:
    """Squared Euclidean distance / (C H W), averaged over the batch: a scalar."""
    return (features.float() - target.float()).square().mean()


def style_reconstruction_loss(gram: Tensor, target: Tensor) -> Tensor:
    """Squared Frobenius norm of the difference, averaged over the batch: a scalar.

    ``gram`` is N x C x C, ``target`` the same or 1 x C x C.
    """
    return (gram - target).square().sum(dim=(1, 2)).mean()


def total_variation(image: Tensor) -> Tensor:
    """Sum of squared differences of neighbours / (C H W), averaged over the batch: a scalar.

    The paper sums without dividing; with the division a weight serves pictures of every size.
    """
    down = (image[..., 1:, :] - image[..., :-1, :]).float().square().sum()
    right = (image[..., :, 1:] - image[..., :, :-1]).float().square().sum()
    return (down + right) / image.numel()
