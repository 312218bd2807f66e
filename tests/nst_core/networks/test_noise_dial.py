"""`--noise K`: the noise of a stylizing texture network, multiplied at test time."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from jobs.applying.stylize_images import stylize_images
from jobs.applying.workers import find_style_for_job
from nst_core.checkpoints.checkpoint import save_generator
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.checkpoints.library import Style, find_style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.color.yuv import YuvFrames
from nst_core.color.yuv_encoding import YuvEncoding
from nst_core.errors import InputError
from nst_core.networks.texture import TextureNet
from nst_core.stylizer import Stylizer
from tests.kit.image_jobs import contents, counts, images_job, save_pictures
from tests.kit.media import moving_picture, psnr


@pytest.fixture(scope="module")
def texture_style(tmp_path_factory: pytest.TempPathFactory) -> Style:
    """g(y, z) of three scales with random weights."""
    path = tmp_path_factory.mktemp("style") / "texture.safetensors"
    torch.manual_seed(1)
    network = TextureNet(3, stylizes=True)
    save_generator(path, network, CheckpointInfo("texture", {"scales": 3, "stylizes": True}))
    return find_style(str(path))


def _stylized(style: Style, noise: float | None, **options: object) -> NDArray[np.uint8]:
    stylizer = Stylizer(style, noise=noise, threads=1, **options)  # type: ignore[arg-type]
    return stylizer.stylize(moving_picture(3, 80, 64))


def test_zero_makes_the_picture_a_function_of_the_content(texture_style: Style) -> None:
    assert np.array_equal(
        _stylized(texture_style, 0.0, seed=1), _stylized(texture_style, 0.0, seed=2)
    )
    assert not np.array_equal(
        _stylized(texture_style, 1.0, seed=1), _stylized(texture_style, 1.0, seed=2)
    )


def test_one_is_as_in_training_and_more_varies_pictures_more(texture_style: Style) -> None:
    assert np.array_equal(_stylized(texture_style, 1.0), _stylized(texture_style, None))
    # How far two pictures of one content are from each other.
    alike = [
        psnr(_stylized(texture_style, k, seed=1), _stylized(texture_style, k, seed=2))
        for k in (0.25, 1.0, 4.0)
    ]
    assert alike == sorted(alike, reverse=True)


def test_the_noise_is_multiplied_itself(texture_style: Style) -> None:
    network = texture_style.load()
    assert isinstance(network, TextureNet)
    picture = torch.zeros(1, 3, 32, 32)
    network.seed_noise(5)
    once = network.draw_noise(picture)
    network.noise_factor = 2.5
    network.seed_noise(5)
    for drawn, multiplied in zip(once, network.draw_noise(picture), strict=True):
        torch.testing.assert_close(multiplied, 2.5 * drawn)


@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_pictures_computed_in_pieces_have_the_same_noise(
    texture_style: Style, noise: float
) -> None:
    whole = _stylized(texture_style, noise, seed=3)
    assert psnr(_stylized(texture_style, noise, seed=3, tile=64), whole) > 45


def test_the_noise_of_a_film_is_still_over_time(texture_style: Style) -> None:
    luma = torch.from_numpy(moving_picture(0, 64, 48)[..., 0])
    frames = YuvFrames(torch.stack([luma] * 3), torch.full((3, 2, 24, 32), 128, dtype=torch.uint8))
    encoding = YuvEncoding("bt709")
    stylizer = Stylizer(texture_style, noise=3.0, threads=1)
    stylized = stylizer.stylize_yuv(frames, encoding)
    assert torch.equal(stylized.luma[0], stylized.luma[1])
    again = stylizer.stylize_yuv(YuvFrames(frames.luma[:1], frames.chroma[:1]), encoding)
    assert torch.equal(again.luma[0], stylized.luma[2])


def test_styles_that_draw_no_noise_are_refused(style: Style) -> None:
    spec = StyleSpec(str(style.path), noise=0.5)
    with pytest.raises(InputError, match=r"--noise 0\.5: random draws no noise"):
        find_style_for_job(spec)
    with pytest.raises(InputError, match="--noise 1: identity"):
        find_style_for_job(StyleSpec("identity", noise=1.0))


@pytest.mark.parametrize("noise", [-1.0, 101.0, float("nan")])
def test_what_is_no_factor_is_refused(noise: float) -> None:
    with pytest.raises(InputError, match="0 to 100"):
        StyleSpec("identity", noise=noise)


def test_pictures_of_another_factor_are_made_anew(texture_style: Style, tmp_path: Path) -> None:
    pictures = save_pictures(tmp_path / "in", "a.png")
    job = images_job(pictures, tmp_path / "out", str(texture_style.path))
    stylize_images(job)
    as_trained = contents(tmp_path / "out")
    spec = dataclasses.replace(job.styles[0], noise=0.0)
    still = dataclasses.replace(job, styles=(spec,), overwrite=True)
    assert counts(stylize_images(still)) == (1, 1, 0, 0)
    assert contents(tmp_path / "out") != as_trained
    assert counts(stylize_images(still)) == (1, 0, 1, 0)
