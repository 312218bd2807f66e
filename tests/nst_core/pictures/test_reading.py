from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nst_core.color.pixels import to_picture, to_tensor
from nst_core.errors import MediaError
from nst_core.pictures.decoding import decode
from nst_core.pictures.formats import PICTURE_SUFFIXES
from nst_core.pictures.reading import read_rgb, resize_shorter_side, sheet
from tests.kit.icc_profiles import DISPLAY_P3_XY, in_display_p3, rgb_profile, srgb_decoded
from tests.kit.media import moving_picture
from tests.kit.picture_bytes import quarters, saved, stored_for


def test_pixels_survive_the_way_to_a_tensor_and_back() -> None:
    picture = Image.fromarray(moving_picture(0))
    tensor = to_tensor(picture)
    assert tensor.shape == (1, 3, 64, 96)
    np.testing.assert_array_equal(np.asarray(to_picture(tensor)), np.asarray(picture))


def test_values_out_of_range_are_clipped_not_wrapped() -> None:
    picture = to_picture(torch.tensor([-0.2, 0.5, 1.3]).view(1, 3, 1, 1))
    assert picture.getpixel((0, 0)) == (0, 128, 255)


@pytest.mark.parametrize(("size", "expected"), [((200, 100), (80, 40)), ((100, 301), (40, 120))])
def test_the_shorter_side_gets_the_size(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert resize_shorter_side(Image.new("RGB", size), 40).size == expected


def test_a_large_jpeg_may_decode_smaller_but_not_too_small(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    Image.new("RGB", (1600, 1200), "teal").save(path)
    assert read_rgb(path).size == (1600, 1200)
    shrunk = decode(path.read_bytes(), name="large.jpg", shrink_towards=256).image
    assert 256 <= min(shrunk.size) < 600


def test_training_sees_upright_srgb_and_the_same_bound(tmp_path: Path) -> None:
    upright = quarters(48, 32)
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation
    wide = rgb_profile(DISPLAY_P3_XY, srgb_decoded)
    path = tmp_path / "phone.png"
    lying = stored_for(in_display_p3(upright), 6)
    path.write_bytes(saved(Image.fromarray(lying), "PNG", exif=exif, icc_profile=wide))
    # Two roundings to whole levels, the second of them after a steep curve.
    np.testing.assert_allclose(np.asarray(read_rgb(path), dtype=int), upright, atol=2)
    with pytest.raises(MediaError, match=r"phone\.png: 32x48 pixels, .*--max-pixels"):
        decode(path.read_bytes(), name=path.name, max_pixels=1000)


def test_transparency_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "clear.png"
    Image.new("RGBA", (8, 6), (10, 20, 30, 40)).save(path)
    assert read_rgb(path).getpixel((0, 0)) == (10, 20, 30)


def test_every_ending_that_is_looked_for_has_a_format(tmp_path: Path) -> None:
    assert {".jpg", ".jfif", ".avif", ".heic", ".apng"} <= PICTURE_SUFFIXES
    folder = tmp_path / "folder.jpg"
    folder.mkdir()
    with pytest.raises(MediaError, match=r"folder\.jpg: cannot be read"):
        read_rgb(folder)


def test_a_missing_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        read_rgb(tmp_path / "nowhere.png")


def test_a_sheet_holds_every_picture_at_the_same_height() -> None:
    wide, tall = Image.new("RGB", (100, 50), "red"), Image.new("RGB", (50, 100), "blue")
    page = sheet([[wide, tall], [tall]], cell_height=40, gap=4)
    assert page.size == (4 + 80 + 4 + 20 + 4, 2 * 44 + 4)
    assert page.getpixel((10, 10)) == (255, 0, 0)
    assert page.getpixel((95, 10)) == (0, 0, 255)
    assert page.getpixel((10, 60)) == (0, 0, 255)
    assert page.getpixel((1, 1)) == (255, 255, 255)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(MediaError, match="a pipe or a device"):
        read_rgb(tmp_path / "pipe.png")
