from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.ExifTags import GPS, IFD, Base, Interop

from nst_core.pictures.encoding import (
    Picture,
    decode_picture,
    encode_picture,
)
from tests.kit.icc_profiles import (
    ADOBE_GAMMA,
    ADOBE_RGB_XY,
    DISPLAY_P3_XY,
    INK_LAB,
    SRGB_XY,
    cmyk_profile,
    grey_profile,
    lab_to_srgb,
    rgb_profile,
    rgb_to_xyz,
    srgb_decoded,
    srgb_encoded,
    xyz_to_srgb,
)
from tests.kit.picture_bytes import (
    Pixels,
    camera_exif,
    half_opaque,
    photo,
    quarters,
    reopened,
    saved,
)

# The program silences Pillow when it starts; pytest undoes that for each test.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.*")

WITH_EXIF = (".jpg", ".png", ".webp", ".tif", ".avif", ".heic")


@pytest.fixture(autouse=True)
def _skip_without_heif(request: pytest.FixtureRequest) -> None:
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    if parameters.get("suffix") == ".heic":
        pytest.importorskip("pillow_heif")


def random_colours(side: int = 40) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("primaries", "gamma"),
    [(DISPLAY_P3_XY, None), (ADOBE_RGB_XY, ADOBE_GAMMA)],
    ids=["Display P3", "Adobe RGB"],
)
@pytest.mark.parametrize("has_alpha", [False, True])
def test_colours_of_a_wider_space_are_converted_as_their_definition_says(
    primaries: tuple[tuple[float, float], ...], gamma: float | None, has_alpha: bool
) -> None:
    stored = random_colours()
    image = Image.fromarray(stored)
    if has_alpha:
        image.putalpha(Image.fromarray(half_opaque(stored)))
    profile = rgb_profile(primaries, srgb_decoded if gamma is None else gamma)
    picture = decode_picture(saved(image, "PNG", icc_profile=profile), name="wide.png")
    linear = srgb_decoded(stored / 255) if gamma is None else (stored / 255) ** gamma
    reference = xyz_to_srgb(linear @ rgb_to_xyz(primaries).T)
    # Rounding to whole levels is half a level; LittleCMS computes with 15 bits.
    np.testing.assert_allclose(picture.rgb, reference, atol=0.75)
    assert (picture.alpha is not None) == has_alpha


def test_grey_and_cmyk_are_converted_by_their_profiles() -> None:
    ramp = np.arange(256, dtype=np.uint8)[None]
    content = saved(Image.fromarray(ramp), "PNG", icc_profile=grey_profile(1.8))
    picture = decode_picture(content, name="grey.png")
    gamma = round(1.8 * 256) / 256  # as the profile holds it
    reference = 255 * srgb_encoded((ramp[0] / 255) ** gamma)
    # In the darkest levels LittleCMS' curves of grey are less exact than its matrices.
    np.testing.assert_allclose(picture.rgb[0, :, 0], reference, atol=1.6)
    inks = np.array([list(INK_LAB)], dtype=np.uint8) * 255
    image = Image.frombytes("CMYK", (len(INK_LAB), 1), inks.tobytes())
    print_of_inks = saved(image, "TIFF", icc_profile=cmyk_profile())
    picture = decode_picture(print_of_inks, name="inks.tif")
    reference = np.array([lab_to_srgb(lab) for lab in INK_LAB.values()])
    np.testing.assert_allclose(picture.rgb[0], reference, atol=2)  # L*, a*, b* of 8 bits
    assert picture.notes == ("CMYK became RGB",)


def test_a_profile_of_srgb_is_kept_byte_for_byte_and_others_give_way_to_one() -> None:
    for own in (
        rgb_profile(SRGB_XY, srgb_decoded),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    ):
        picture = decode_picture(saved(photo(), "PNG", icc_profile=own), name="own.png")
        assert picture.icc_profile == own
        np.testing.assert_array_equal(picture.rgb, np.asarray(photo()))
    wide = rgb_profile(DISPLAY_P3_XY, srgb_decoded)
    picture = decode_picture(saved(photo(), "PNG", icc_profile=wide), name="wide.png")
    assert picture.icc_profile not in (None, wide)
    again = saved(Image.fromarray(picture.rgb), "PNG", icc_profile=picture.icc_profile)
    np.testing.assert_array_equal(decode_picture(again, name="again.png").rgb, picture.rgb)
    assert decode_picture(saved(photo(), "PNG"), name="none.png").icc_profile is None


def test_a_profile_that_is_broken_or_for_other_pixels_is_left_out_and_noted() -> None:
    exact = np.asarray(photo())
    for profile, note in (
        (b"no profile" * 30, "broken"),
        (rgb_profile(DISPLAY_P3_XY, srgb_decoded)[:400], "broken"),
        (grey_profile(2.2), "for GRAY"),
        (cmyk_profile(), "for CMYK"),
    ):
        picture = decode_picture(saved(photo(), "PNG", icc_profile=profile), name="odd.png")
        assert picture.icc_profile is None
        assert len(picture.notes) == 1
        assert note in picture.notes[0]
        np.testing.assert_array_equal(picture.rgb, exact)


@pytest.mark.parametrize("suffix", WITH_EXIF)
def test_exif_goes_along_without_what_is_no_longer_true(suffix: str) -> None:
    wide = rgb_profile(DISPLAY_P3_XY, srgb_decoded)
    content = saved(photo(), "JPEG", exif=camera_exif(), icc_profile=wide, dpi=(300, 300))
    picture = decode_picture(content, name="camera.jpg")
    assert picture.rgb.shape == (96, 64, 3)
    with reopened(encode_picture(picture.rgb, picture, suffix=suffix, quality=95)) as written:
        assert written.size == (64, 96)
        exif = written.getexif()
        assert exif[Base.Artist].encode("latin-1").decode() == "Hokusai, 北斎"
        assert exif.get(Base.Orientation, 1) == 1
        photograph, place = exif.get_ifd(IFD.Exif), exif.get_ifd(IFD.GPSInfo)
        assert photograph[Base.DateTimeOriginal] == "1831:01:01 12:00:00"
        assert photograph[Base.ColorSpace] == 1  # sRGB
        assert exif.get_ifd(IFD.Interop)[Interop.InteropIndex] == "R98"
        assert Base.ExifImageWidth not in photograph
        assert [float(part) for part in place[GPS.GPSLatitude]] == [35.0, 21.0, 5.5]
        assert not exif.get_ifd(IFD.IFD1)
        if suffix in (".jpg", ".png", ".tif"):
            assert written.info["dpi"] == pytest.approx((300, 300), abs=0.02)
        if suffix != ".tif":  # which has strips of its own
            assert Base.StripOffsets not in exif


def test_the_thumbnail_in_the_exif_would_show_the_source_and_is_dropped() -> None:
    thumbnail = saved(photo(32, 24), "JPEG")
    entries = struct.pack("<HHHII", 1, Base.Artist, 2, 4, int.from_bytes(b"Ando", "little"))
    first = b"II*\0" + struct.pack("<I", 8) + entries + struct.pack("<I", 26)
    where = 26 + 2 + 2 * 12 + 4
    second = struct.pack("<HHHIIHHIII", 2, 513, 4, 1, where, 514, 4, 1, len(thumbnail), 0)
    content = saved(photo(), "JPEG", exif=b"Exif\0\0" + first + second + thumbnail)
    assert thumbnail in content
    picture = decode_picture(content, name="thumbnail.jpg")
    assert b"Ando" in picture.exif
    written = encode_picture(picture.rgb, picture, suffix=".jpg", quality=95)
    assert b"Ando" in written
    assert thumbnail not in written


def test_a_tiff_is_compressed_unless_its_exif_has_directories_of_its_own() -> None:
    pixels = quarters(96, 64)
    plain = Image.Exif()
    plain[Base.Artist] = "Hokusai, 北斎".encode()
    sizes = []
    camera = camera_exif()
    del camera[Base.Orientation]
    for exif in (b"", plain.tobytes(), camera.tobytes()):
        picture = Picture(pixels, exif=exif)
        content = encode_picture(pixels, picture, suffix=".tif", quality=90)
        np.testing.assert_array_equal(decode_picture(content, name="a.tif").rgb, pixels)
        artist = reopened(content).getexif().get(Base.Artist, "").encode("latin-1").decode()
        assert artist == ("Hokusai, 北斎" if exif else "")
        sizes.append(len(content))
    assert max(sizes[:2]) < pixels.nbytes / 4 < pixels.nbytes < sizes[2]


def test_exif_against_the_rules_does_not_cost_the_picture() -> None:
    orientation_as_text = struct.pack("<HHI4s", Base.Orientation, 2, 4, b"odd\0")
    directory_nowhere = struct.pack("<HHII", IFD.Exif, 4, 1, 4_000_000_000)
    for entry in (orientation_as_text, directory_nowhere, b"\xff" * 12):
        exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
        for file_format in ("JPEG", "PNG", "WEBP"):
            content = saved(photo(), file_format, exif=exif, quality=100, lossless=True)
            picture = decode_picture(content, name="strange")
            assert picture.rgb.shape == (64, 96, 3)
            assert reopened(encode_picture(picture.rgb, picture, suffix=".jpg", quality=95))
