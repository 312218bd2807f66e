"""Picture files: known by their content, bounded before they are decoded, upright and sRGB after.

Pillow decodes. What it leaves to its callers is done here: a bound on pixels that threads do not
share, one kind of error for every kind of damage, checksums, colours, and silence.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageFile, UnidentifiedImageError, features

from nst_core.errors import MediaError
from nst_core.file_kinds import kind_of_content
from nst_core.pictures.color_profiles import to_srgb
from nst_core.pictures.cut_pictures import decoded_though_cut, filled
from nst_core.pictures.exif import exif_of, turn_upright
from nst_core.pictures.formats import MAX_PIXELS, PICTURE_FORMATS
from nst_core.pictures.png_chunks import ReadablePng, check_pixels, is_png, readable_png
from nst_core.pictures.png_colors import PngColors, in_standard_range, png_colors
from nst_core.pictures.unusual_tiff import UnusualTiff, is_tiff

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
BECAME_EIGHT = "bits became 8"
"""How the note ends that says so."""
_PNG_DEPTH = 24
_HEAD_BYTES = 16
_TIFF_BITS, _TIFF_PLANES, _TIFF_TILE_WIDTH, _TIFF_TILE_LENGTH = 258, 284, 322, 323
_SEPARATE = 2


@dataclass(frozen=True, repr=False)
class DecodedPicture:
    """A picture as it is to be seen, and what its file said beside the pixels."""

    image: Image.Image
    """RGB or RGBA, 8 bits, sRGB, upright."""
    exif: Image.Exif
    """As the file has it, except that the orientation is gone."""
    icc_profile: bytes | None
    """The profile of ``image``: one of sRGB, or none."""
    is_converted: bool
    """Whether the file's own profile was another."""
    dpi: tuple[float, float] | None
    notes: tuple[str, ...]
    """What a user should know of what was left out, each a few words."""

    def __repr__(self) -> str:
        return f"DecodedPicture({self.image.mode} {self.image.width}x{self.image.height})"


def pixels_of(content: bytes, *, name: str, max_pixels: int | None = None) -> int:
    """Return width times height as the header says; nothing is decoded.

    Raises MediaError, also for more than ``max_pixels`` where they are given.
    """
    with _one_kind_of_error(name):
        if is_png(content):
            content = readable_png(content).content
        try:
            opened = _open(content)
        except Exception:  # WebP does not open without its last byte
            if content[:4] != b"RIFF":
                raise
            opened = _open(filled(content))
        if max_pixels is not None:
            _check_bounds(opened, max_pixels)
        width, height = opened.size
        return int(width * height)


def decode(
    content: bytes,
    *,
    name: str,
    max_side: int | None = None,
    shrink_towards: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> DecodedPicture:
    """Decode the first picture of a file.

    ``max_side`` shrinks the longer side to that many pixels, if it is longer. ``shrink_towards``
    lets a JPEG decode at a half, quarter or eighth, as long as no side falls below that many.
    Raises MediaError, one line that begins with ``name``; also for more than ``max_pixels``.
    """
    with _one_kind_of_error(name):
        png = readable_png(content) if is_png(content) else None
        notes = () if png is None else (*png.notes, *check_pixels(png))
        stored = _stored(
            content if png is None else png.content,
            lambda opened: _sufficient(opened, max_side, shrink_towards),
            max_pixels,
        )
        image = stored.image
        own, colors = _colors(image, png)
        turn_upright(image)
        if colors.hdr is not None:
            image = in_standard_range(image, colors.hdr)
        rgb, profile, colour_notes = to_srgb(image, own)
        if colors.is_described and profile == own:
            profile = None  # the same colours as sRGB, which need not be described
        if max_side is not None and max(rgb.size) > max_side:
            rgb.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        return DecodedPicture(
            image=rgb,
            exif=exif_of(image),
            icc_profile=profile,
            is_converted=profile is not None and profile != own,
            dpi=_dpi(image),
            notes=(*notes, *stored.notes, *colors.notes, *colour_notes),
        )


def is_picture(path: Path) -> bool:
    """Say whether a file begins as a picture that is read here; Pillow knows films, too."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            if is_png(head) or is_tiff(head):
                return True
            file.seek(0)
            return bool(Image.open(file, formats=_formats(head)))
    except Exception:  # Pillow lets nearly any kind out of a damaged file
        return False


@cache
def heif_is_possible() -> bool:
    """Say whether HEIC can be read and written: it takes the optional package pillow-heif.

    From the first call on Pillow can do it, then.
    """
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener(thumbnails=False)
    return True


@dataclass(frozen=True)
class _Stored:
    """The first picture of a file, as it is stored."""

    image: Image.Image
    notes: tuple[str, ...]


def _stored(
    content: bytes, sufficient: Callable[[ImageFile.ImageFile], int | None], max_pixels: int
) -> _Stored:
    """Decode, also where only the end of the file is missing, and no pixels."""

    def decode_whole(content: bytes) -> _Stored:
        opened = _open(content)
        _check_bounds(opened, max_pixels)
        notes = _notes_of(opened, content)
        if isinstance(opened, UnusualTiff):
            return _Stored(opened.load(), notes)
        return _Stored(_loaded(opened, content, sufficient(opened)), notes)

    try:
        return decode_whole(content)
    except MediaError:
        raise
    except Exception:  # Pillow lets nearly any kind out of a damaged file
        cut = decoded_though_cut(content, decode_whole)
        if cut is None:
            raise
        return _Stored(cut.image, (*cut.notes, "the end of the file is missing"))


def _colors(image: Image.Image, png: ReadablePng | None) -> tuple[bytes | None, PngColors]:
    """Return the profile that the pixels are meant in, and what a PNG says beside it."""
    if png is None:
        return image.info.get("icc_profile"), PngColors()
    colors = png_colors(png)
    return colors.profile, colors


def _open(content: bytes) -> ImageFile.ImageFile | UnusualTiff:
    """Read the header."""
    if not content:
        raise MediaError("the file is empty")
    is_heif = _is_heif(content)
    formats = _formats(content)
    try:
        image = Image.open(io.BytesIO(content), formats=formats)
    except UnidentifiedImageError:
        if is_heif and "HEIF" not in formats:
            raise MediaError("HEIC needs an optional package: pip install pillow-heif") from None
        if content[4:12] in (b"ftypavif", b"ftypavis") and not features.check("avif"):
            raise MediaError("AVIF needs a Pillow that has it: pip install -U pillow") from None
        if is_tiff(content):
            return UnusualTiff(content)
        if kind_of_content(content) == "video":
            raise MediaError("a video, and a picture is needed") from None
        raise
    if image.format == "TIFF" and _pillow_mixes_planes(image):
        return UnusualTiff(content)
    return image


def _formats(content: bytes) -> list[str]:
    """Nothing but these: Pillow would start Ghostscript for a PostScript file of any name."""
    formats = set(PICTURE_FORMATS.values()) - {"HEIF"}
    if _is_heif(content) and heif_is_possible():
        formats.add("HEIF")
    return sorted(formats)


def _is_heif(content: bytes) -> bool:
    return content[4:8] == b"ftyp" and content[8:12] in _HEIF_BRANDS


def _pillow_mixes_planes(image: ImageFile.ImageFile) -> bool:
    return _tiff_tag(image, _TIFF_PLANES) == _SEPARATE and _tiff_tag(image, _TIFF_BITS) > 8


def _check_bounds(opened: ImageFile.ImageFile | UnusualTiff, max_pixels: int) -> None:
    width, height = opened.size
    if width < 1 or height < 1:
        raise MediaError(f"{width}x{height} pixels: there is nothing in it")
    tile = 0
    if not isinstance(opened, UnusualTiff) and opened.format == "TIFF":
        tile = _tiff_tag(opened, _TIFF_TILE_WIDTH) * _tiff_tag(opened, _TIFF_TILE_LENGTH)
    if max(width * height, tile) > max_pixels:
        what = f"{width}x{height} pixels" if width * height > max_pixels else f"a tile of {tile}"
        raise MediaError(
            f"{what}, where at most {max_pixels} are read; "
            "shrink it or, where a command has it, raise the bound with --max-pixels"
        )


def _tiff_tag(image: ImageFile.ImageFile, tag: int) -> int:
    value = getattr(image, "tag_v2", {}).get(tag, 0)
    return max(value) if isinstance(value, tuple) else int(value)


def _notes_of(opened: ImageFile.ImageFile | UnusualTiff, content: bytes) -> tuple[str, ...]:
    notes = []
    if isinstance(opened, UnusualTiff):
        return (f"more than 8 {BECAME_EIGHT}",)
    depth = 8
    if opened.format == "PNG":
        depth = content[_PNG_DEPTH]
    elif opened.format == "TIFF":
        depth = _tiff_tag(opened, _TIFF_BITS)
    elif opened.format == "HEIF":
        depth = opened.info.get("bit_depth", 8)
    if depth > 8:
        notes.append(f"{depth} {BECAME_EIGHT}")
    count = _number_of_frames(opened, content)
    if count > 1:
        what = "pages" if opened.format == "TIFF" else "frames"
        notes.append(f"of {count} {what} only the first is taken")
    return tuple(notes)


def _number_of_frames(opened: ImageFile.ImageFile, content: bytes) -> int:
    if opened.format == "MPO":
        return 1  # the others are previews and maps, which no viewer shows
    if opened.format in ("GIF", "TIFF"):  # counting moves within the file
        opened = Image.open(io.BytesIO(content), formats=[opened.format])
    try:
        return int(getattr(opened, "n_frames", 1))
    except Exception:  # a later frame is damaged, which costs the first one nothing
        return 1


def _sufficient(
    image: ImageFile.ImageFile, max_side: int | None, shrink_towards: int | None
) -> int | None:
    """Return how many pixels the shorter side must keep while decoding."""
    if shrink_towards is not None or max_side is None:
        return shrink_towards
    # Twice what is wanted, as Pillow's own thumbnails: the rest is for a better filter.
    return max(1, 2 * max_side * min(image.size) // max(image.size))


def _loaded(image: ImageFile.ImageFile, content: bytes, sufficient: int | None) -> Image.Image:
    if sufficient is not None and image.format in ("JPEG", "MPO"):
        image.draft(image.mode, (sufficient, sufficient))
    image.load()
    key = image.info.get("transparency")
    if image.format == "PNG" and content[_PNG_DEPTH] == 16 and isinstance(key, tuple):
        # Pillow keeps the high bytes of the pixels, but both of the colour that is transparent.
        image.info["transparency"] = tuple(value >> 8 for value in key)
    return image


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        horizontal, vertical = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    is_sane = 1 <= horizontal < 65_536 and 1 <= vertical < 65_536
    return (horizontal, vertical) if is_sane else None


@contextmanager
def _one_kind_of_error(name: str) -> Iterator[None]:
    try:
        yield
    except MediaError as error:
        raise MediaError(f"{name}: {error}") from error.__cause__
    except UnidentifiedImageError as error:
        raise MediaError(
            f"{name}: not a picture in a known format, or its header is damaged"
        ) from error
    except Exception as error:  # Pillow lets nearly any kind out of a damaged file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MediaError(f"{name}: cannot be read ({reason})") from error
