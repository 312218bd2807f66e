"""Pictures that were made here, saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst_core.errors import MediaError
from nst_core.pictures.encoding import decode_picture
from pipeline.pictures.outputs.saving import save_picture
from pipeline.storage.open import storage_for
from tests.kit.media import moving_picture, psnr

RGB = moving_picture(0)


@pytest.mark.parametrize(
    ("name", "kind"), [("a.png", "PNG"), ("x/y/b.TIF", "TIFF"), ("c.d.bmp", "BMP")]
)
def test_the_ending_says_the_format_and_folders_are_made(
    tmp_path: Path, name: str, kind: str
) -> None:
    save_picture(str(tmp_path / name), RGB, quality=95)
    with Image.open(tmp_path / name) as image:
        assert image.format == kind
        np.testing.assert_array_equal(np.asarray(image), RGB)


def test_quality_is_for_formats_that_lose_something(tmp_path: Path) -> None:
    errors = []
    for quality in (20, 98):
        path = tmp_path / f"{quality}.jpg"
        save_picture(str(path), RGB, quality=quality)
        with Image.open(path) as image:
            errors.append(psnr(np.asarray(image), RGB))
    assert errors[0] + 6 < errors[1]


def test_a_picture_is_saved_behind_a_uri() -> None:
    path = "memory://saved/a.webp"
    save_picture(path, RGB, quality=95)
    content = storage_for(path).read(path)
    storage_for(path).remove(path)
    assert decode_picture(content, name=path).rgb.shape == RGB.shape


@pytest.mark.parametrize("name", ["a.odd", "a", "none"])
def test_an_ending_that_says_no_format_is_refused_with_the_path(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)
    with pytest.raises(MediaError) as caught:
        save_picture(path, RGB, quality=95)
    assert str(caught.value).startswith(f"{path}: ")
    assert ".png" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_cannot_be_encoded_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    save_picture(str(path), RGB, quality=95)
    before = path.read_bytes()
    with pytest.raises(MediaError, match=rf"^{path}: 16384x1 pixels do not fit into WEBP"):
        save_picture(str(path), np.zeros((1, 16384, 3), np.uint8), quality=95)
    assert path.read_bytes() == before
