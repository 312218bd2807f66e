from __future__ import annotations

import numpy as np
import pytest
import torch

from nst_core.checkpoint import load_generator
from nst_core.color import Yuv420, YuvEncoding, yuv420_to_rgb
from nst_core.style_library import Style, find_style
from nst_core.stylizer import Stylizer
from tests.media import moving_picture

BT709 = YuvEncoding("bt709")


@pytest.fixture
def frames() -> Yuv420:
    random = np.random.default_rng(4)
    return Yuv420(
        torch.from_numpy(random.integers(16, 236, (2, 31, 45), dtype=np.uint8)),
        torch.from_numpy(random.integers(16, 241, (2, 2, 16, 23), dtype=np.uint8)),
    )


def test_a_picture_is_what_the_generator_makes_of_it(style: Style) -> None:
    assert style.path is not None
    picture = moving_picture(0)
    generator, _ = load_generator(style.path)
    with torch.no_grad():
        expected = generator(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255)
    stylized = Stylizer(style, engine="torch", device="cpu").stylize(picture)
    expected_bytes = (expected[0].permute(1, 2, 0) * 255).round().byte().numpy()
    assert np.abs(stylized.astype(int) - expected_bytes.astype(int)).max() <= 1
    assert stylized.shape == picture.shape


def test_a_batch_equals_its_pictures(style: Style) -> None:
    stylizer = Stylizer(style)
    pictures = np.stack([moving_picture(number) for number in range(3)])
    together = stylizer.stylize(pictures)
    for number in range(3):
        np.testing.assert_array_equal(together[number], stylizer.stylize(pictures[number]))


def test_identity_passes_everything_through(frames: Yuv420) -> None:
    stylizer = Stylizer(find_style("identity"))
    picture = moving_picture(0)
    np.testing.assert_array_equal(stylizer.stylize(picture), picture)
    assert stylizer.stylize_yuv(frames, BT709) is frames


def test_strength_blends_with_the_source(style: Style) -> None:
    picture = moving_picture(1)
    none, half, full = (
        Stylizer(style, engine="torch", device="cpu", strength=s).stylize(picture).astype(int)
        for s in (0, 0.5, 1)
    )
    np.testing.assert_array_equal(none, picture)
    assert np.abs(half - (picture.astype(int) + full) / 2).max() <= 1


def test_yuv_frames_become_what_their_rgb_becomes(style: Style, frames: Yuv420) -> None:
    stylizer = Stylizer(style, engine="torch", device="cpu")
    stylized = stylizer.stylize_yuv(frames, BT709)
    rgb = (yuv420_to_rgb(frames, BT709) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    expected = stylizer.stylize(rgb)[0].astype(float)
    found = yuv420_to_rgb(stylized, BT709)[0].permute(1, 2, 0).numpy() * 255
    # Chroma is halved on the way: luma is what can be compared pixel by pixel.
    weights = np.array([0.2126, 0.7152, 0.0722])
    assert np.abs(found @ weights - expected @ weights).mean() < 2.5


def test_keeping_colors_leaves_the_chroma_of_video_frames(style: Style, frames: Yuv420) -> None:
    stylized = Stylizer(style, keep_colors=True).stylize_yuv(frames, BT709)
    assert torch.equal(stylized.chroma, frames.chroma)
    assert not torch.equal(stylized.luma, frames.luma)


@pytest.mark.parametrize(
    "pictures", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)], ids=["2d", "float"]
)
def test_what_is_no_picture_is_refused(style: Style, pictures: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        Stylizer(style).stylize(pictures)
