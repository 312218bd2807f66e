"""Planar YUV to RGB and back, as tensors on the network's device.

Formulas: ITU-R BT.601, BT.709 and BT.2020 (non-constant luminance), 8 bits, limited or full range.
Chroma of 4:2:0 lies at the left of its 2 x 2 luma block, halfway down (MPEG-2 and its successors).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Matrix = Literal["bt601", "bt709", "bt2020"]

_KR_KB: dict[Matrix, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}


@dataclass(frozen=True)
class YuvEncoding:
    """How numbers in the planes mean colours."""

    matrix: Matrix
    full_range: bool = False
    """True: 0..255 for all planes; False: 16..235 for luma, 16..240 for chroma."""


@dataclass(frozen=True, repr=False)
class Yuv420:
    """A batch of 8-bit 4:2:0 frames; odd sizes have chroma planes rounded up."""

    luma: Tensor
    """uint8, N x H x W."""
    chroma: Tensor
    """uint8, N x 2 x ceil(H / 2) x ceil(W / 2): Cb, then Cr."""

    def __post_init__(self) -> None:
        frames, height, width = self.luma.shape
        expected = (frames, 2, -(-height // 2), -(-width // 2))
        if tuple(self.chroma.shape) != expected:
            raise ValueError(f"chroma {tuple(self.chroma.shape)}: {expected} goes with this luma")

    def __repr__(self) -> str:
        frames, height, width = self.luma.shape
        return f"Yuv420({frames} frames of {width}x{height})"

    def to(self, device: torch.device) -> Yuv420:
        """Copy to another device."""
        return Yuv420(self.luma.to(device), self.chroma.to(device))


def yuv420_to_rgb(frames: Yuv420, encoding: YuvEncoding) -> Tensor:
    """N x 3 x H x W float32 RGB in [0, 1]."""
    height, width = frames.luma.shape[-2:]
    y, chroma = _decode_range(frames.luma.float(), frames.chroma.float(), encoding)
    chroma = _upsample(chroma)[..., :height, :width]
    cb, cr = chroma[:, 0], chroma[:, 1]
    kr, kb = _KR_KB[encoding.matrix]
    kg = 1 - kr - kb
    red = y + 2 * (1 - kr) * cr
    blue = y + 2 * (1 - kb) * cb
    green = y - (2 * kr * (1 - kr) * cr + 2 * kb * (1 - kb) * cb) / kg
    return torch.stack((red, green, blue), dim=1).clamp_(0, 1)


def rgb_to_yuv420(rgb: Tensor, encoding: YuvEncoding) -> Yuv420:
    """Encode N x 3 x H x W RGB in [0, 1], rounded to nearest."""
    red, green, blue = rgb.float().unbind(1)
    kr, kb = _KR_KB[encoding.matrix]
    y = kr * red + (1 - kr - kb) * green + kb * blue
    cb = (blue - y) / (2 * (1 - kb))
    cr = (red - y) / (2 * (1 - kr))
    chroma = _downsample(torch.stack((cb, cr), dim=1))
    luma, chroma = _encode_range(y, chroma, encoding)
    return Yuv420(_to_bytes(luma), _to_bytes(chroma))


def keep_chroma(stylized: Yuv420, source: Yuv420) -> Yuv420:
    """Luma of the stylized frames with the colours of the source."""
    return Yuv420(stylized.luma, source.chroma)


def luma_of(rgb: Tensor) -> Tensor:
    """Luma of N x 3 x H x W RGB by BT.601's weights, as JPEG has it: N x 1 x H x W."""
    kr, kb = _KR_KB["bt601"]
    weights = rgb.new_tensor((kr, 1 - kr - kb, kb)).view(1, 3, 1, 1)
    return (rgb * weights).sum(dim=1, keepdim=True)


def keep_rgb_colors(stylized: Tensor, source: Tensor) -> Tensor:
    """Source RGB with the stylized picture's luma, in [0, 1]."""
    return (source + luma_of(stylized) - luma_of(source)).clamp(0, 1)


def _decode_range(luma: Tensor, chroma: Tensor, encoding: YuvEncoding) -> tuple[Tensor, Tensor]:
    if encoding.full_range:
        return luma / 255, (chroma - 128) / 255
    return (luma - 16) / 219, (chroma - 128) / 224


def _encode_range(luma: Tensor, chroma: Tensor, encoding: YuvEncoding) -> tuple[Tensor, Tensor]:
    if encoding.full_range:
        return luma * 255, chroma * 255 + 128
    return luma * 219 + 16, chroma * 224 + 128


def _to_bytes(plane: Tensor) -> Tensor:
    return plane.round().clamp_(0, 255).to(torch.uint8)


def _upsample(chroma: Tensor) -> Tensor:
    """N x C x H x W to N x C x 2H x 2W, linear; columns co-sited, rows between two luma rows."""
    following = torch.cat((chroma[..., 1:], chroma[..., -1:]), dim=-1)
    columns = torch.stack((chroma, (chroma + following) / 2), dim=-1).flatten(-2)
    height, width = columns.shape[-2:]
    return F.interpolate(columns, size=(2 * height, width), mode="bilinear", align_corners=False)


def _downsample(chroma: Tensor) -> Tensor:
    """The inverse siting of _upsample: [1 2 1] / 4 at even columns, the mean of two rows."""
    height, width = chroma.shape[-2:]
    even = F.pad(chroma, (0, width % 2, 0, height % 2), mode="replicate")
    left = torch.cat((even[..., :1], even[..., :-1]), dim=-1)[..., ::2]
    columns = (left + 2 * even[..., ::2] + even[..., 1::2]) / 4
    return (columns[..., ::2, :] + columns[..., 1::2, :]) / 2
