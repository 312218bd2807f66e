"""Awkward pictures of every mode, format, orientation and colour profile."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from tests.kit.expected_pictures import CRUDE, LOSSLESS, LOSSY, AwkwardFile, comes_out
from tests.kit.icc_profiles import DISPLAY_P3_XY, grey_profile, in_display_p3, rgb_profile
from tests.kit.icc_profiles import srgb_decoded as srgb_curve
from tests.kit.picture_bytes import (
    Pixels,
    deep_png,
    deep_tiff,
    format_of,
    grey,
    half_opaque,
    interlaced_png,
    of_mode,
    quarters,
    saved,
    stored_for,
    with_hidden_palette_entry,
)

_SIZES = ((48, 32), (33, 47), (1, 1))
_ORIENTATION = 0x0112
_FOUR_FORMATS: dict[str, dict[str, Any]] = {
    "jpg": {"quality": 95},
    "png": {},
    "webp": {"quality": 95},
    "tif": {},
}
_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/'
    b'22-rdf-syntax-ns#"><rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


# Format, mode, options, tolerance. What ends up grey is compared with grey.
_BY_PILLOW: tuple[tuple[str, str, dict[str, Any], int], ...] = (
    ("jpg", "L", {"quality": 95}, LOSSY),
    ("jpg", "RGB", {"quality": 95}, LOSSY),
    ("jpe", "RGB", {"quality": 95, "progressive": True}, LOSSY),
    ("jfif", "RGB", {"quality": 95, "subsampling": "4:2:0"}, LOSSY),
    ("jpeg", "CMYK", {"quality": 95}, LOSSY),
    ("png", "1", {}, CRUDE),
    ("png", "L", {}, LOSSLESS),
    ("png", "LA", {}, LOSSLESS),
    ("png", "P", {}, CRUDE),
    ("png", "RGB", {}, LOSSLESS),
    ("png", "RGBA", {}, LOSSLESS),
    ("png", "I;16", {}, LOSSLESS),
    ("webp", "RGB", {"quality": 95}, LOSSY),
    ("webp", "RGBA", {"quality": 95}, LOSSY),
    ("webp", "RGB", {"lossless": True}, LOSSY),
    ("tif", "1", {}, CRUDE),
    ("tif", "1", {"compression": "group4"}, CRUDE),
    ("tif", "L", {}, LOSSLESS),
    ("tif", "L", {"tiffinfo": {262: 0}}, LOSSLESS),  # white is zero
    ("tif", "LA", {}, LOSSLESS),
    ("tif", "P", {}, CRUDE),
    ("tif", "RGB", {}, LOSSLESS),
    ("tif", "RGBA", {}, LOSSLESS),
    ("tif", "CMYK", {}, LOSSLESS),
    ("tif", "YCbCr", {}, LOSSLESS),
    ("tif", "LAB", {}, LOSSLESS + 3),  # eight bits of a* and b* are coarse
    ("tif", "I;16", {}, LOSSLESS),
    ("tif", "I;16B", {}, LOSSLESS),
    ("tif", "I", {}, LOSSLESS),
    ("tif", "F", {}, LOSSLESS),
    ("tiff", "RGB", {"compression": "tiff_lzw"}, LOSSLESS),
    ("tiff", "RGB", {"compression": "tiff_adobe_deflate"}, LOSSLESS),
    ("tiff", "RGB", {"compression": "packbits"}, LOSSLESS),
    ("tiff", "RGB", {"compression": "jpeg"}, LOSSY),
    ("bmp", "1", {}, CRUDE),
    ("bmp", "L", {}, LOSSLESS),
    ("bmp", "P", {}, CRUDE),
    ("bmp", "RGB", {}, LOSSLESS),
    ("gif", "L", {}, CRUDE),
    ("gif", "P", {}, CRUDE),
    ("avif", "RGB", {"quality": 95, "subsampling": "4:4:4"}, LOSSY),
    ("avif", "RGBA", {"quality": 95, "subsampling": "4:4:4"}, LOSSY),
    ("heic", "RGB", {"quality": 95, "chroma": 444}, LOSSY),
    ("heif", "RGBA", {"quality": 95, "chroma": 444}, LOSSY),
)
_GREY_MODES = ("L", "LA", "I;16", "I;16B", "I", "F")


def pictures_of_every_mode() -> Iterator[AwkwardFile]:
    has_heif = find_spec("pillow_heif") is not None
    if has_heif:
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False)
    for width, height in _SIZES:
        pixels = quarters(width, height)
        for number, (suffix, mode, options, tolerance) in enumerate(_BY_PILLOW):
            if suffix in ("heic", "heif") and not has_heif:
                continue
            content = saved(of_mode(pixels, mode), format_of(suffix), **options)
            shown = np.dstack([grey(pixels)] * 3) if mode in _GREY_MODES else pixels
            expected = comes_out(shown, tolerance=tolerance)
            if mode in ("LA", "RGBA"):
                expected = replace(expected, mode="RGBA")
            if mode == "1":
                expected = replace(expected, probes=())  # dithered
            if suffix == "gif":
                expected = replace(expected, mode="P")
            name = f"{mode.replace(';', ' ')} {number} {width}x{height}.{suffix}"
            yield AwkwardFile(f"modes/{suffix}/{name}", content, expected)
    for width, height in _SIZES[:2]:
        yield from _special_modes(quarters(width, height))


def _special_modes(pixels: Pixels) -> Iterator[AwkwardFile]:
    """Such as Pillow does not write, or only by special options."""
    height, width, _ = pixels.shape
    folder, end = "modes/special", f"{width}x{height}"
    rgba = np.dstack([pixels, half_opaque(pixels)])
    exact = comes_out(pixels, tolerance=LOSSLESS)
    crude = comes_out(pixels, tolerance=CRUDE)
    with_alpha = replace(exact, mode="RGBA")
    yield AwkwardFile(f"{folder}/interlaced {end}.png", interlaced_png(pixels), exact)
    deep = pixels.astype(np.uint16) * 257
    yield AwkwardFile(f"{folder}/16 bits {end}.png", deep_png(deep), exact)
    deep_alpha = rgba.astype(np.uint16) * 257
    yield AwkwardFile(f"{folder}/16 bits and alpha {end}.png", deep_png(deep_alpha), with_alpha)
    yield AwkwardFile(f"{folder}/16 bits {end}.tif", deep_tiff(deep), exact)
    yield AwkwardFile(f"{folder}/16 bits and alpha {end}.tif", deep_tiff(deep_alpha), with_alpha)
    floating = deep_tiff((pixels / 255).astype(np.float32))
    yield AwkwardFile(f"{folder}/floating {end}.tif", floating, exact)
    key = tuple(map(int, pixels[0, 0]))
    content = saved(Image.fromarray(pixels), "PNG", transparency=key)
    yield AwkwardFile(f"{folder}/a transparent colour {end}.png", content, with_alpha)
    content = saved(of_mode(pixels, "L"), "PNG", transparency=int(grey(pixels)[0, 0]))
    shown = comes_out(np.dstack([grey(pixels)] * 3), tolerance=LOSSLESS, mode="RGBA")
    yield AwkwardFile(f"{folder}/a transparent grey {end}.png", content, shown)
    for soft in (False, True):
        image, options = with_hidden_palette_entry(pixels, soft=soft)
        name = f"{folder}/palette {'with alpha' if soft else 'with a hidden entry'} {end}.png"
        yield AwkwardFile(name, saved(image, "PNG", **options), replace(crude, mode="RGBA"))
    image, options = with_hidden_palette_entry(pixels, soft=False)
    hidden = replace(crude, mode="P", probes=())  # what is transparent has no colour in a GIF
    yield AwkwardFile(f"{folder}/hidden {end}.gif", saved(image, "GIF", **options), hidden)
    later = [Image.fromarray(255 - pixels)]
    for suffix in ("gif", "png", "webp", "tif"):
        options = {"lossless": True} if suffix == "webp" else {}
        first, name = Image.fromarray(pixels), f"{folder}/two {end}.{suffix}"
        file_format = format_of(suffix)
        content = saved(first, file_format, save_all=True, append_images=later, **options)
        yield AwkwardFile(name, content, replace(crude, mode="P") if suffix == "gif" else crude)


def pictures_of_every_orientation() -> Iterator[AwkwardFile]:
    upright = quarters(48, 32)
    expected = comes_out(upright, tolerance=LOSSY)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[_ORIENTATION] = orientation
        image = Image.fromarray(stored_for(upright, orientation))
        for suffix, options in _FOUR_FORMATS.items():
            content = saved(image, format_of(suffix), exif=exif, **options)
            yield AwkwardFile(f"orientations/{orientation}.{suffix}", content, expected)
    lying = Image.fromarray(stored_for(upright, 6))
    yield AwkwardFile("orientations/xmp.jpg", saved(lying, "JPEG", quality=95, xmp=_XMP), expected)
    yield AwkwardFile("orientations/xmp.webp", saved(lying, "WEBP", quality=95, xmp=_XMP), expected)
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    content = saved(lying, "AVIF", exif=exif, quality=95, subsampling="4:4:4")
    yield AwkwardFile("orientations/6.avif", content, expected)
    # One entry: Orientation as a text, where a number is due.
    entry = struct.pack("<HHI4s", _ORIENTATION, 2, 4, b"odd\0")
    strange = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    content = saved(Image.fromarray(upright), "JPEG", quality=95, exif=strange)
    yield AwkwardFile("orientations/against the rules.jpg", content, expected)


def pictures_with_profiles() -> Iterator[AwkwardFile]:
    pixels = quarters(48, 32)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    wide = rgb_profile(DISPLAY_P3_XY, srgb_curve)
    for suffix, options in _FOUR_FORMATS.items():
        for name, profile, stored, kind in (
            ("srgb", srgb, pixels, "own"),
            ("display p3", wide, in_display_p3(pixels), "srgb"),
            ("broken", b"no profile " * 20, pixels, "none"),
            ("meant for grey", grey_profile(2.2), pixels, "none"),
        ):
            options = {**options, "icc_profile": profile}
            file_format = format_of(suffix)
            content = saved(Image.fromarray(stored), file_format, **options)
            yield AwkwardFile(
                f"profiles/{name}.{suffix}",
                content,
                comes_out(pixels, tolerance=LOSSY, profile=kind),
            )
    # A gamma of 1 is light itself: half the light is 188 of 255 in sRGB.
    half = np.full((32, 48), 128, np.uint8)
    content = saved(Image.fromarray(half), "PNG", icc_profile=grey_profile(1.0))
    lit = np.full((32, 48, 3), 188, np.uint8)
    expected = comes_out(lit, tolerance=LOSSLESS, profile="srgb")
    yield AwkwardFile("profiles/grey.png", content, expected)
