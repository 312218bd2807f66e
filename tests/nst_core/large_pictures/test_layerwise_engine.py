"""Pictures in strips: every generator gives what its plain forward pass gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from nst_core.checkpoints.library import bundled_styles, find_style
from nst_core.color.pixels import to_unit_range
from nst_core.engines.choice import make_engine
from nst_core.engines.names import Precision
from nst_core.large_pictures import lazy_layers
from nst_core.large_pictures.channel_moments import ChannelMoments
from nst_core.large_pictures.layerwise_engine import LayerwiseEngine
from nst_core.large_pictures.lazy_picture import LazyPicture, StoredPicture, store
from nst_core.networks.fast_style_transfer import FastStyleTransferNet
from nst_core.networks.generator import Generator
from nst_core.networks.johnson_paper import JohnsonNet
from nst_core.networks.lean import LeanNet
from nst_core.networks.pytorch_examples import PytorchExamplesNet
from nst_core.networks.super_resolution import SuperResolutionNet
from nst_core.networks.texture import TextureNet
from nst_core.networks.transformer import TransformerNet
from nst_core.stylizer import Stylizer
from tests.kit.media import psnr

CPU = torch.device("cpu")
GENERATORS: dict[str, Callable[[], Generator]] = {
    "everyday": lambda: TransformerNet(4),
    "everyday, zeros": lambda: TransformerNet(4, "instance", "zeros"),
    "everyday, batch": lambda: TransformerNet(4, "batch"),
    "everyday, batch, zeros": lambda: TransformerNet(4, "batch", "zeros"),
    "lean": lambda: LeanNet(4),
    "lean, batch": lambda: LeanNet(4, "batch"),
    "lean, bilinear": lambda: LeanNet(4, upsampling="bilinear"),
    "johnson": lambda: JohnsonNet(4),
    "johnson, instance": lambda: JohnsonNet(4, "instance"),
    "pytorch-examples": lambda: PytorchExamplesNet(4),
    "fast-style-transfer": lambda: FastStyleTransferNet(4),
    "texture": lambda: TextureNet(3, "batch"),
    "texture that stylizes": lambda: TextureNet(3, "instance", stylizes=True),
    "texture that stylizes, batch": lambda: TextureNet(3, "batch", stylizes=True),
    "super-resolution": lambda: SuperResolutionNet(4, 4),
    "super-resolution, instance": lambda: SuperResolutionNet(8, 4, "instance"),
}
INSTANCE = ("everyday", "lean", "johnson, instance", "pytorch-examples", "fast-style-transfer")
SIZES = [(97, 61), (40, 64), (5, 3), (1, 300)]
"""Odd ones, those under most generators' least side, and a line."""
WHOLE = 2**24


@pytest.fixture(params=GENERATORS)
def generator(request: pytest.FixtureRequest) -> Generator:
    return _awake(request.param)


def _awake(name: str) -> Generator:
    """Random weights, norms that do something, an output that fills [0, 1]."""
    torch.manual_seed(7)
    network = GENERATORS[name]().eval()
    for module in network.modules():
        if isinstance(module, nn.InstanceNorm2d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.3, 3)
    if isinstance(network, PytorchExamplesNet):  # its output is divided by 255
        network.deconv3.conv2d.weight.data *= 100
        nn.init.constant_(network.deconv3.conv2d.bias, 127)  # type: ignore[arg-type]
    return network


def _picture(height: int, width: int) -> NDArray[np.uint8]:
    """Noise on a slope: its parts differ in their mean, as those of photographs do."""
    random = np.random.default_rng(5)
    slope = np.linspace(0, 150, height)[:, None, None] + np.linspace(0, 50, width)[:, None]
    return (slope + random.integers(0, 56, (height, width, 3))).astype(np.uint8)


def _plain(network: Generator, picture: NDArray[np.uint8]) -> Tensor:
    if network.draws_noise:
        cast("TextureNet", network).seed_noise(3)
    with torch.inference_mode():
        output: Tensor = network(to_unit_range(picture[None], CPU))
    return output


def _layerwise(
    network: Generator,
    picture: NDArray[np.uint8],
    *,
    strip_values: int = 1,
    precision: Precision = "float32",
    stored: Precision | None = None,
) -> Tensor:
    engine = LayerwiseEngine(
        network, device=CPU, precision=precision, stored=stored, seed=3, strip_values=strip_values
    )
    rows, strips = zip(*engine.strips(picture), strict=True)
    assert [r.start for r in rows] == [0, *(r.stop for r in rows[:-1])]
    return torch.cat(strips, dim=2)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("strip_values", [1, 2500, WHOLE], ids=["rows", "strips", "whole"])
def test_a_picture_in_strips_is_what_the_generator_makes_of_the_whole(
    generator: Generator, size: tuple[int, int], strip_values: int
) -> None:
    picture = _picture(*size)
    expected = _plain(generator, picture)
    found = _layerwise(generator, picture, strip_values=strip_values)
    # Sums in another order, in float32; norms over few pixels of little variance magnify them.
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    if min(size) > 30:
        assert expected.std() > 0.02  # it could not be right by chance


@pytest.mark.parametrize("name", INSTANCE)
def test_plain_tiles_would_be_noticed(name: str) -> None:
    network, picture = _awake(name), _picture(96, 64)
    tiles = torch.cat([_plain(network, half) for half in (picture[:48], picture[48:])], dim=2)
    assert (tiles - _plain(network, picture)).abs().max() > 0.05


@pytest.mark.parametrize(
    "name", ["everyday", "lean", "texture that stylizes", "super-resolution, instance"]
)
def test_what_is_too_large_to_be_stored_is_computed_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, picture = _awake(name), _picture(61, 50)
    stored = []

    def noted(
        picture: LazyPicture, watch: Callable[[slice, Tensor], None] | None = None
    ) -> StoredPicture:
        stored.append(picture.shape)
        return store(picture, watch)

    monkeypatch.setattr(lazy_layers, "store", noted)
    _layerwise(network, picture)
    all_of_them = len(stored)
    stored.clear()
    monkeypatch.setattr(lazy_layers, "_STORED_BYTES", 0)
    torch.testing.assert_close(
        _layerwise(network, picture), _plain(network, picture), rtol=0, atol=1e-4
    )
    assert len(stored) < all_of_them


def test_half_precision_may_wait_in_memory_and_what_it_cannot_hold_does_not() -> None:
    network, picture = _awake("everyday"), _picture(61, 50)
    expected = _plain(network, picture)
    found = _layerwise(network, picture, stored="float16")
    assert 1e-6 < (found - expected).abs().max() < 2e-2
    convolution = cast("Any", network).encoder[1][0]
    for parameter in convolution.parameters():
        parameter.data *= 1e6  # beyond float16; the norm behind it takes it out again
    expected = _plain(network, picture)
    assert (
        psnr(_layerwise(network, picture, stored="float16").numpy(), expected.numpy(), peak=1) > 50
    )


def test_pixels_do_not_depend_on_the_number_of_threads() -> None:
    network, picture = _awake("everyday"), _picture(300, 400)
    before = torch.get_num_threads()
    try:
        precisions: tuple[Precision, ...] = ("bfloat16", "float32")
        for precision in precisions:
            outputs = []
            for threads in (1, 2):
                torch.set_num_threads(threads)
                outputs.append(
                    _layerwise(network, picture, precision=precision, strip_values=2**14)
                )
            assert torch.equal(*outputs)
    finally:
        torch.set_num_threads(before)


def test_moments_are_exact_far_from_zero() -> None:
    torch.manual_seed(0)
    # Float32 sums of squares would be off by more than the variance: 1e8 against 1.
    values = torch.randn(1, 3, 60, 70) + torch.tensor([1e4, -1e4, 0]).view(1, 3, 1, 1)
    moments = ChannelMoments(values[:, :, :1])
    for first in range(0, 60, 8):
        moments.see(slice(first, first + 8), values[:, :, first : first + 8])
    expected = torch.var_mean(values.double(), (0, 2, 3), correction=0)
    mean, variance = moments.mean_and_variance()
    torch.testing.assert_close(mean, expected[1].float(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(variance, expected[0].float(), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda image: torch.fft.fft2(image), "fft_fft2"),
        (lambda image: nn.functional.conv2d(image, torch.ones(3, 3, 3, 3), dilation=2), "dilation"),
        (lambda image: nn.functional.interpolate(image, size=(3, 3)), "interpolate"),
        (lambda image: image * torch.ones(7, 7), "7"),
        (lambda image: image[..., ::2], "slice"),
    ],
    ids=["function", "dilation", "size", "constant", "step"],
)
def test_a_layer_that_is_not_known_is_refused_by_name(
    function: Callable[[Tensor], Tensor], name: str
) -> None:
    class Network(Generator):
        def forward(self, image: Tensor) -> Tensor:
            return function(image)

    with pytest.raises(NotImplementedError, match=name):
        _layerwise(Network(), _picture(7, 7))


@pytest.mark.slow
@pytest.mark.parametrize("name", bundled_styles())
def test_bundled_styles_in_strips_stay_within_45_db_of_the_whole(name: str, data: Path) -> None:
    paths = sorted((data / "photos").glob("*.jpg"))
    mosaic = Image.new("RGB", (2000, 1500))
    for number in range(12):
        photo = Image.open(paths[number]).convert("RGB").resize((500, 500))
        mosaic.paste(photo, (number % 4 * 500, number // 4 * 500))
    enlarged = Image.open(paths[3]).convert("RGB").resize((2000, 1500))
    # Pieces have no 8 bits, which a whole picture would have by itself, 43 dB from the others.
    precision = make_engine(find_style(name).load(), device="cpu").precision
    for picture in (np.asarray(mosaic), np.asarray(enlarged)):
        whole, pieces = (
            Stylizer(find_style(name), device="cpu", precision=precision, tile=tile).stylize(
                picture
            )
            for tile in ("off", 512)
        )
        assert psnr(whole, pieces) >= 45


@pytest.mark.gpu
def test_cuda_in_strips_equals_the_plain_pass(cuda: torch.device) -> None:
    network, picture = _awake("everyday"), _picture(97, 61)
    expected = _plain(network, picture)
    engine = LayerwiseEngine(network, device=cuda, precision="float16", strip_values=2500)
    found = torch.cat([strip for _, strip in engine.strips(picture)], dim=2).cpu()
    assert psnr(found.numpy(), expected.numpy(), peak=1) > 40
