"""Pictures in folders: what to read, what to write, and how both are done."""

from __future__ import annotations

import glob
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nst_core.errors import InputError, MediaError
from nst_core.pictures import PICTURE_SUFFIXES, read_upright

OutputFormat = Literal["same", "png", "jpeg", "webp"]

_SUFFIX_OF_FORMAT = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
_PILLOW_FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".gif": "GIF",
}
_WITH_ALPHA = frozenset({"PNG", "WEBP", "TIFF"})
_LARGEST_EXIF = 65_000
"""JPEG has no room for more."""
_WITH_METADATA = frozenset({"JPEG", "PNG", "WEBP", "TIFF"})


@dataclass(frozen=True)
class ImageTask:
    """One picture to stylize: where from, where to. Both paths are absolute."""

    source: Path
    output: Path
    quality: int
    max_side: int | None
    source_state: tuple[int, int]
    """Size in bytes and time of change in nanoseconds, when the job was planned."""


@dataclass(frozen=True, repr=False)
class Picture:
    """A decoded picture, upright."""

    rgb: NDArray[np.uint8]
    """H x W x 3."""
    alpha: Image.Image | None
    exif: bytes
    icc_profile: bytes | None

    def __repr__(self) -> str:
        height, width, _ = self.rgb.shape
        return f"Picture({width}x{height}{', alpha' if self.alpha else ''})"


def find_images(sources: Sequence[str]) -> Iterator[tuple[Path, Path]]:
    """Yield every picture with its place in the output tree, in sorted order for each source.

    A folder gives all pictures below it, at their places relative to it; a file or a match of a
    glob gives itself. Raises InputError for a source that does not exist or holds no pictures.
    """
    for source in sources:
        path = Path(source)
        if path.is_dir():
            found = sorted(_pictures_below(path))
            if not found:
                raise InputError(
                    f"{source}: no pictures in this folder ({', '.join(sorted(PICTURE_SUFFIXES))})"
                )
            yield from ((file, file.relative_to(path)) for file in found)
        elif path.is_file():
            yield path, Path(path.name)
        else:
            matches = sorted(Path(name) for name in glob.glob(source, recursive=True))  # noqa: PTH207
            files = [match for match in matches if match.is_file()]
            if not files:
                raise InputError(f"{source}: no such file or folder, and no match as a glob")
            yield from ((file, Path(file.name)) for file in files)


def output_path(relative: Path, output_format: OutputFormat) -> Path:
    """Where a picture goes in the output folder; the name stays, the ending may not.

    Raises InputError for a name whose ending says no format.
    """
    if output_format == "same":
        if relative.suffix.lower() not in _PILLOW_FORMATS:
            raise InputError(
                f"{relative}: no format is known by the ending {relative.suffix or '(none)'}; "
                "choose one with --format png"
            )
        return relative
    return relative.with_suffix(_SUFFIX_OF_FORMAT[output_format])


def read_picture(path: Path, *, max_side: int | None = None) -> Picture:
    """Read and turn upright; ``max_side`` shrinks the longer side. Raises MediaError."""
    image = read_upright(path)
    if max_side is not None and max(image.size) > max_side:
        image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    return Picture(
        rgb=np.asarray(image.convert("RGB"), dtype=np.uint8),
        alpha=image.getchannel("A") if image.mode == "RGBA" else None,
        exif=_exif_bytes(image),
        icc_profile=image.info.get("icc_profile"),
    )


def write_picture(path: Path, rgb: NDArray[np.uint8], original: Picture, *, quality: int) -> None:
    """Write whole, in the format of the path's ending; alpha and EXIF go along where they can.

    ``rgb`` may be larger than the original: alpha is then enlarged to its size (bicubic).
    """
    image = Image.fromarray(rgb)
    file_format = _PILLOW_FORMATS[path.suffix.lower()]
    if original.alpha is not None and file_format in _WITH_ALPHA:
        alpha = original.alpha
        if alpha.size != image.size:
            alpha = alpha.resize(image.size, Image.Resampling.BICUBIC)
        image.putalpha(alpha)
    options: dict[str, Any] = {}
    if file_format in ("JPEG", "WEBP"):
        options["quality"] = quality
    if file_format == "JPEG":
        options["subsampling"] = 0 if quality >= 90 else 2  # brush strokes are coloured edges
    if file_format in _WITH_METADATA:
        options["icc_profile"] = original.icc_profile
        if 0 < len(original.exif) <= _LARGEST_EXIF:
            options["exif"] = original.exif
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        image.save(temporary, format=file_format, **options)
        temporary.replace(path)
    except (OSError, ValueError) as error:
        raise MediaError(f"{path}: cannot be written ({error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def _exif_bytes(image: Image.Image) -> bytes:
    """EXIF as it can be written again; what a camera wrote against the rules is left out."""
    exif = image.getexif()
    try:
        return exif.tobytes() if len(exif) else b""
    except (struct.error, AttributeError, TypeError, ValueError):
        return b""


def _pictures_below(folder: Path) -> Iterator[Path]:
    """Links to folders are not followed: they may loop."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.suffix.lower() in PICTURE_SUFFIXES:
                yield path
