"""How the numbers in a frame's planes mean colours (ITU-T H.273): words for it, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Matrix = Literal["bt601", "bt709", "bt2020", "smpte240m", "fcc", "rgb"]
Subsampling = Literal["420", "422", "444"]
Siting = Literal["left", "center", "topleft"]
FLOAT_DEPTH = 32
"""Bits a sample of planes of RGB in floating point: light itself, which is not encoded."""


@dataclass(frozen=True)
class YuvEncoding:
    """How numbers in planes mean colours."""

    matrix: Matrix
    full_range: bool = False
    """True: all codes, for all planes; False: 16..235 for luma and 16..240 for chroma of 8 bits,
    and their multiples. RGB is always in full range."""
    depth: int = 8
    """Bits a sample, 8 to 16, or FLOAT_DEPTH."""
    subsampling: Subsampling = "420"
    siting: Siting = "left"
    """Where a chroma sample lies among the luma samples that share it: ``left`` and halfway down
    (MPEG-2 and its successors), at the ``center`` (JPEG, MPEG-1), at the ``topleft`` one (UHD)."""

    @property
    def is_light(self) -> bool:
        """Whether the numbers are linear light: see linear_light.py."""
        return self.depth == FLOAT_DEPTH
