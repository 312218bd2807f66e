"""Pictures of 16 bits: PNGs and TIFFs whose pixels OpenCV reads, and files of them written.

Pillow, which decodes all others, gives 8 bits of them. Those decide what is seen: the deep pixels
are taken where they are the same picture, neither converted, nor turned, nor mended.
"""

from __future__ import annotations

import io
import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.Image import Resampling
from PIL.TiffImagePlugin import ImageFileDirectory_v2

Codes = NDArray[np.uint16]
DEEP_FORMATS = frozenset({"PNG", "TIFF"})
"""Formats that are written with 16 bits where the pixels have them."""
_SAME_PICTURE = 2
"""Codes of 8 bits by which one picture, rounded and resized in two ways, may differ."""
_LEVEL = 1
"""Level of zlib; of 16 bits hardly more than the high bytes can be compressed."""
_PNG_HEAD = 33
"""Bytes up to the end of IHDR."""
_EXTRA_SAMPLES = 338
_DEFLATE, _DIFFERENCES, _RGB, _STRAIGHT, _INCH, _UNDEFINED = 8, 2, 2, 2, 2, 7
"""Values of TIFF's tags, and a type of them."""


def deep_pixels(content: bytes, eight: Image.Image) -> tuple[Codes, Codes | None] | None:
    """Return the RGB and the alpha of a PNG or TIFF; None where they are not those of ``eight``.

    ``eight`` is the same picture as RGB or RGBA of 8 bits, upright, in sRGB, maybe smaller.
    """
    # It would print what becomes 8 bits here.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        encoded = np.frombuffer(content, np.uint8)
        pixels: NDArray[Any] | None = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if pixels is None or pixels.dtype != np.uint16:
        return None
    planes: Codes = np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else _as_rgb(pixels)
    if planes.shape[1::-1] != eight.size:
        planes = resized(planes, eight.size)
    if not _is_same(planes, np.asarray(eight)):
        return None
    return np.ascontiguousarray(planes[..., :3]), planes[..., 3] if planes.shape[2] == 4 else None


def resized(planes: Codes, size: tuple[int, int], how: Resampling = Resampling.LANCZOS) -> Codes:
    """Resize H x W x C to a (width, height), as Pillow does with 8 bits."""
    done = [
        np.asarray(Image.fromarray(planes[..., channel].astype(np.float32)).resize(size, how))
        for channel in range(planes.shape[2])
    ]
    return np.stack(done, axis=-1).round().clip(0, 65535).astype(np.uint16)


def _as_rgb(pixels: NDArray[Any]) -> NDArray[Any]:
    """Bring H x W x 3 or 4 into RGB's order from OpenCV's, or the other way."""
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


def _is_same(planes: Codes, eight: NDArray[np.uint8]) -> bool:
    if planes.shape != eight.shape:
        return False
    return bool(np.abs((planes >> 8).astype(np.int16) - eight).max() <= _SAME_PICTURE)


def encode_png(pixels: Codes, beside: bytes) -> bytes:
    """Return a PNG of H x W x 3 or 4 with the chunks before the pixels of another, ``beside``."""
    done, encoded = cv2.imencode(".png", _as_rgb(pixels), [cv2.IMWRITE_PNG_COMPRESSION, _LEVEL])
    if not done:
        raise ValueError("OpenCV does not encode it")
    content = encoded.tobytes()
    start = beside.index(b"IDAT") - 4
    return content[:_PNG_HEAD] + beside[_PNG_HEAD:start] + content[_PNG_HEAD:]


def encode_tiff(
    pixels: Codes,
    directory: Image.Exif,
    *,
    profile: bytes | None,
    dpi: tuple[float, float] | None,
) -> bytes:
    """Return a TIFF of H x W x 3 or 4 with the tags of ``directory``; its differences deflated."""
    height, width, channels = pixels.shape
    differences = pixels.copy()
    differences[:, 1:] -= pixels[:, :-1]
    data = zlib.compress(differences.astype("<u2").tobytes(), _LEVEL)
    tags = ImageFileDirectory_v2()
    for tag, value in directory.items():
        tags[tag] = directory.get_ifd(tag) if tag in (IFD.Exif, IFD.GPSInfo) else value
    tags[Base.ImageWidth], tags[Base.ImageLength] = width, height
    tags[Base.BitsPerSample], tags[Base.SamplesPerPixel] = (16,) * channels, channels
    tags[Base.Compression], tags[Base.Predictor] = _DEFLATE, _DIFFERENCES
    tags[Base.PhotometricInterpretation], tags[Base.PlanarConfiguration] = _RGB, 1
    # Pillow adds to the offset where what it writes before the strip ends.
    tags[Base.StripOffsets], tags[Base.StripByteCounts] = 0, len(data)
    tags[Base.RowsPerStrip] = height
    if channels == 4:
        tags[_EXTRA_SAMPLES] = _STRAIGHT
    if dpi is not None:
        tags[Base.XResolution], tags[Base.YResolution], tags[Base.ResolutionUnit] = *dpi, _INCH
    if profile:
        tags.tagtype[Base.InterColorProfile] = _UNDEFINED
        tags[Base.InterColorProfile] = profile
    file = io.BytesIO()
    tags.save(file)
    return file.getvalue() + data
