"""Pixels of every mode to 8-bit sRGB, with transparency kept beside them.

Colours are converted by the picture's own ICC profile (LittleCMS), relative colorimetric with
black point compensation: colours that sRGB has stay what they are, and the darkest ink of a
print becomes black.
"""

from __future__ import annotations

import io
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_GREY, _COLOUR = ("1", "L", "LA", "La"), ("L", "LA", "RGB", "RGBA")
_MODES_OF_SPACE = {"GRAY": ("L", "LA"), "RGB": _COLOUR, "CMYK": ("CMYK",)}
_SAME_WITHIN = 2
"""Levels of 255: profiles of sRGB differ by their rounding."""
_OVERSHOOT = 0.1
"""How far beyond 0..1 floating-point samples may reach (sharpening does that); they are clipped."""


def to_srgb(
    image: Image.Image, profile: bytes | None
) -> tuple[Image.Image, bytes | None, tuple[str, ...]]:
    """Return the picture as RGB or RGBA in sRGB, the profile it now has, and notes for the user.

    A profile of sRGB is kept byte for byte; any other is applied and gives way to one of sRGB;
    one that is broken or meant for other pixels is left out. Without a profile, RGB counts as
    sRGB and CMYK is converted by the plain formula. ``image`` is loaded. Raises ValueError for
    samples whose range is unknown.
    """
    notes = ("CMYK became RGB",) if image.mode == "CMYK" else ()
    plain = _plain_mode(image)
    if not profile:
        return _as_rgb(plain), None, notes
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip()
        if plain.mode not in _MODES_OF_SPACE.get(space, ()):
            return _as_rgb(plain), None, (*notes, f"its colour profile is for {space}: left out")
        if space == "RGB":
            plain = _as_rgb(plain)
        transform = _transform_to_srgb(profile, "L" if space == "GRAY" else _opaque_mode(plain))
        if transform is None:
            return plain, profile, notes
        return _apply(transform, plain), srgb_profile(), notes
    except (ImageCms.PyCMSError, OSError, ValueError):
        return _as_rgb(plain), None, (*notes, "its colour profile is broken: left out")


@cache
def srgb_profile() -> bytes:
    """Return the ICC profile of sRGB that converted pictures get; always the same bytes."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    date = np.array([2000, 1, 1, 0, 0, 0], dtype=">u2").tobytes()
    return profile[:24] + date + profile[36:]  # LittleCMS puts the time of the call there


def eight_bits(samples: NDArray[np.generic], *, white_is_zero: bool = False) -> NDArray[np.uint8]:
    """Scale samples of any type to 0..255; the shape stays.

    Whole numbers are taken as 0..65535 unless they have 8 bits, floating-point ones as 0..1.
    Raises ValueError for others: what is white in them, nobody knows.
    """
    if samples.dtype == np.uint8:
        return (255 - samples if white_is_zero else samples).astype(np.uint8)
    floating = samples.dtype.kind == "f"
    white = 1.0 if floating else 65535.0
    slack = _OVERSHOOT if floating else 0
    low, high = float(samples.min()), float(samples.max())
    if not -slack * white <= low <= high <= (1 + slack) * white:  # NaN fails, too
        kind = "floating-point" if floating else "whole"
        raise ValueError(
            f"{kind} samples from {low:g} to {high:g}, where 0 to {white:g} can be taken; "
            "scale them first"
        )
    scaled: NDArray[np.float32] = samples.astype(np.float32) * np.float32(255 / white)
    if white_is_zero:
        scaled = 255 - scaled
    return scaled.round().clip(0, 255).astype(np.uint8)


def _plain_mode(image: Image.Image) -> Image.Image:
    """One of L, LA, RGB, RGBA and CMYK."""
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK") and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_grey(image)
    if image.mode in _GREY:
        return image.convert("LA" if image.has_transparency_data else "L")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _deep_grey(image: Image.Image) -> Image.Image:
    """Scale deep grey: Pillow's own conversion clips it, and nearly all becomes white."""
    samples = np.asarray(image)
    grey = Image.fromarray(eight_bits(samples, white_is_zero=_white_is_zero(image)))
    hidden = image.info.get("transparency")
    if not isinstance(hidden, int):
        return grey
    alpha = Image.fromarray(np.where(samples == hidden, 0, 255).astype(np.uint8))
    return Image.merge("LA", (grey, alpha))


def _white_is_zero(image: Image.Image) -> bool:
    """Pillow inverts such TIFFs of 8 bits, and leaves deeper ones as they are."""
    return bool(getattr(image, "tag_v2", {}).get(262) == 0)


def _opaque_mode(image: Image.Image) -> str:
    return image.mode.removesuffix("A")


def _as_rgb(image: Image.Image) -> Image.Image:
    mode = "RGBA" if image.mode in ("LA", "RGBA") else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    if image.mode not in ("LA", "RGBA"):
        return transform.apply(image)
    rgb = transform.apply(image.convert(_opaque_mode(image)))
    rgb.putalpha(image.getchannel("A"))
    return rgb


@lru_cache(maxsize=8)
def _transform_to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """None for a profile that is sRGB itself. Building one takes longer than a small picture.

    Threads may share a transform: LittleCMS copies what it changes in it.
    """
    transform = ImageCms.ImageCmsTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile())),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if mode != "RGB":
        return transform
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(9, 81, 3)
    converted = np.asarray(transform.apply(Image.fromarray(colours)), dtype=np.int16)
    return None if np.abs(converted - colours).max() <= _SAME_WITHIN else transform
