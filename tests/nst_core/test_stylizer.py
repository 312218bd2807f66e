from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nst_core.checkpoints.checkpoint import load_generator, save_generator
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.checkpoints.library import Style, find_style
from nst_core.coherence import Coherence
from nst_core.color.tone_mapping import ToneMapping
from nst_core.color.yuv import YuvFrames, rgb_to_yuv, yuv_to_rgb
from nst_core.color.yuv_encoding import YuvEncoding
from nst_core.engines.torch_engine import TorchEngine
from nst_core.errors import EnvironmentProblem
from nst_core.large_pictures.layerwise_engine import LayerwiseEngine
from nst_core.networks.registry import NormName
from nst_core.networks.super_resolution import SuperResolutionNet
from nst_core.networks.texture import TextureNet
from nst_core.stylizer import Stylizer
from tests.kit.media import moving_picture

BT709 = YuvEncoding("bt709")


@pytest.fixture
def frames() -> YuvFrames:
    random = np.random.default_rng(4)
    return YuvFrames(
        torch.from_numpy(random.integers(16, 236, (2, 31, 45), dtype=np.uint8)),
        torch.from_numpy(random.integers(16, 241, (2, 2, 16, 23), dtype=np.uint8)),
    )


def test_a_picture_is_what_the_generator_makes_of_it(each_style: Style) -> None:
    assert each_style.path is not None
    picture = moving_picture(0)
    generator, _ = load_generator(each_style.path)
    with torch.no_grad():
        expected = generator(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255)
    stylized = Stylizer(each_style, engine="torch", device="cpu").stylize(picture)
    expected_bytes = (expected[0].permute(1, 2, 0) * 255).round().byte().numpy()
    assert np.abs(stylized.astype(int) - expected_bytes.astype(int)).max() <= 1
    assert stylized.shape == picture.shape


def test_a_batch_equals_its_pictures(each_style: Style) -> None:
    stylizer = Stylizer(each_style)
    pictures = np.stack([moving_picture(number) for number in range(3)])
    together = stylizer.stylize(pictures)
    for number in range(3):
        np.testing.assert_array_equal(together[number], stylizer.stylize(pictures[number]))


def test_identity_passes_everything_through(frames: YuvFrames) -> None:
    stylizer = Stylizer(find_style("identity"))
    picture = moving_picture(0)
    np.testing.assert_array_equal(stylizer.stylize(picture), picture)
    assert not stylizer.computes


def test_identity_takes_frames_through_rgb_and_back() -> None:
    picture = torch.from_numpy(moving_picture(0)).permute(2, 0, 1)[None].float() / 255
    source = rgb_to_yuv(picture * 0.5 + 0.25, BT709)
    deep = YuvEncoding("bt709", full_range=True, depth=10, subsampling="444")
    stylizer = Stylizer(find_style("identity"))
    same = stylizer.stylize_yuv(source, BT709)
    assert (same.luma.int() - source.luma.int()).abs().max() <= 1
    found = stylizer.stylize_yuv(source, BT709, deep)
    assert found.luma.dtype == torch.uint16
    expected = (source.luma.float() - 16) / 219 * 1023
    assert (found.luma.float() - expected).abs().max() <= 1


def test_alpha_passes_by_the_network(style: Style, frames: YuvFrames) -> None:
    alpha = torch.randint(0, 256, frames.luma.shape, dtype=torch.uint8)
    source = YuvFrames(frames.luma, frames.chroma, alpha)
    stylized = Stylizer(style).stylize_yuv(source, BT709)
    assert stylized.alpha is not None
    assert torch.equal(stylized.alpha, alpha)
    assert not torch.equal(stylized.luma, frames.luma)


def test_a_high_dynamic_range_is_brought_down_before_the_network() -> None:
    # A grey of 203 cd/m2 in PQ is code 0.58; mapped, it is nearly white.
    grey = torch.full((1, 3, 8, 8), 0.58)
    source = YuvEncoding("bt2020", depth=10)
    stylizer = Stylizer(find_style("identity"))
    mapped = stylizer.stylize_yuv(
        rgb_to_yuv(grey, source), source, BT709, tone_mapping=ToneMapping("pq")
    )
    assert yuv_to_rgb(mapped, BT709).mean() > 0.85


def test_a_device_out_of_memory_halves_the_batch_and_goes_on(
    style: Style, frames: YuvFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    stylizer = Stylizer(style, engine="torch", device="cpu")
    expected = stylizer.stylize_yuv(frames, BT709)
    run, sizes = TorchEngine.run, []

    def one_at_a_time(engine: TorchEngine, images: torch.Tensor) -> torch.Tensor:
        sizes.append(len(images))
        if len(images) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(engine, images)

    monkeypatch.setattr(TorchEngine, "run", one_at_a_time)
    found = stylizer.stylize_yuv(frames, BT709)
    assert sizes == [2, 1, 1]
    assert torch.equal(found.luma, expected.luma)
    stylizer.stylize(np.zeros((2, 40, 40, 3), np.uint8))
    assert sizes == [2, 1, 1, 1, 1]  # it is remembered


def test_frames_follow_the_same_ones_where_memory_runs_out_behind_them(
    style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = np.stack([moving_picture(number, 64, 48) for number in range(6)]) / np.float32(255)
    frames = rgb_to_yuv(torch.from_numpy(unit).permute(0, 3, 1, 2), BT709)
    batches = [
        YuvFrames(frames.luma[part], frames.chroma[part]) for part in (slice(2), slice(2, 6))
    ]
    follow_all = Coherence.follow_all

    def stylized() -> list[YuvFrames]:
        stylizer = Stylizer(style, engine="torch", device="cpu")
        return [*stylizer.stylize_yuv_batches(batches, BT709, coherence=Coherence(0.7))]

    def two_at_a_time(coherence: Coherence, frames: YuvFrames, *how: Any, **more: Any) -> YuvFrames:
        followed = follow_all(coherence, frames, *how, **more)
        if len(frames.luma) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return followed

    expected = stylized()
    monkeypatch.setattr(Coherence, "follow_all", two_at_a_time)
    for found, wanted in zip(stylized(), expected, strict=True):
        assert torch.equal(found.luma, wanted.luma)
        assert torch.equal(found.chroma, wanted.chroma)


@pytest.mark.parametrize("options", [{}, {"strength": 0.4}, {"keep_colors": True}], ids=str)
def test_a_picture_larger_than_a_tile_comes_out_as_the_whole(
    each_style: Style, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = moving_picture(0, 64, 64), moving_picture(0, 130, 171)
    cut, whole = (
        Stylizer(
            each_style, engine="torch", device="cpu", precision="float32", tile=tile, **options
        )
        for tile in (64, "off")
    )
    expected = whole.stylize(large), whole.stylize(small)

    def only_small(engine: TorchEngine, images: torch.Tensor) -> torch.Tensor:
        assert images.shape[-2:] == (64, 64)
        return run(engine, images)

    run = TorchEngine.run
    monkeypatch.setattr(TorchEngine, "run", only_small)
    # A sum in another order may round to the next byte.
    assert np.abs(cut.stylize(large).astype(int) - expected[0]).max() <= 1
    np.testing.assert_array_equal(cut.stylize(small), expected[1])
    batch = cut.stylize(np.stack([large, large[::-1]]))
    np.testing.assert_array_equal(batch[0], cut.stylize(large))
    assert np.abs(batch[1].astype(int) - batch[0]).max() > 1
    assert cut.engine == whole.engine == "torch cpu float32"


def test_pictures_are_cut_at_a_fixed_size_whatever_the_memory(
    style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = []
    strips = LayerwiseEngine.strips

    def noted(engine: LayerwiseEngine, picture: np.ndarray) -> Any:
        cut.append(picture.shape[:2])
        return strips(engine, picture)

    monkeypatch.setattr(LayerwiseEngine, "strips", noted)
    monkeypatch.setattr("nst_core.large_pictures.pieces._AUTO_SIDE", 70)
    stylizer = Stylizer(style, device="cpu")
    for height, width in ((70, 70), (49, 100), (71, 70)):
        stylizer.stylize(moving_picture(0, width, height))
    assert cut == [(71, 70)]
    Stylizer(style, device="cpu", tile="off").stylize(moving_picture(0, 100, 100))
    assert cut == [(71, 70)]


def test_what_the_device_cannot_hold_is_computed_in_pieces(
    style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = moving_picture(2)
    options: dict[str, Any] = {"engine": "torch", "device": "cpu", "precision": "float32"}
    expected = Stylizer(style, **options).stylize(picture)

    def full(engine: TorchEngine, images: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(TorchEngine, "run", full)
    found = Stylizer(style, **options).stylize(np.stack([picture] * 2))
    assert np.abs(found.astype(int) - expected).max() <= 1
    with pytest.raises(EnvironmentProblem, match="memory"):
        Stylizer(style, **options, tile="off").stylize(picture)


def test_float32_that_is_asked_for_is_stored_as_float32(style: Style) -> None:
    picture = moving_picture(1, 120, 90)
    outputs = {
        precision: Stylizer(style, device="cpu", engine="torch", precision=precision, tile=64)
        for precision in ("auto", "float32")
    }
    assert {stylizer.engine for stylizer in outputs.values()} == {"torch cpu float32"}
    whole = Stylizer(style, device="cpu", engine="torch", tile="off").stylize(picture)
    exact = outputs["float32"].stylize(picture)
    assert np.mean(exact != whole) < 1e-3
    assert np.mean(exact != whole) <= np.mean(outputs["auto"].stylize(picture) != whole)


def test_a_texture_network_draws_the_same_noise_in_pieces(tmp_path: Path) -> None:
    torch.manual_seed(1)
    path = tmp_path / "texture.safetensors"
    arguments: dict[str, Any] = {"scales": 3, "norm": "instance", "stylizes": True}
    save_generator(path, TextureNet(**arguments), CheckpointInfo("texture", arguments))
    picture = moving_picture(0, 101, 77)
    texture = find_style(str(path))
    options: dict[str, Any] = {"device": "cpu", "precision": "float32"}
    whole = Stylizer(texture, seed=5, tile="off", **options).stylize(picture)
    pieces = Stylizer(texture, seed=5, tile=64, **options).stylize(picture)
    other = Stylizer(texture, seed=6, tile=64, **options).stylize(picture)
    assert np.abs(pieces.astype(int) - whole).max() <= 1
    assert np.abs(other.astype(int) - whole).max() > 1


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("match_histogram", [False, True], ids=["as-is", "matched"])
def test_super_resolution_in_pieces_is_that_of_the_whole(
    tmp_path: Path, norm: NormName, match_histogram: bool
) -> None:
    torch.manual_seed(2)
    path = tmp_path / "network.safetensors"
    arguments = {"scale": 4, "width": 4, "norm": norm}
    network = SuperResolutionNet(4, 4, norm)
    save_generator(path, network, CheckpointInfo("super-resolution", arguments))
    picture = moving_picture(0, 150, 101)
    whole, pieces = (
        Stylizer(
            find_style(str(path)),
            engine="torch",
            device="cpu",
            precision="float32",
            match_histogram=match_histogram,
            tile=tile,
        ).stylize(picture)
        for tile in ("off", 64)
    )
    assert pieces.shape == (404, 600, 3)
    difference = np.abs(pieces.astype(int) - whole)
    assert difference.mean() < 0.01
    if not match_histogram:  # which spreads the few levels of a network that has learned nothing
        assert difference.max() <= 1


@pytest.mark.parametrize("tile", [63, 0, -5])
def test_tiles_that_are_too_small_are_refused(style: Style, tile: int) -> None:
    with pytest.raises(ValueError, match="64 or more"):
        Stylizer(style, tile=tile)


def test_colours_come_from_one_place(style: Style) -> None:
    with pytest.raises(ValueError, match="use one"):
        Stylizer(style, keep_colors=True, match_histogram=True)


def test_strength_blends_with_the_source(style: Style) -> None:
    picture = moving_picture(1)
    none, half, full = (
        Stylizer(style, engine="torch", device="cpu", strength=s).stylize(picture).astype(int)
        for s in (0, 0.5, 1)
    )
    np.testing.assert_array_equal(none, picture)
    assert np.abs(half - (picture.astype(int) + full) / 2).max() <= 1


def test_yuv_frames_become_what_their_rgb_becomes(each_style: Style, frames: YuvFrames) -> None:
    stylizer = Stylizer(each_style, engine="torch", device="cpu")
    stylized = stylizer.stylize_yuv(frames, BT709)
    rgb = (yuv_to_rgb(frames, BT709) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    expected = stylizer.stylize(rgb)[0].astype(float)
    found = yuv_to_rgb(stylized, BT709)[0].permute(1, 2, 0).numpy() * 255
    # Chroma is halved on the way: luma is what can be compared pixel by pixel.
    weights = np.array([0.2126, 0.7152, 0.0722])
    assert np.abs(found @ weights - expected @ weights).mean() < 2.5


def test_keeping_colors_leaves_the_chroma_of_video_frames(style: Style, frames: YuvFrames) -> None:
    stylized = Stylizer(style, keep_colors=True).stylize_yuv(frames, BT709)
    assert torch.equal(stylized.chroma, frames.chroma)
    assert not torch.equal(stylized.luma, frames.luma)


@pytest.mark.parametrize(
    "pictures", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)], ids=["2d", "float"]
)
def test_what_is_no_picture_is_refused(style: Style, pictures: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        Stylizer(style).stylize(pictures)
