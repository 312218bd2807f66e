"""Layouts of planes: what a pixel format holds."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from av.video.format import VideoFormat
from av.video.reformatter import Interpolation

from nst_core.color.yuv_encoding import FLOAT_DEPTH, Subsampling

_DEPTHS = (8, 9, 10, 12, 14, 16)
_LIGHT = re.compile(r"(gbra?p|gray)f(16|32)le")
"""Planes of linear light. Packed floats, as TIFF has them, are brought to 16 bits by swscale."""
EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
"""How swscale converts without shortcuts that cost accuracy."""


@dataclass(frozen=True)
class PlaneLayout:
    """How a frame is stored, apart from what its numbers mean."""

    depth: int
    """Bits a sample: 8, 9, 10, 12, 14 or 16, or FLOAT_DEPTH."""
    subsampling: Subsampling
    rgb: bool = False
    alpha: bool = False

    @property
    def is_float(self) -> bool:
        """Whether samples are floating-point numbers, of linear light."""
        return self.depth == FLOAT_DEPTH

    @property
    def pixel_format(self) -> str:
        """FFmpeg's planar format of this layout, little-endian."""
        alpha = "a" if self.alpha else ""
        deep = "f32le" if self.is_float else "" if self.depth == 8 else f"{self.depth}le"
        family = f"gbr{alpha}p" if self.rgb else f"yuv{alpha}{self.subsampling}p"
        return f"{family}{deep}"


def layout_of(pixel_format: str) -> PlaneLayout:
    """Find the planar layout that holds all of a format, whatever its order of bytes."""
    video_format = VideoFormat(pixel_format)
    components = video_format.components
    is_rgb = video_format.is_rgb or video_format.has_palette
    alpha = video_format.has_palette or any(component.is_alpha for component in components)
    if _LIGHT.fullmatch(pixel_format):
        return PlaneLayout(FLOAT_DEPTH, "444", rgb=True, alpha=alpha)
    bits = max(component.bits for component in components)
    layout = PlaneLayout(
        depth=next((depth for depth in _DEPTHS if depth >= bits), 16),
        subsampling="444" if is_rgb else _subsampling(video_format),
        rgb=is_rgb,
        alpha=alpha,
    )
    return layout if _exists(layout) else replace(layout, depth=16)


def _subsampling(video_format: VideoFormat) -> Subsampling:
    """The coarsest of the usual ones that loses nothing."""
    if len(video_format.components) < 3:
        return "420"  # grey: its chroma is empty
    across, down = video_format.chroma_width(16), video_format.chroma_height(16)
    if (across, down) == (8, 8):
        return "420"
    return "422" if (across, down) == (8, 16) else "444"


def chroma_in_words(pixel_format: str) -> str:
    """How a format is called: RGB, or by its chroma samples to four of luma, in two rows: 4:1:1."""
    video_format = VideoFormat(pixel_format)
    if video_format.is_rgb or video_format.has_palette:
        return "RGB"
    if len(video_format.components) < 3:
        return "grey"
    across = video_format.chroma_width(16) // 4
    return f"4:{across}:{across if video_format.chroma_height(16) == 16 else 0}"


def _exists(layout: PlaneLayout) -> bool:
    try:
        VideoFormat(layout.pixel_format)
    except ValueError:
        return False
    return True
