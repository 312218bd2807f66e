"""Keeping a picture's own colours."""

from __future__ import annotations

import torch

from nst_core.color.luma import keep_rgb_colors, luma_of


def test_keeping_colours_takes_only_luma_from_the_stylized_picture() -> None:
    source = torch.rand(1, 3, 6, 6) * 0.4 + 0.3
    stylized = source.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1) + 0.05
    kept = keep_rgb_colors(stylized, source)
    torch.testing.assert_close(luma_of(kept), luma_of(stylized), atol=1e-5, rtol=0)
    torch.testing.assert_close(kept - luma_of(kept), source - luma_of(source), atol=1e-5, rtol=0)
