"""Picture files as bytes, to pixels and back: what a picture keeps on its way through a network."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image, features
from PIL.ExifTags import IFD

from nst_core.color.codes import Pixels, with_dtype
from nst_core.errors import MediaError
from nst_core.pictures.decoding import BECAME_EIGHT, decode, heif_is_possible
from nst_core.pictures.deep_pixels import (
    DEEP_FORMATS,
    deep_pixels,
    encode_png,
    encode_tiff,
    resized,
)
from nst_core.pictures.exif import as_read, kept_exif
from nst_core.pictures.formats import MAX_PIXELS, PICTURE_FORMATS
from nst_core.pictures.png_chunks import is_png
from nst_core.pictures.unusual_tiff import is_tiff

_WITH_ALPHA = frozenset({"PNG", "WEBP", "TIFF", "AVIF", "HEIF", "GIF"})
_WITH_EXIF = frozenset({"JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"})
_WITH_PROFILE = _WITH_EXIF
_WITH_DPI = frozenset({"JPEG", "PNG", "TIFF", "BMP"})
_LARGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383, "GIF": 65_535, "AVIF": 65_536, "HEIF": 16_384}
_LARGEST_JPEG_EXIF = 65_000
_LARGEST_JPEG_PROFILE = 255 * 65_519
_FINE_QUALITY = 90
"""From here on colour keeps its full resolution: brush strokes are coloured edges."""
_PNG_LEVEL = 3
"""Half the time of Pillow's default, for 5 % more bytes (measured on paintings)."""
_PREDICTOR, _DIFFERENCES = 317, 2
"""A tag of TIFF: LZW of the differences between pixels takes a third less than of pixels."""
_HALF_OPAQUE = 128
_TRANSPARENT_INDEX = 255


@dataclass(frozen=True, repr=False)
class Picture:
    """A decoded picture, upright, in sRGB, with what its file said beside the pixels."""

    rgb: Pixels
    """H x W x 3."""
    alpha: Pixels | None = None
    """H x W, the largest code is opaque; not multiplied into ``rgb``."""
    exif: bytes = b""
    """Without orientation, size and thumbnail; empty for none."""
    icc_profile: bytes | None = None
    """A profile of sRGB, or none."""
    dpi: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    """What a user should know of how it was read, each a few words."""

    def __post_init__(self) -> None:
        is_known = self.rgb.dtype in (np.uint8, np.uint16)
        if self.rgb.ndim != 3 or self.rgb.shape[2] != 3 or not is_known:
            raise ValueError(f"rgb is {self.rgb.dtype} {self.rgb.shape}, not uint8 H x W x 3")
        if self.alpha is not None and self.alpha.shape != self.rgb.shape[:2]:
            raise ValueError(f"alpha is {self.alpha.shape}, beside rgb of {self.rgb.shape}")

    def __repr__(self) -> str:
        height, width, _ = self.rgb.shape
        return f"Picture({width}x{height}{', alpha' if self.alpha is not None else ''})"


def decode_picture(
    content: bytes,
    *,
    name: str,
    max_side: int | None = None,
    max_pixels: int = MAX_PIXELS,
    deep: bool = False,
) -> Picture:
    """Read the first picture of a file; ``max_side`` shrinks the longer side, if it is longer.

    With ``deep``, pixels of PNGs and TIFFs of 16 bits are uint16; those that are converted, turned
    or mended have 8 bits' values, which a note says. Raises MediaError, one line that begins with
    ``name``; also for more than ``max_pixels``.
    """
    decoded = decode(content, name=name, max_side=max_side, max_pixels=max_pixels)
    image = decoded.image
    rgb: Pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"), dtype=np.uint8)
    alpha: Pixels | None = np.asarray(image.getchannel("A")) if image.mode == "RGBA" else None
    notes = decoded.notes
    lost = [note for note in notes if note.endswith(BECAME_EIGHT)]
    if deep and lost and (is_png(content) or is_tiff(content)):
        notes = tuple(note for note in notes if note not in lost)
        if found := deep_pixels(content, image):
            rgb, alpha = found
        else:
            rgb = with_dtype(rgb, np.dtype(np.uint16))
            what = (
                "colours converted" if decoded.is_converted else "pixels turned, mended or floats"
            )
            notes += (f"{lost[0]} on reading ({what}); its output has 16",)
    return Picture(
        rgb=rgb,
        alpha=alpha,
        exif=kept_exif(decoded.exif, is_converted=decoded.is_converted),
        icc_profile=decoded.icc_profile,
        dpi=decoded.dpi,
        notes=notes,
    )


def can_write(suffix: str) -> bool:
    """Say whether this installation writes the format of an ending such as ``.jpg``."""
    file_format = PICTURE_FORMATS.get(suffix.lower())
    if file_format == "HEIF":
        return heif_is_possible()
    if file_format == "AVIF":
        return bool(features.check("avif"))
    return file_format is not None


def lost_in(original: Picture, suffix: str) -> tuple[str, ...]:
    """Return what the format of an ending cannot hold of a picture, each a few words."""
    file_format = PICTURE_FORMATS[suffix.lower()]
    lost = []
    if original.alpha is not None and file_format not in _WITH_ALPHA:
        lost.append("its transparency")
    if original.exif and not _holds_exif(file_format, original.exif):
        lost.append("its EXIF")
    return tuple(lost)


def holds_deep(suffix: str) -> bool:
    """Say whether 16 bits are written into a file of this ending."""
    return PICTURE_FORMATS.get(suffix.lower()) in DEEP_FORMATS


def encode_picture(rgb: Pixels, original: Picture, *, suffix: str, quality: int) -> bytes:
    """Return a file in the format of the ending, with the original's alpha, EXIF and profile.

    ``rgb`` (H x W x 3, sRGB) may be larger than the original: alpha is then enlarged to its size
    (bicubic). Pixels of uint16 keep their bits in PNG and TIFF. ``quality`` is 1..100 for the
    formats that lose something. Equal pixels give equal bytes, however many processors there are.
    Raises MediaError where the format cannot hold it.
    """
    file_format = _writable_format(suffix)
    height, width, _ = rgb.shape
    if max(width, height) > _LARGEST_SIDE.get(file_format, 2**31):
        raise MediaError(
            f"{width}x{height} pixels do not fit into {file_format}, whose sides have at most "
            f"{_LARGEST_SIDE[file_format]}; write another format or shrink it with --max-side"
        )
    is_deep = rgb.dtype == np.uint16 and file_format in DEEP_FORMATS
    try:
        if is_deep:
            return _encoded_deep(rgb, original, file_format)
        return _encoded(rgb, original, file_format, quality)
    except Exception as error:  # the encoders behind Pillow have their own kinds of errors
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MediaError(f"cannot be written as {file_format} ({reason})") from error


def _encoded(rgb: Pixels, original: Picture, file_format: str, quality: int) -> bytes:
    image = Image.fromarray(np.ascontiguousarray(with_dtype(rgb, np.dtype(np.uint8))))
    alpha = _alpha(original, image.size) if file_format in _WITH_ALPHA else None
    options = _options(file_format, quality) | _metadata(file_format, original)
    if file_format == "GIF":
        image, options = _with_palette(image, alpha)
    elif alpha is not None:
        image.putalpha(alpha)
    file = io.BytesIO()
    image.save(file, format=file_format, **options)
    return file.getvalue()


def _encoded_deep(rgb: Pixels, original: Picture, file_format: str) -> bytes:
    height, width, _ = rgb.shape
    pixels = with_dtype(rgb, np.dtype(np.uint16))
    if original.alpha is not None:
        alpha = with_dtype(original.alpha, np.dtype(np.uint16))[..., None]
        alpha = (
            alpha
            if alpha.shape[:2] == (height, width)
            else resized(alpha, (width, height), Image.Resampling.BICUBIC)
        )
        pixels = np.concatenate((pixels, alpha), axis=2)
    if file_format == "PNG":
        dot = replace(original, rgb=np.zeros((1, 1, 3), np.uint8), alpha=None)
        return encode_png(pixels, beside=_encoded(dot.rgb, dot, "PNG", quality=100))
    profile, dpi = original.icc_profile, original.dpi
    return encode_tiff(pixels, _directory(original.exif), profile=profile, dpi=dpi)


def _writable_format(suffix: str) -> str:
    if not can_write(suffix):
        known = ", ".join(sorted(ending for ending in PICTURE_FORMATS if can_write(ending)))
        raise MediaError(f"no picture can be written as {suffix or '(no ending)'}; try {known}")
    return PICTURE_FORMATS[suffix.lower()]


def _options(file_format: str, quality: int) -> dict[str, Any]:
    fine = quality >= _FINE_QUALITY
    options: dict[str, dict[str, Any]] = {
        # Baseline: optimised tables and progressive scans cost 3 and 6 times the time.
        "JPEG": {"quality": quality, "subsampling": "4:4:4" if fine else "4:2:0"},
        "WEBP": {"quality": quality},
        # The number of threads and tiles would follow the machine, and the bytes follow them.
        "AVIF": {
            "quality": quality,
            "subsampling": "4:4:4" if fine else "4:2:0",
            "max_threads": 1,
            "autotiling": False,
        },
        "HEIF": {"quality": quality, "chroma": 444 if fine else 420},
        "PNG": {"compress_level": _PNG_LEVEL},
    }
    return options.get(file_format, {})


def _metadata(file_format: str, original: Picture) -> dict[str, Any]:
    """Every key is given, so that Pillow does not look for others in the picture itself."""
    found: dict[str, Any] = {}
    if file_format in _WITH_PROFILE:
        profile = original.icc_profile
        fits = profile is None or len(profile) <= _LARGEST_JPEG_PROFILE
        found["icc_profile"] = profile if fits else None
    if file_format == "TIFF":
        found |= _tiff_options(original.exif)
    elif original.exif and _holds_exif(file_format, original.exif):
        found["exif"] = original.exif
    if original.dpi is not None and file_format in _WITH_DPI:
        found["dpi"] = original.dpi
    return found


def _tiff_options(exif: bytes) -> dict[str, Any]:
    directory = _directory(exif)
    if IFD.Exif in directory or IFD.GPSInfo in directory:
        return {"exif": directory}  # uncompressed: libtiff would not write the directories below
    directory[_PREDICTOR] = _DIFFERENCES
    return {"compression": "tiff_lzw", "exif": directory}


def _directory(exif: bytes) -> Image.Exif:
    """EXIF has to be part of a TIFF's own directory."""
    directory = Image.Exif()
    directory.load(exif)
    for tag, value in list(directory.items()):
        directory[tag] = as_read(value)
    photograph = directory.get_ifd(IFD.Exif)
    if IFD.Interop in photograph:
        photograph[IFD.Interop] = directory.get_ifd(IFD.Interop)  # in place of its old offset
    return directory


def _holds_exif(file_format: str, exif: bytes) -> bool:
    return file_format in _WITH_EXIF and (file_format != "JPEG" or len(exif) <= _LARGEST_JPEG_EXIF)


def _alpha(original: Picture, size: tuple[int, int]) -> Image.Image | None:
    if original.alpha is None:
        return None
    alpha = Image.fromarray(with_dtype(original.alpha, np.dtype(np.uint8)))
    return alpha if alpha.size == size else alpha.resize(size, Image.Resampling.BICUBIC)


def _with_palette(
    image: Image.Image, alpha: Image.Image | None
) -> tuple[Image.Image, dict[str, Any]]:
    """256 colours, dithered; or 255 and one that is transparent: a GIF has no half of it."""
    colours = 256 if alpha is None else _TRANSPARENT_INDEX
    palette = image.quantize(colours, method=Image.Quantize.MEDIANCUT)
    dithered = image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    if alpha is None:
        return dithered, {}
    hidden = alpha.point(lambda opacity: 255 if opacity < _HALF_OPAQUE else 0)
    dithered.paste(_TRANSPARENT_INDEX, mask=hidden)
    return dithered, {"transparency": _TRANSPARENT_INDEX}
