"""Pictures of 16 bits keep them in PNG and TIFF, with all that their files say."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import IFD, Base

from jobs.applying.stylize_images import stylize_images
from nst_core.pictures.color_profiles import srgb_profile
from nst_core.pictures.encoding import Picture, decode_picture, encode_picture
from tests.kit.icc_profiles import ADOBE_GAMMA, ADOBE_RGB_XY, rgb_profile
from tests.kit.image_jobs import images_job
from tests.kit.media import moving_picture

Codes = NDArray[np.uint16]


def _codes(channels: int, seed: int = 0) -> Codes:
    shape = (40, 56) if channels == 1 else (40, 56, channels)
    return np.random.default_rng(seed).integers(0, 65536, shape).astype(np.uint16)


def _save(path: Path, codes: NDArray[Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), codes)


def _read(path: Path) -> NDArray[Any]:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return pixels


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_identity_keeps_every_code(tmp_path: Path, suffix: str, channels: int) -> None:
    _save(tmp_path / "in" / f"a{suffix}", _codes(channels))
    report = stylize_images(images_job(tmp_path / "in", tmp_path / "out"))
    assert (report.done, report.warnings) == (1, []), report.failures
    codes = _codes(channels)
    expected = np.repeat(codes[..., None], 3, axis=2) if channels == 1 else codes
    copy = _read(tmp_path / "out" / f"a{suffix}")
    assert copy.dtype == np.uint16
    np.testing.assert_array_equal(copy, expected)


def test_stylized_pictures_are_as_fine(tmp_path: Path) -> None:
    eight = moving_picture(0, 64, 64)
    _save(tmp_path / "in" / "a.png", eight.astype(np.uint16) * 257)
    _save(tmp_path / "in" / "b.png", eight)  # one batch must not hold both
    report = stylize_images(images_job(tmp_path / "in", tmp_path / "out", "wave"))
    assert report.done == 2, report.failures
    fine, coarse = _read(tmp_path / "out" / "a.png"), _read(tmp_path / "out" / "b.png")
    assert fine.dtype == np.uint16
    assert coarse.dtype == np.uint8
    assert len(np.unique(fine)) > 1000
    assert np.abs(fine / 257 - coarse).max() < 0.51


@pytest.mark.parametrize("options", [{"tile": 64}, {}])
def test_large_pictures_in_pieces_are_as_fine(tmp_path: Path, options: dict[str, object]) -> None:
    codes = cv2.GaussianBlur(cv2.resize(_codes(3), (200, 150)), (0, 0), 5)
    _save(tmp_path / "in" / "a.tif", codes)
    report = stylize_images(images_job(tmp_path / "in", tmp_path / "out", "wave", **options))
    assert report.done == 1, report.failures
    assert len(np.unique(_read(tmp_path / "out" / "a.tif"))) > 1000


def test_formats_of_8_bits_say_so(tmp_path: Path) -> None:
    _save(tmp_path / "in" / "a.png", _codes(3))
    report = stylize_images(images_job(tmp_path / "in", tmp_path / "out", format="jpeg"))
    assert report.done == 1, report.failures
    assert any("16 bits became 8" in str(note) for note in report.warnings)


def test_a_smaller_picture_is_as_fine(tmp_path: Path) -> None:
    codes = cv2.GaussianBlur(cv2.resize(_codes(3), (200, 150)), (0, 0), 9)
    _save(tmp_path / "in" / "a.png", codes)
    report = stylize_images(images_job(tmp_path / "in", tmp_path / "out", max_side=100))
    assert report.done == 1, report.failures
    copy = _read(tmp_path / "out" / "a.png")
    assert copy.dtype == np.uint16
    assert copy.shape == (75, 100, 3)
    reference = cv2.resize(codes, (100, 75), interpolation=cv2.INTER_AREA)
    assert np.abs(copy.astype(int) - reference).max() < 300  # of 65535: filters differ


def _with_profile(codes: Codes, profile: bytes) -> bytes:
    with io.BytesIO() as file:
        Image.new("RGB", (1, 1)).save(file, "PNG", icc_profile=profile)
        small = file.getvalue()
    content = bytes(cv2.imencode(".png", codes)[1])
    return content[:33] + small[33 : small.index(b"IDAT") - 4] + content[33:]


def test_a_profile_of_srgb_is_kept_and_another_is_applied_to_8_bits_which_is_said() -> None:
    codes = _codes(3)
    kept = decode_picture(_with_profile(codes, srgb_profile()), name="a.png", deep=True)
    np.testing.assert_array_equal(kept.rgb, codes[..., ::-1])
    assert kept.icc_profile == srgb_profile()
    converted = decode_picture(
        _with_profile(codes, rgb_profile(ADOBE_RGB_XY, ADOBE_GAMMA)), name="a.png", deep=True
    )
    plain = decode_picture(
        _with_profile(codes, rgb_profile(ADOBE_RGB_XY, ADOBE_GAMMA)), name="a.png"
    )
    np.testing.assert_array_equal(converted.rgb, plain.rgb * np.uint16(257))
    assert converted.notes == (
        "16 bits became 8 on reading (colours converted); its output has 16",
    )


def test_what_is_converted_on_reading_is_as_fine_after_the_network(tmp_path: Path) -> None:
    codes = moving_picture(0, 64, 64).astype(np.uint16) * 257
    content = _with_profile(codes, rgb_profile(ADOBE_RGB_XY, ADOBE_GAMMA))
    (tmp_path / "a.png").write_bytes(content)
    stylize_images(images_job(tmp_path / "a.png", tmp_path / "out", "wave"))
    assert len(np.unique(_read(tmp_path / "out" / "a.png"))) > 1000


def _exif() -> bytes:
    exif = Image.Exif()
    exif[Base.Artist] = "Somebody"
    exif[IFD.Exif] = {Base.FNumber: 2.8, Base.LensModel: "A lens"}
    exif[IFD.GPSInfo] = {1: "N", 2: (52.0, 5.0, 1.0)}
    return exif.tobytes()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_exif_profile_and_resolution_go_along(suffix: str) -> None:
    codes = _codes(4)
    original = Picture(
        codes[..., :3],
        codes[..., 3],
        exif=_exif(),
        icc_profile=srgb_profile(),
        dpi=(300.0, 300.0),
    )
    content = encode_picture(original.rgb, original, suffix=suffix, quality=90)
    again = decode_picture(content, name=f"a{suffix}", deep=True)
    np.testing.assert_array_equal(again.rgb, original.rgb)
    assert again.alpha is not None
    np.testing.assert_array_equal(again.alpha, codes[..., 3])
    assert again.icc_profile == srgb_profile()
    assert again.dpi == pytest.approx((300, 300), abs=0.01)
    with Image.open(io.BytesIO(content)) as image:
        exif = image.getexif()
        assert exif[Base.Artist] == "Somebody"
        assert float(exif.get_ifd(IFD.Exif)[Base.FNumber]) == pytest.approx(2.8)
        assert exif.get_ifd(IFD.Exif)[Base.LensModel] == "A lens"
        assert exif.get_ifd(IFD.GPSInfo)[1] == "N"
    assert again.notes == ()


def test_enlarged_pictures_get_enlarged_alpha() -> None:
    codes = _codes(4)
    original = Picture(codes[..., :3], np.full((40, 56), 4321, np.uint16))
    content = encode_picture(
        codes[..., :3].repeat(2, 0).repeat(2, 1), original, suffix=".png", quality=90
    )
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    assert pixels.shape == (80, 112, 4)
    assert np.all(pixels[..., 3] == 4321)


def test_a_keyed_colour_and_a_turned_picture_stay_right() -> None:
    """Of what OpenCV would show otherwise, 8 bits are read."""
    codes = _codes(3)
    content = bytes(cv2.imencode(".png", codes)[1])
    exif = Image.Exif()
    exif[Base.Orientation] = 6
    with io.BytesIO() as file:
        Image.new("RGB", (1, 1)).save(file, "PNG", exif=exif)
        small = file.getvalue()
    turned = content[:33] + small[33 : small.index(b"IDAT") - 4] + content[33:]
    picture = decode_picture(turned, name="a.png", deep=True)
    assert picture.rgb.shape == (56, 40, 3)
    plain = decode_picture(turned, name="a.png")
    np.testing.assert_array_equal(picture.rgb, plain.rgb * np.uint16(257))
