"""Pictures whose pixels are all there are read, with a note; those that lack pixels are refused."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from nst_core.errors import MediaError
from nst_core.pictures.decoding import DecodedPicture, decode, pixels_of
from tests.kit.icc_profiles import (
    ADOBE_RGB_XY,
    DISPLAY_P3_XY,
    SRGB_XY,
    in_display_p3,
    rgb_profile,
    rgb_to_xyz,
    srgb_decoded,
    xyz_to_srgb,
)
from tests.kit.media import moving_picture
from tests.kit.picture_bytes import Pixels, photo, png_of, saved

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.*")

_HEADER = 33
"""Bytes of a PNG's signature and its IHDR."""


def _chunk(kind: bytes, data: bytes, *, checksum: int | None = None) -> bytes:
    crc = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def _read(content: bytes) -> DecodedPicture:
    picture = decode(content, name="a")
    assert pixels_of(content, name="a") == picture.image.width * picture.image.height
    return picture


def _pixels(picture: DecodedPicture) -> Pixels:
    return np.asarray(picture.image.convert("RGB"))


_LONG = b'{"node": 12345}' * 80_000
_PROFILE = rgb_profile(DISPLAY_P3_XY, 1.0)


@pytest.mark.parametrize(
    ("chunk", "note"),
    [
        (_chunk(b"zTXt", b"prompt\0\0" + zlib.compress(_LONG)), "a text of more than 1 MB"),
        (_chunk(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(_LONG)), "a text of more than 1 MB"),
        (_chunk(b"tEXt", b"Comment\0" + _LONG), "a text of more than 1 MB"),
        (_chunk(b"tEXt", b"Comment\0hello", checksum=1), "its text is damaged"),
        (_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>", checksum=1), "its text is damaged"),
        (_chunk(b"tIME", bytes(7), checksum=1), "its time is damaged"),
        (_chunk(b"gAMA", struct.pack(">I", 9), checksum=1), "its description of its colours is"),
        (_chunk(b"cHRM", b"short"), "its description of its colours is damaged"),
        (_chunk(b"iCCP", b"a\0\0" + zlib.compress(_PROFILE), checksum=1), "its colour profile is"),
        (_chunk(b"pHYs", b"12"), "its resolution is damaged"),
        (_chunk(b"acTL", b"12"), "its animation is damaged"),
        (_chunk(b"zTXt", b"a\0\7" + zlib.compress(b"of no known method")), ""),
        (_chunk(b"prVt", b"of nobody we know", checksum=1), "its prVt is damaged"),
    ],
)
@pytest.mark.parametrize("is_behind", [False, True])
def test_what_is_wrong_beside_the_pixels_of_a_png_is_left_out_with_a_note(
    chunk: bytes, note: str, is_behind: bool
) -> None:
    whole = saved(photo(), "PNG")
    place = len(whole) - 12 if is_behind else _HEADER
    picture = _read(whole[:place] + chunk + whole[place:])
    assert np.array_equal(_pixels(picture), np.asarray(photo()))
    assert picture.notes == () if not note else note in picture.notes[0]
    assert len(picture.notes) <= 1


def test_a_profile_that_is_longer_than_pillow_takes_is_applied() -> None:
    photograph = (40 + 0.7 * moving_picture(0)).astype(np.uint8)
    stored = Image.fromarray(in_display_p3(photograph))
    profile = rgb_profile(DISPLAY_P3_XY, srgb_decoded) + bytes(2**20)
    chunk = _chunk(b"iCCP", b"P3\0\0" + zlib.compress(profile))
    whole = saved(stored, "PNG")
    picture = _read(whole[:_HEADER] + chunk + whole[_HEADER:])
    assert picture.is_converted
    assert np.abs(_pixels(picture).astype(int) - photograph).max() <= 3


def test_a_wrong_checksum_of_pixels_that_are_whole_is_noted() -> None:
    whole = saved(photo(), "PNG")
    end = len(whole) - 12
    picture = _read(whole[: end - 4] + bytes(4) + whole[end:])
    assert np.array_equal(_pixels(picture), np.asarray(photo()))
    assert "another one says that its pixels are whole" in picture.notes[0]


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE", b"tRNS"])
def test_a_wrong_checksum_of_what_pixels_depend_on_is_refused(kind: bytes) -> None:
    palette = photo().quantize(16)
    whole = bytearray(saved(palette, "PNG", transparency=bytes([0, 100, 255])))
    length = int.from_bytes(whole[(start := whole.index(kind)) - 4 : start], "big")
    whole[start + 4 + length] ^= 1
    with pytest.raises(MediaError, match=rf"checksum of {kind.decode()} is wrong"):
        decode(bytes(whole), name="a")


_NOISE = Image.effect_noise((50, 34), 60).convert("RGB")
_CUT: dict[str, tuple[bytes, range]] = {
    "png": (saved(_NOISE, "PNG"), range(5, 17)),
    "baseline": (saved(_NOISE, "JPEG"), range(1, 3)),
    "progressive": (saved(_NOISE, "JPEG", progressive=True), range(1, 3)),
    "restarts": (saved(_NOISE, "JPEG", restart_marker_rows=1), range(1, 3)),
    "grey": (saved(_NOISE.convert("L"), "JPEG"), range(1, 3)),
    "gif": (saved(_NOISE, "GIF"), range(3, 4)),
    "webp": (saved(_NOISE, "WEBP"), range(1, 3)),
    "webp with exif": (saved(_NOISE, "WEBP", exif=bytes(99)), range(1, 100)),
}
"""Files, and how many bytes may be missing at their ends."""


@pytest.mark.parametrize("name", list(_CUT))
def test_a_file_without_its_last_bytes_has_all_its_pixels(name: str) -> None:
    content, cuts = _CUT[name]
    expected = _pixels(_read(content))
    for missing in cuts:
        picture = _read(content[:-missing])
        assert np.array_equal(_pixels(picture), expected)
        assert picture.notes == ("the end of the file is missing",)


@pytest.mark.parametrize("name", list(_CUT))
def test_a_file_that_lacks_pixels_is_refused_wherever_it_is_cut(name: str) -> None:
    content, _ = _CUT[name]
    expected = _pixels(_read(content))
    read = 0
    for length in range(len(content) // 3, len(content)):
        try:
            picture = decode(content[:length], name="a")
        except MediaError:
            continue
        read += 1
        assert np.array_equal(_pixels(picture), expected), length
    assert 0 < read < len(content) / 4


def test_a_progressive_jpeg_that_ends_between_two_scans_is_refused() -> None:
    content = saved(_NOISE, "JPEG", progressive=True)
    scans = [place for place in range(len(content)) if content[place : place + 2] == b"\xff\xda"]
    for place in scans[1:]:
        header = content.rindex(b"\xff\xc4", 0, place)  # the table that belongs to the scan
        for end in (place, header):
            with pytest.raises(MediaError):
                decode(content[:end], name="a")


def _p3(srgb: Pixels) -> Pixels:
    return in_display_p3(srgb)


def _darker(srgb: Pixels) -> Pixels:
    """As stored with a gamma of 1: linear light."""
    return np.asarray((255 * srgb_decoded(srgb / 255)).round().astype(np.uint8))


def _adobe(srgb: Pixels) -> Pixels:
    linear = srgb_decoded(srgb / 255) @ rgb_to_xyz(SRGB_XY).T
    linear = linear @ np.linalg.inv(rgb_to_xyz(ADOBE_RGB_XY)).T
    return np.asarray((255 * linear.clip(0, 1) ** (1 / 2.2)).round().astype(np.uint8))


def _narrow(srgb: Pixels) -> Pixels:
    return np.asarray((16 + srgb * (219 / 255)).round().astype(np.uint8))


def _same(srgb: Pixels) -> Pixels:
    return srgb


def _points(*points: tuple[float, float]) -> bytes:
    return _chunk(b"cHRM", struct.pack(">8I", *(round(v * 100_000) for p in points for v in p)))


_D65 = (0.3127, 0.3290)
_GAMMA_22, _GAMMA_1 = (_chunk(b"gAMA", struct.pack(">I", value)) for value in (45455, 100_000))


@pytest.mark.parametrize(
    ("chunks", "stored", "tolerance"),
    [
        (_chunk(b"cICP", bytes([12, 13, 0, 1])), _p3, 3),
        (_chunk(b"cICP", bytes([1, 13, 0, 1])), _same, 0),
        (_chunk(b"cICP", bytes([1, 1, 0, 1])), _same, 0),
        (_chunk(b"cICP", bytes([1, 8, 0, 1])), _darker, 12),
        (_chunk(b"cICP", bytes([1, 13, 0, 0])), _narrow, 2),
        (_GAMMA_1, _darker, 12),
        (_GAMMA_22, _same, 0),
        (_GAMMA_22 + _points(_D65, *SRGB_XY), _same, 0),
        (_GAMMA_22 + _points(_D65, *ADOBE_RGB_XY), _adobe, 3),
        (_points(_D65, *DISPLAY_P3_XY), _p3, 3),
        (_chunk(b"sRGB", b"\0") + _GAMMA_1, _same, 0),
        (_chunk(b"cICP", bytes([12, 13, 0, 1])) + _chunk(b"sRGB", b"\0"), _p3, 3),
    ],
)
def test_colours_that_a_png_describes_by_numbers_become_srgb(
    chunks: bytes, stored: Callable[[Pixels], Pixels], tolerance: int
) -> None:
    shown = (40 + 0.7 * moving_picture(0)).astype(np.uint8)  # the dark has few levels
    content = saved(Image.fromarray(stored(shown)), "PNG")
    picture = _read(content[:_HEADER] + chunks + content[_HEADER:])
    assert np.abs(_pixels(picture).astype(int) - shown).max() <= tolerance
    assert picture.is_converted == (stored is not _same)
    assert picture.notes == ()


@pytest.mark.parametrize(
    ("chunk", "note"),
    [
        (_chunk(b"cICP", bytes([9, 16, 0, 1])), "HDR (PQ) became standard range"),
        (_chunk(b"cICP", bytes([9, 18, 0, 1])), "HDR (HLG) became standard range"),
        (_chunk(b"cICP", bytes([99, 13, 0, 1])), "its colours (cICP 99/13/0/1) are not known"),
        (_chunk(b"gAMA", bytes([255] * 4)), "its gamma of 42949.7 makes no sense"),
        (_points((0, 0), *SRGB_XY), "its primaries (cHRM) make no sense"),
    ],
)
def test_colours_that_change_or_are_not_known_are_told(chunk: bytes, note: str) -> None:
    content = saved(photo(), "PNG")
    picture = _read(content[:_HEADER] + chunk + content[_HEADER:])
    assert note in picture.notes[0]


def test_hdr_white_of_pq_becomes_white() -> None:
    header = struct.pack(">IIBBBBB", 2, 1, 8, 6, 0, 0, 0)
    grey = [148, 148, 148, 128, 0, 0, 0, 255]  # 203 cd/m2 in PQ, half opaque, and black
    pixels = _chunk(b"IDAT", zlib.compress(bytes([0, *grey])))
    content = png_of((b"IHDR", header))[:_HEADER] + _chunk(b"cICP", bytes([9, 16, 0, 1])) + pixels
    picture = _read(content + _chunk(b"IEND", b""))
    assert picture.image.mode == "RGBA"
    white, black = np.asarray(picture.image)[0].astype(int)
    assert white.min() < 150 < white[:3].min()
    assert black.tolist() == [0, 0, 0, 255]


def test_a_matrix_of_primaries_is_as_littlecms_and_an_independent_one_have_it() -> None:
    red = np.array([[[255, 0, 0]]], np.uint8)
    content = saved(Image.fromarray(red), "PNG")
    chunk = _chunk(b"cICP", bytes([12, 13, 0, 1]))
    picture = _read(content[:_HEADER] + chunk + content[_HEADER:])
    expected = xyz_to_srgb(np.array([1.0, 0, 0]) @ rgb_to_xyz(DISPLAY_P3_XY).T)
    assert np.abs(_pixels(picture)[0, 0] - expected).max() <= 2
