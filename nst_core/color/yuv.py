"""Planar YUV to RGB and back, as tensors on the network's device.

Formulas: ITU-R BT.601, BT.709, BT.2020 (non-constant luminance) and SMPTE 240M; 8 to 16 bits,
limited or full range (ITU-T H.273, section 8.3). RGB itself is a matrix too: planes G, B, R. These
may be of floating-point numbers, linear light: see linear_light.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_core.color.constants import constant
from nst_core.color.linear_light import straight, to_display, to_light
from nst_core.color.yuv_encoding import Matrix, Subsampling, YuvEncoding

_KR_KB: dict[Matrix, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
    "smpte240m": (0.212, 0.087),
    "fcc": (0.30, 0.11),
}
_HALVED: dict[Subsampling, tuple[bool, bool]] = {
    "420": (True, True),
    "422": (False, True),
    "444": (False, False),
}
"""Whether chroma has half the rows, half the columns."""


@dataclass(frozen=True, repr=False)
class YuvFrames:
    """A batch of frames in planes of whole numbers, uint8 or uint16; of light, float32."""

    luma: Tensor
    """N x H x W; of RGB: green."""
    chroma: Tensor
    """N x 2 x rows x columns: Cb, then Cr; of RGB: blue, then red."""
    alpha: Tensor | None = None
    """N x H x W, in full range, of light 0 to 1; None: opaque. Into colours it is not multiplied,
    but into light it is."""

    def __post_init__(self) -> None:
        frames, height, width = self.luma.shape
        sizes = {(height, width), (height, -(-width // 2)), (-(-height // 2), -(-width // 2))}
        count, planes, *size = self.chroma.shape
        if (count, planes) != (frames, 2) or tuple(size) not in sizes:
            raise ValueError(
                f"chroma {tuple(self.chroma.shape)}: {frames} x 2 x one of {sorted(sizes)} goes "
                "with this luma"
            )

    def __repr__(self) -> str:
        frames, height, width = self.luma.shape
        return f"YuvFrames({frames} frames of {width}x{height})"

    def to(self, device: torch.device) -> YuvFrames:
        """Copy to another device."""
        alpha = None if self.alpha is None else self.alpha.to(device)
        return YuvFrames(self.luma.to(device), self.chroma.to(device), alpha)


def plane_dtype(encoding: YuvEncoding) -> torch.dtype:
    """Return the dtype of planes in this encoding."""
    if encoding.is_light:
        return torch.float32
    return torch.uint8 if encoding.depth == 8 else torch.uint16


def join_frames(frames: list[YuvFrames]) -> YuvFrames:
    """Batch frames of one size and kind."""
    alphas = [frame.alpha for frame in frames if frame.alpha is not None]
    return YuvFrames(
        torch.cat([frame.luma for frame in frames]),
        torch.cat([frame.chroma for frame in frames]),
        torch.cat(alphas) if alphas else None,
    )


def split_frames(frames: YuvFrames) -> list[YuvFrames]:
    """Undo join_frames."""
    return [
        YuvFrames(
            frames.luma[place : place + 1],
            frames.chroma[place : place + 1],
            None if frames.alpha is None else frames.alpha[place : place + 1],
        )
        for place in range(len(frames.luma))
    ]


def yuv_to_rgb(frames: YuvFrames, encoding: YuvEncoding) -> Tensor:
    """Decode to N x 3 x H x W float32 RGB in [0, 1]; colours beyond RGB are clipped."""
    height, width = frames.luma.shape[-2:]
    if encoding.is_light:
        green, (blue, red) = frames.luma, frames.chroma.unbind(1)
        return to_display(straight(torch.stack((red, green, blue), dim=1), frames.alpha))
    scale, offset, chroma_scale, middle = _steps(encoding)
    y = frames.luma.float().mul_(scale).add_(offset)
    chroma = frames.chroma.float()
    rgb = y.new_empty(len(y), 3, height, width)
    if encoding.matrix == "rgb":
        rgb[:, 1], rgb[:, 2], rgb[:, 0] = y, chroma[:, 0] * scale, chroma[:, 1] * scale
        return rgb
    chroma = _upsample(chroma.sub_(middle).mul_(chroma_scale), encoding)[..., :height, :width]
    cb, cr = chroma[:, 0], chroma[:, 1]
    kr, kb = _KR_KB[encoding.matrix]
    kg = 1 - kr - kb
    torch.add(y, cr, alpha=2 * (1 - kr), out=rgb[:, 0])
    torch.add(y, cb, alpha=2 * (1 - kb), out=rgb[:, 2])
    y.add_(cr, alpha=-2 * kr * (1 - kr) / kg)
    torch.add(y, cb, alpha=-2 * kb * (1 - kb) / kg, out=rgb[:, 1])
    return rgb.clamp_(0, 1)


def rgb_to_yuv(rgb: Tensor, encoding: YuvEncoding) -> YuvFrames:
    """Encode N x 3 x H x W RGB in [0, 1], rounded to nearest."""
    if encoding.is_light:
        red, green, blue = to_light(rgb.float()).unbind(1)
        return YuvFrames(green, torch.stack((blue, red), dim=1))
    red, green, blue = rgb.float().unbind(1)
    scale, offset, chroma_scale, middle = _steps(encoding)
    if encoding.matrix == "rgb":
        return YuvFrames(
            to_codes(green / scale, encoding),
            to_codes(torch.stack((blue, red), dim=1) / scale, encoding),
        )
    kr, kb = _KR_KB[encoding.matrix]
    y = (red * (kr / scale)).add_(green, alpha=(1 - kr - kb) / scale).add_(blue, alpha=kb / scale)
    differences = y.new_empty(len(y), 2, *y.shape[-2:])
    torch.sub(blue, y, alpha=scale, out=differences[:, 0])
    torch.sub(red, y, alpha=scale, out=differences[:, 1])
    chroma = downsample(differences, encoding)
    factors = constant((1 / (2 * (1 - kb)), 1 / (2 * (1 - kr))), y.device, y.dtype)
    chroma = chroma.mul_((factors / chroma_scale).view(2, 1, 1)).add_(middle)
    return YuvFrames(to_codes(y.sub_(offset / scale), encoding), to_codes(chroma, encoding))


def with_alpha(
    frames: YuvFrames, alpha: Tensor, *, source: YuvEncoding, target: YuvEncoding
) -> YuvFrames:
    """Give frames in the encoding ``target`` the alpha of others in that of ``source``."""
    alpha = convert_alpha(alpha, source, target)
    if target.is_light:
        return YuvFrames(frames.luma * alpha, frames.chroma * alpha[:, None], alpha)
    return YuvFrames(frames.luma, frames.chroma, alpha)


def convert_alpha(alpha: Tensor, source: YuvEncoding, target: YuvEncoding) -> Tensor:
    """Bring alpha to the depth of another encoding, rounded to nearest."""
    if source.depth == target.depth:
        return alpha
    unit = alpha.float() / (1 if source.is_light else 2**source.depth - 1)
    if target.is_light:
        return unit
    largest = 2**target.depth - 1
    return to_codes(unit * largest, target)


def _steps(encoding: YuvEncoding) -> tuple[float, float, float, float]:
    """Luma is ``code * scale + offset``; chroma is ``(code - middle) * chroma_scale``."""
    unit = 2.0 ** (encoding.depth - 8)
    if encoding.full_range or encoding.matrix == "rgb":
        largest = 2.0**encoding.depth - 1
        return 1 / largest, 0.0, 1 / largest, 128 * unit
    return 1 / (219 * unit), -16 / 219, 1 / (224 * unit), 128 * unit


def to_codes(plane: Tensor, encoding: YuvEncoding) -> Tensor:
    """Round to the nearest codes of whole numbers; ``plane`` is used up."""
    # Adding a half and cutting off rounds to nearest; chroma of full range may reach 2**depth.
    codes = plane.add_(0.5).clamp_(0, 2**encoding.depth - 1)
    return codes.to(torch.int32).to(plane_dtype(encoding))  # at once it takes four times as long


def _upsample(chroma: Tensor, encoding: YuvEncoding) -> Tensor:
    """N x C x rows x columns to the size of luma (rounded up to even), linear."""
    rows, columns = _HALVED[encoding.subsampling]
    if columns:
        chroma = _double_columns(chroma, cosited=encoding.siting != "center")
    if rows:  # whole rows are copied faster than single columns: of twice as many there are less
        chroma = _double_rows(chroma, cosited=encoding.siting == "topleft")
    return chroma


def downsample(chroma: Tensor, encoding: YuvEncoding) -> Tensor:
    """N x C x H x W to the size of chroma: [1 2 1] / 4 where samples are co-sited, else means."""
    rows, columns = _HALVED[encoding.subsampling]
    height, width = chroma.shape[-2:]
    if (rows and height % 2) or (columns and width % 2):
        padding = (0, width % 2 if columns else 0, 0, height % 2 if rows else 0)
        chroma = F.pad(chroma, padding, mode="replicate")
    if rows:
        even, odd = chroma[..., ::2, :], chroma[..., 1::2, :]
        if encoding.siting == "topleft":
            above = torch.cat((even[..., :1, :], odd[..., :-1, :]), dim=-2)
            chroma = above.add_(odd).add_(even, alpha=2).mul_(0.25)
        else:
            chroma = (even + odd).mul_(0.5)
    if columns:
        even, odd = chroma[..., ::2], chroma[..., 1::2]
        if encoding.siting == "center":
            return (even + odd).mul_(0.5)
        pairs = chroma[..., :-1] + chroma[..., 1:]
        first = (even[..., :1] * 3).add_(odd[..., :1])
        return torch.cat((first, pairs[..., 1::2] + pairs[..., 2::2]), dim=-1).mul_(0.25)
    return chroma


def _double_rows(plane: Tensor, *, cosited: bool) -> Tensor:
    """Linear interpolation between rows; samples at even rows, or between two rows."""
    count, channels, height, width = plane.shape
    above, below = plane[..., :-1, :], plane[..., 1:, :]
    result = plane.new_empty(count, channels, height, 2, width)
    even, odd = result.unbind(-2)
    if cosited:
        even.copy_(plane)
        torch.lerp(above, below, 0.5, out=odd[..., :-1, :])
    else:
        even[..., 0, :] = plane[..., 0, :]
        torch.lerp(below, above, 0.25, out=even[..., 1:, :])
        torch.lerp(above, below, 0.25, out=odd[..., :-1, :])
    odd[..., -1, :] = plane[..., -1, :]
    return result.view(count, channels, 2 * height, width)


def _double_columns(plane: Tensor, *, cosited: bool) -> Tensor:
    """The same between columns."""
    right = torch.cat((plane[..., 1:], plane[..., -1:]), dim=-1)
    if cosited:
        pair = (plane, torch.lerp(plane, right, 0.5))
    else:
        left = torch.cat((plane[..., :1], plane[..., :-1]), dim=-1)
        pair = (torch.lerp(plane, left, 0.25), torch.lerp(plane, right, 0.25))
    # Complex numbers lie in memory as pairs: the fastest way to interleave.
    return torch.view_as_real(torch.complex(*pair)).flatten(-2)
