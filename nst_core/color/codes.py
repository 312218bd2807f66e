"""Pixels as whole numbers, of 8 or 16 bits; light to import."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Code = TypeVar("Code", bound=np.unsignedinteger[Any])
Pixels: TypeAlias = NDArray[np.unsignedinteger[Any]]
"""Numbers of uint8 or uint16."""


def with_dtype(pixels: Pixels, dtype: np.dtype[Code]) -> NDArray[Code]:
    """Bring pixels to another number of bits, rounded to nearest."""
    if pixels.dtype == dtype:
        return pixels.astype(dtype, copy=False)
    if pixels.dtype == np.uint8:
        return (pixels.astype(np.uint32) * 257).astype(dtype)
    return ((pixels.astype(np.uint32) + 128) // 257).astype(dtype)
