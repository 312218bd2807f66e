"""Frames of several looks blended into one, plane by plane."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nst_core.color.yuv import YuvFrames, downsample, to_codes
from nst_core.color.yuv_encoding import YuvEncoding


def blend(parts: Sequence[tuple[YuvFrames, Tensor]], encoding: YuvEncoding) -> YuvFrames:
    """Sum frames of one encoding, each multiplied by its weights, rounded to nearest.

    Weights are N x H x W or a single number, 0 to 1; those of a pixel sum to 1. Where one of them
    is 1 its frame's samples stay as they are. Alpha, which all have alike, is the first one's.
    """
    luma = _sum([(frames.luma, weights) for frames, weights in parts], encoding)
    of_chroma = [
        (frames.chroma, downsample(weights[:, None], encoding) if weights.dim() else weights)
        for frames, weights in parts
    ]
    return YuvFrames(luma, _sum(of_chroma, encoding), parts[0][0].alpha)


def _sum(parts: Sequence[tuple[Tensor, Tensor]], encoding: YuvEncoding) -> Tensor:
    total = torch.zeros(parts[0][0].shape)
    for plane, weights in parts:
        if encoding.is_light:  # which may be infinite where its weight is 0
            total += torch.where(weights > 0, plane * weights, 0.0)
        else:
            total += plane.float() * weights
    return total if encoding.is_light else to_codes(total, encoding)
