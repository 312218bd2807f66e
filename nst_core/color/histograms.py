"""Histogram matching: a picture given the colours of another, channel by channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.exposure import match_histograms

from nst_core.color.codes import Code


def match_histogram(picture: NDArray[Code], reference: NDArray[Code]) -> NDArray[Code]:
    """Map every channel so that its histogram becomes that of ``reference``.

    Both are RGB of uint8 or uint16, H x W x 3, of any sizes. Johnson et al. (section 4.2) do so
    with the network's output and its low-resolution input: a feature loss leaves the mean colours
    free.
    Raises ValueError for other arrays.
    """
    for array in (picture, reference):
        if array.dtype not in (np.uint8, np.uint16) or array.ndim != 3 or array.shape[-1] != 3:
            raise ValueError(f"a picture is {array.dtype} {array.shape}: uint8 H x W x 3 is needed")
    # One channel at a time: with channel_axis, skimage cuts its numbers to bytes, half a step dark.
    result = np.empty_like(picture)
    for channel in range(3):
        matched = match_histograms(picture[..., channel], reference[..., channel])
        result[..., channel] = matched.round().clip(0, np.iinfo(picture.dtype).max)
    return result
