"""EXIF: turning a picture upright, and what goes along to a picture made from it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from PIL import Image, ImageOps
from PIL.ExifTags import IFD, Base, Interop

_DESCRIPTIVE = frozenset(
    {
        *(Base.ImageDescription, Base.Make, Base.Model, Base.Software, Base.DateTime),
        *(Base.Artist, Base.HostComputer, Base.Copyright, Base.Rating, Base.RatingPercent),
        *(Base.XResolution, Base.YResolution, Base.ResolutionUnit),
        *(Base.XPTitle, Base.XPComment, Base.XPAuthor, Base.XPKeywords, Base.XPSubject),
    }
)
"""The rest of the first directory tells how the old file's pixels lay in it."""

_SRGB, _SRGB_INTEROP = 1, "R98"


def turn_upright(image: Image.Image) -> None:
    """Turn a loaded picture as its EXIF or XMP says. Malformed EXIF is ignored."""
    with suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)


def exif_of(image: Image.Image) -> Image.Exif:
    """Return the EXIF of a picture that is upright; none where it is malformed."""
    try:
        exif = image.getexif()
        if Base.Orientation in exif:
            del exif[Base.Orientation]
    except Exception:  # cameras break the rules in many ways
        return Image.Exif()
    return exif


def kept_exif(exif: Image.Exif, *, is_converted: bool) -> bytes:
    """Return EXIF for a picture of the same scene, without orientation, size and thumbnail.

    ``is_converted`` says that the pixels were of another colour space and are sRGB now. Returns
    nothing for EXIF against the rules that cannot be written again.
    """
    if not exif:
        return b""
    try:
        return _kept(exif, is_converted=is_converted)
    except Exception:  # cameras find new ways of breaking the rules, and Pillow of failing
        return b""


def as_read(value: Any) -> Any:
    """Return a value of EXIF so that Pillow writes the bytes that it has read.

    It reads texts as Latin-1, whatever they are, but writes all beyond ASCII as ``?``.
    """
    return value if not isinstance(value, str) or value.isascii() else value.encode("latin-1")


def _kept(exif: Image.Exif, *, is_converted: bool) -> bytes:
    kept = Image.Exif()
    kept.endian = exif.endian or "<"
    for tag in _DESCRIPTIVE.intersection(exif):
        kept[tag] = as_read(exif[tag])
    photo = dict(exif.get_ifd(IFD.Exif))
    for outdated in (Base.ExifImageWidth, Base.ExifImageHeight):
        photo.pop(outdated, None)
    if is_converted and photo:
        photo[Base.ColorSpace] = _SRGB
        photo[IFD.Interop] = {Interop.InteropIndex: _SRGB_INTEROP}
    elif IFD.Interop in photo:
        photo[IFD.Interop] = exif.get_ifd(IFD.Interop)
    for directory, values in ((IFD.Exif, photo), (IFD.GPSInfo, exif.get_ifd(IFD.GPSInfo))):
        if values:
            kept[directory] = {tag: as_read(value) for tag, value in values.items()}
    return kept.tobytes() if len(kept) else b""
