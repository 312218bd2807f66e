"""What a PNG says of its colours: cICP before iCCP, sRGB, and gAMA with cHRM (PNG 3, 4.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nst_core.color.tone_mapping import DISPLAY_GAMMA, Primaries, ToneMapping, Transfer
from nst_core.pictures.png_chunks import ReadablePng
from nst_core.pictures.rgb_profile import Point, rgb_profile

_D65: Point = (0.3127, 0.3290)
_BT709: tuple[Point, Point, Point] = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_PRIMARIES: dict[int, tuple[tuple[Point, Point, Point], Point]] = {
    1: (_BT709, _D65),
    2: (_BT709, _D65),  # not said
    4: (((0.67, 0.33), (0.21, 0.71), (0.14, 0.08)), (0.310, 0.316)),
    5: (((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)), _D65),
    6: (((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)), _D65),
    7: (((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)), _D65),
    8: (((0.681, 0.319), (0.243, 0.692), (0.145, 0.049)), (0.310, 0.316)),
    9: (((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), _D65),
    11: (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), (0.314, 0.351)),
    12: (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), _D65),
    22: (((0.630, 0.340), (0.295, 0.605), (0.155, 0.077)), _D65),
}
"""ITU-T H.273, table 2."""
_LIKE_SRGB = frozenset({1, 2, 6, 13, 14, 15})
"""Transfers of H.273, table 3: those of video are shown as sRGB is, by browsers too."""
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_HDR: dict[int, Transfer] = {16: "pq", 18: "hlg"}
_HDR_PRIMARIES: dict[int, Primaries] = {1: "bt709", 9: "bt2020", 12: "p3"}
_SRGB_GAMMA, _SRGB_GAMMA_WITHIN = 0.45455, 0.05
"""gAMA cannot say sRGB: this near it is meant (libpng's bound)."""
_SAMPLES = 4096
_ROWS = 64
"""Rows of an HDR picture that are held as floating-point numbers at a time."""


@dataclass(frozen=True)
class PngColors:
    """How a PNG's numbers mean colours."""

    profile: bytes | None = None
    """ICC profile to convert by; None: sRGB."""
    is_described: bool = False
    """Whether ``profile`` was made here, after numbers in the file."""
    hdr: ToneMapping | None = None
    """To be applied first; ``profile`` is that of the result."""
    notes: tuple[str, ...] = ()


def png_colors(png: ReadablePng) -> PngColors:
    """Return what the strongest of the chunks says."""
    code_points = png.first(b"cICP")
    if code_points is not None:
        return _of_code_points(*code_points[:4])
    if png.first(b"iCCP") is not None:
        return PngColors(png.colour_profile() or b"broken")
    if png.first(b"sRGB") is not None:
        return PngColors()
    return _of_gamma(png.first(b"gAMA"), png.first(b"cHRM"))


def in_standard_range(image: Image.Image, hdr: ToneMapping) -> Image.Image:
    """Return a picture of HDR as a display of BT.1886 shows it, as RGB or RGBA."""
    import torch  # where no picture is HDR, no driver needs it

    signal = np.asarray(image.convert("RGB"))
    shown = np.empty_like(signal)
    for start in range(0, len(signal), _ROWS):
        rows = torch.from_numpy(signal[start : start + _ROWS].copy()).permute(2, 0, 1)[None]
        mapped = hdr.to_sdr(rows.float() / 255) * 255
        shown[start : start + _ROWS] = mapped[0].round().byte().permute(1, 2, 0).numpy()
    result = Image.fromarray(shown)
    if image.has_transparency_data:
        result.putalpha(image.convert("RGBA").getchannel("A"))
    result.info = {key: value for key, value in image.info.items() if key != "transparency"}
    return result


def _of_code_points(primaries: int, transfer: int, matrix: int, full_range: int) -> PngColors:
    said = f"{primaries}/{transfer}/{matrix}/{full_range}"
    if transfer in _HDR and primaries in _HDR_PRIMARIES and full_range:
        hdr = ToneMapping(_HDR[transfer], primaries=_HDR_PRIMARIES[primaries])
        shown = rgb_profile(_BT709, _D65, _steps() ** DISPLAY_GAMMA)
        note = f"HDR ({_HDR[transfer].upper()}) became standard range"
        return PngColors(shown, is_described=True, hdr=hdr, notes=(note,))
    if primaries not in _PRIMARIES or transfer not in (*_LIKE_SRGB, *_GAMMAS) or matrix != 0:
        return PngColors(notes=(f"its colours (cICP {said}) are not known: taken as sRGB",))
    if (primaries in (1, 2)) and transfer in _LIKE_SRGB and full_range:
        return PngColors()
    signal = _steps() if full_range else ((_steps() * 255 - 16) / 219).clip(0, 1)
    gamma = _GAMMAS.get(transfer)
    light = _srgb_light(signal) if gamma is None else signal**gamma
    return PngColors(rgb_profile(*_PRIMARIES[primaries], light), is_described=True)


def _of_gamma(gamma_chunk: bytes | None, points_chunk: bytes | None) -> PngColors:
    points = _of_points(points_chunk)
    gamma = int.from_bytes(gamma_chunk[:4], "big") / 100_000 if gamma_chunk else 0.0
    is_like_srgb = not gamma or abs(gamma / _SRGB_GAMMA - 1) < _SRGB_GAMMA_WITHIN
    if points is None and is_like_srgb:
        return PngColors()
    if gamma and not 0.1 <= gamma <= 10:
        return PngColors(notes=(f"its gamma of {gamma:g} makes no sense: taken as sRGB",))
    primaries, white = points or (_BT709, _D65)
    light = _steps() ** (1 / gamma) if gamma else _srgb_light(_steps())
    try:
        return PngColors(rgb_profile(primaries, white, light), is_described=True)
    except ValueError:
        return PngColors(notes=("its primaries (cHRM) make no sense: taken as sRGB",))


def _of_points(chunk: bytes | None) -> tuple[tuple[Point, Point, Point], Point] | None:
    """None where they are those of sRGB, or not said."""
    if chunk is None:
        return None
    numbers = np.frombuffer(chunk[:32], dtype=">u4") / 100_000
    white, red, green, blue = ((float(x), float(y)) for x, y in numbers.reshape(4, 2))
    expected = np.array([_D65, *_BT709])
    if np.abs(numbers.reshape(4, 2) - expected).max() < 0.002:
        return None
    return (red, green, blue), white


def _steps() -> NDArray[np.float64]:
    return np.linspace(0, 1, _SAMPLES)


def _srgb_light(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """IEC 61966-2-1."""
    light: NDArray[np.float64] = np.where(
        signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4
    )
    return light
