"""Keeping a picture's own colours: luma from the stylized picture, chroma from the source."""

from __future__ import annotations

from torch import Tensor

from nst_core.color.constants import constant

_KR, _KB = 0.299, 0.114
"""Luma weights of red and blue in BT.601, which JPEG has too."""


def luma_of(rgb: Tensor) -> Tensor:
    """Luma of N x 3 x H x W RGB by BT.601's weights, as JPEG has it: N x 1 x H x W."""
    weights = constant((_KR, 1 - _KR - _KB, _KB), rgb.device, rgb.dtype)
    return (rgb * weights.view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def keep_rgb_colors(stylized: Tensor, source: Tensor) -> Tensor:
    """Source RGB with the stylized picture's luma, in [0, 1]."""
    return (source + luma_of(stylized) - luma_of(source)).clamp(0, 1)
