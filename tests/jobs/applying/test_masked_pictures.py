"""Pictures that are stylized where their masks are white, and what a changed mask does again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.kit.command_line import Ended, nst
from tests.kit.media import moving_picture

_SIZES = {"wide.png": (90, 60), "sub/tall.png": (40, 70), "photo.png": (64, 64)}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for number, (name, (width, height)) in enumerate(_SIZES.items()):
        Image.fromarray(moving_picture(number, width, height)).save(folder / name)
    return folder


def _left_half(width: int, height: int) -> Image.Image:
    mask = np.zeros((height, width), np.uint8)
    mask[:, : width // 2] = 255
    return Image.fromarray(mask)


def _stylize(sources: Path, output: Path, *options: str | Path, code: int = 0) -> Ended:
    ended = nst("stylize", "images", sources, "-o", output, "--workers", "0", *options)
    assert ended.code == code, ended.error
    return ended


def _report(ended: Ended) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(ended.out)
    return report


def _pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_each_picture_has_the_mask_of_its_name_and_one_without_fails_alone(
    photos: Path, tmp_path: Path
) -> None:
    masks = tmp_path / "masks"
    (masks / "sub").mkdir(parents=True)
    _left_half(90, 60).save(masks / "wide.webp", lossless=True)
    _left_half(40, 70).save(masks / "sub" / "tall.png")
    out, styled = tmp_path / "out", tmp_path / "styled"
    _stylize(photos, styled, "--style", "wave")
    ended = _stylize(photos, out, "--style", "wave", "--mask", masks, "--json", code=1)
    report = _report(ended)
    assert (report["done"], report["failed"]) == (2, 1)
    (failure,) = report["failures"]
    assert failure["error"].startswith(f"{photos}/photo.png: no mask of it in {masks}")
    for name in ("wide.png", "sub/tall.png"):
        source, whole, masked = (_pixels(folder / name) for folder in (photos, styled, out))
        half = source.shape[1] // 2
        np.testing.assert_array_equal(masked[:, :half], whole[:, :half])
        np.testing.assert_array_equal(masked[:, half:], source[:, half:])


def test_one_mask_for_all_is_stretched_and_parts_two_styles_softly(
    photos: Path, tmp_path: Path
) -> None:
    ramp = np.tile(np.linspace(0, 255, 90).astype(np.uint8), (60, 1))
    mask = tmp_path / "mask.png"
    Image.fromarray(ramp).save(mask)
    inside, outside, both = (tmp_path / name for name in ("inside", "outside", "both"))
    _stylize(photos, inside, "--style", "wave")
    _stylize(photos, outside, "--style", "udnie")
    _stylize(photos, both, "--style", "wave", "--mask", mask, "--mask-style", "udnie")
    first, second, made = (_pixels(each / "wide.png") for each in (inside, outside, both))
    weights = ramp[..., None] / 255
    assert np.abs(made - (first * weights + second * (1 - weights))).max() <= 0.501
    tall = [_pixels(each / "sub" / "tall.png") for each in (inside, outside, both)]
    assert np.abs(tall[2][:, -1] - tall[0][:, -1]).max() <= 3
    assert np.abs(tall[2][:, 0] - tall[1][:, 0]).max() <= 3


def test_pictures_whose_mask_was_changed_are_done_again_and_no_others(
    photos: Path, tmp_path: Path
) -> None:
    masks, out = tmp_path / "masks", tmp_path / "out"
    (masks / "sub").mkdir(parents=True)
    for name, size in _SIZES.items():
        _left_half(*size).save(masks / name)
    options = ("--style", "wave", "--mask", masks, "--json")
    assert _report(_stylize(photos, out, *options))["done"] == 3
    assert _report(_stylize(photos, out, *options))["reused"] == 3
    Image.new("L", (64, 64), 0).save(masks / "photo.png")
    report = _report(_stylize(photos, out, *options))
    assert (report["done"], report["reused"]) == (1, 2)
    np.testing.assert_array_equal(_pixels(out / "photo.png"), _pixels(photos / "photo.png"))
    ended = _stylize(photos, out, "--style", "wave", "--json", code=2)
    assert "was made with another --mask" in _report(ended)["failures"][0]["error"]


def test_deep_pictures_are_masked_in_16_bits_and_transparent_masks_are_black(
    tmp_path: Path,
) -> None:
    deep = (np.arange(64 * 64 * 3).reshape(64, 64, 3) * 5 % 65521).astype(np.uint16)
    source = tmp_path / "deep.png"
    cv2.imwrite(str(source), deep[..., ::-1])
    mask = np.full((64, 64, 4), 255, np.uint8)
    mask[:, 20:, 3] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    out = tmp_path / "out.png"
    _stylize(source, out, "--style", "wave", "--mask", tmp_path / "mask.png")
    made = np.asarray(cv2.imread(str(out), cv2.IMREAD_UNCHANGED))[..., ::-1]
    assert made.dtype == np.uint16
    np.testing.assert_array_equal(made[:, 20:], deep[:, 20:])
    assert (made[:, :20] != deep[:, :20]).mean() > 0.9


def test_a_mask_that_is_none_is_told_before_the_work(photos: Path, tmp_path: Path) -> None:
    ended = _stylize(photos, tmp_path / "out", "--style", "wave", "--mask", "no.png", code=2)
    assert ended.error_line == "error: --mask no.png: no such file or folder"
    ended = _stylize(photos, tmp_path / "out", "--style", "wave", "--mask-style", "wave", code=2)
    assert "--mask-style wave without --mask" in ended.error_line
