"""Picture files of every mode and format, as bytes, beside the colours that they must show."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.ExifTags import GPS, IFD, Base

from tests.kit.media import moving_picture

SUFFIXES = (".jpg", ".png", ".webp", ".tif", ".bmp", ".gif", ".avif", ".heic")
"""One for each format; HEIC needs a package of its own."""

Pixels = NDArray[np.uint8]

_QUARTERS = np.array([[(200, 60, 50), (60, 170, 80)], [(50, 80, 190), (220, 200, 90)]], np.uint8)
_HALF_OPAQUE = 160
_FORMATS = {"jpg": "JPEG", "jpe": "JPEG", "jfif": "JPEG", "tif": "TIFF", "heic": "HEIF"}
_TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[:, ::-1],
}
"""From the upright picture to the one that EXIF orientation N turns into it (EXIF 2.32, 4.6.4)."""


def quarters(width: int, height: int) -> Pixels:
    """H x W x 3: four quarters of four colours, so that every turn of it is another picture."""
    rows = (np.arange(height) >= (height + 1) // 2).astype(int)
    columns = (np.arange(width) >= (width + 1) // 2).astype(int)
    picture: Pixels = _QUARTERS[rows][:, columns]
    return picture


def stored_for(upright: Pixels, orientation: int) -> Pixels:
    """What a file holds that shows ``upright`` by its orientation."""
    return np.ascontiguousarray(_TURNS[orientation](upright))


def grey(pixels: Pixels) -> Pixels:
    """H x W: ITU-R BT.601 luma, as Pillow rounds it."""
    return np.asarray(Image.fromarray(pixels).convert("L"))


def half_opaque(pixels: Pixels) -> Pixels:
    """H x W: the left half opaque, the rest partly."""
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[:, pixels.shape[1] // 2 :] = _HALF_OPAQUE
    return alpha


def photo(width: int = 96, height: int = 64) -> Image.Image:
    """Gradients and a square."""
    return Image.fromarray(moving_picture(0, width, height))


def reopened(content: bytes) -> Image.Image:
    """Decode by Pillow alone."""
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def camera_exif() -> Image.Exif:
    """As a camera lying on its side writes it, with a time and a place."""
    exif = Image.Exif()
    exif[Base.Orientation], exif[Base.Artist] = 6, "Hokusai, 北斎".encode()
    exif[Base.StripOffsets] = 4711  # of a TIFF that is no more
    exif.get_ifd(IFD.Exif).update(
        {
            Base.DateTimeOriginal: "1831:01:01 12:00:00",
            Base.ColorSpace: 0xFFFF,
            Base.ExifImageWidth: 4000,
        }
    )
    exif.get_ifd(IFD.GPSInfo).update({GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: (35.0, 21.0, 5.5)})
    return exif


def format_of(suffix: str) -> str:
    """Pillow's name of the format of an ending without its dot."""
    return _FORMATS.get(suffix, suffix.upper())


def saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """Encode."""
    file = io.BytesIO()
    image.save(file, format=file_format, **options)
    return file.getvalue()


def of_mode(pixels: Pixels, mode: str) -> Image.Image:
    """The pixels in a mode of Pillow's; those with alpha get ``half_opaque``."""
    image = Image.fromarray(pixels)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(half_opaque(pixels)))
        return image.convert(mode)
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        transform = ImageCms.buildTransform(*profiles, "RGB", "LAB")
        return transform.apply(image)
    if mode.startswith("I;16"):
        deep = grey(pixels).astype(np.uint16) * 257
        return Image.fromarray(deep.astype(">u2") if mode == "I;16B" else deep)
    if mode == "I":
        return Image.fromarray(grey(pixels).astype(np.int32) * 257)
    if mode == "F":
        return Image.fromarray(grey(pixels).astype(np.float32) / 255)
    if mode == "P":
        return image.quantize(16)
    return image.convert(mode)


def with_hidden_palette_entry(pixels: Pixels, *, soft: bool) -> tuple[Image.Image, dict[str, Any]]:
    """A palette whose first entry is transparent, wholly or partly, with options to save it."""
    image = of_mode(pixels, "P")
    entries = len(image.getpalette() or ()) // 3
    return image, {"transparency": bytes([_HALF_OPAQUE] + [255] * (entries - 1)) if soft else 0}


def deep_tiff(samples: NDArray[Any]) -> bytes:
    """A TIFF of 16-bit or floating-point RGB(A) or grey, written by OpenCV."""
    return _by_opencv(".tiff", samples)


def deep_png(samples: NDArray[np.uint16]) -> bytes:
    """A PNG of 16-bit RGB(A), written by OpenCV."""
    return _by_opencv(".png", samples)


def interlaced_png(pixels: Pixels) -> bytes:
    """An RGB PNG in Adam7 order (PNG 1.2, 2.6)."""
    height, width, _ = pixels.shape
    passes = (
        *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)),
        *((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)),
    )
    rows = [
        b"\0" + row.tobytes()
        for top, left, down, right in passes
        for row in pixels[top::down, left::right]
        if row.size
    ]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return png_of((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks, with right checksums."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def with_sizes_in_header(content: bytes, width: int, height: int) -> bytes:
    """A picture whose header says other sizes than its data has: PNG, BMP, GIF, JPEG or WebP."""
    if content.startswith(b"\x89PNG"):
        header = content[12:16] + struct.pack(">II", width, height) + content[24:29]
        return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]
    if content.startswith(b"BM"):
        return content[:18] + struct.pack("<ii", width, height) + content[26:]
    if content.startswith(b"GIF"):
        return content[:6] + struct.pack("<HH", width, height) + content[10:]
    if content.startswith(b"\xff\xd8"):
        frame = content.index(b"\xff\xc0") + 5
        return content[:frame] + struct.pack(">HH", height, width) + content[frame + 4 :]
    raise ValueError("not a format that this can change")


def _by_opencv(suffix: str, samples: NDArray[Any]) -> bytes:
    if samples.ndim == 3:
        samples = samples[..., [2, 1, 0, 3][: samples.shape[2]]]
    done, encoded = cv2.imencode(suffix, samples)
    assert done
    return encoded.tobytes()
