"""The lean generator: any size, and no pattern of its own where a picture is flat."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nst_core.engines.calibration import activation_ranges
from nst_core.engines.choice import make_engine
from nst_core.engines.eight_bit import EightBit
from nst_core.engines.engine import Engine
from nst_core.engines.names import PrecisionChoice
from nst_core.networks.lean import Binomial, LeanNet
from nst_core.networks.registry import NormName

_HEIGHT, _WIDTH = 192, 320
_FAR = 96
"""Pixels: what is farther away from all that is not flat does not see it."""


def _network(norm: NormName = "instance", width: int = 24) -> LeanNet:
    """Random weights, normalisations that do something, the contrast of a trained network."""
    torch.manual_seed(0)
    network = LeanNet(width, norm).eval()
    for module in network.modules():
        if isinstance(module, nn.InstanceNorm2d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.3, 3)
    _last(network).weight.data *= 3
    return network


def _last(network: LeanNet) -> nn.Conv2d:
    conv = network.get_submodule(network.sub_pixel_layer)
    assert isinstance(conv, nn.Conv2d)
    return conv


def _flat(colour: tuple[float, float, float] = (0.3, 0.5, 0.8)) -> Tensor:
    return torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, _HEIGHT, _WIDTH).contiguous()


def _black_with_a_speck() -> Tensor:
    frame = torch.zeros(1, 3, _HEIGHT, _WIDTH)
    frame[..., 150:152, 270:272] = 1
    return frame


def _black_bar_beside_a_photograph() -> Tensor:
    frame = torch.zeros(1, 3, _HEIGHT, _WIDTH)
    frame[..., 2 * _FAR :] = _photograph(_HEIGHT, _WIDTH - 2 * _FAR)
    return frame


def _photograph(height: int, width: int) -> Tensor:
    coarse = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(1))
    return functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)


def _pattern(output: Tensor) -> float:
    """How much of the far corner repeats every 8 pixels, from peak to peak, in codes of 255."""
    corner = output[0, :, :_FAR, :_FAR]
    squares = corner.reshape(3, _FAR // 8, 8, _FAR // 8, 8)
    square = squares.mean(dim=(1, 3))  # 3 x 8 x 8
    return float(255 * (square.amax(dim=(1, 2)) - square.amin(dim=(1, 2))).max())


def test_the_bundled_width_has_its_number_of_parameters() -> None:
    assert sum(parameter.numel() for parameter in LeanNet(24).parameters()) == 858_180


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("size", [(64, 96), (333, 217), (17, 16), (5, 70), (1, 1)])
def test_any_size_comes_back_the_same_size(norm: NormName, size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size) * 3 - 1
    with torch.no_grad():
        output = LeanNet(4, norm).eval()(images)
    assert output.shape == images.shape
    assert 0 <= output.min() <= output.max() <= 1


def test_what_pads_a_picture_does_not_move_it() -> None:
    network, picture = _network("batch", 4), torch.rand(1, 3, 80, 88)
    with torch.no_grad():
        whole, cut = network(picture), network(picture[..., :79, :83])
    torch.testing.assert_close(cut[..., :1, :1], whole[..., :1, :1], rtol=0, atol=1e-3)


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_a_constant_picture_comes_out_constant(norm: NormName) -> None:
    with torch.no_grad():
        output = _network(norm, 8)(_flat())
    spread = output.amax(dim=(2, 3)) - output.amin(dim=(2, 3))
    assert spread.max() < 1e-4


def test_a_batch_is_stylized_picture_by_picture() -> None:
    pictures, network = torch.rand(3, 3, 40, 48), _network(width=4)
    with torch.no_grad():
        together = network(pictures)
        apart = torch.cat([network(picture[None]) for picture in pictures])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-4)


def test_settled_kernels_of_a_square_have_equal_sums_and_biases() -> None:
    network = _network(width=8)
    _unsettle(network)
    network.constrain_weights()
    conv = _last(network)
    assert conv.bias is not None
    sums = conv.weight.sum(dim=(2, 3)).view(3, 4, -1)  # colours x places x inputs
    torch.testing.assert_close(sums, sums[:, :1].expand_as(sums), rtol=0, atol=1e-5)
    assert torch.equal(conv.bias.view(3, 4), conv.bias.view(3, 4)[:, :1].expand(3, 4))
    assert sums[0, 0].std() > 0.01
    assert conv.weight.view(3, 4, -1).std(dim=1).mean() > 0.01  # the places still differ


def test_settling_again_changes_nothing() -> None:
    network = _network(width=8)
    _unsettle(network)
    network.constrain_weights()
    once = copy.deepcopy(network.state_dict())
    network.constrain_weights()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, once[name], rtol=0, atol=1e-7)


def test_kernels_that_are_not_settled_draw_a_grid_into_flat_areas() -> None:
    network = _network()
    _unsettle(network)
    with torch.no_grad():
        before = _pattern(network(_flat()))
        network.constrain_weights()
        after = _pattern(network(_flat()))
    assert before > 10
    assert after < 0.01


@torch.no_grad()
def _unsettle(network: LeanNet) -> None:
    """What a step of the optimizer does to it."""
    for parameter in _last(network).parameters():
        parameter.add_(0.02 * torch.randn_like(parameter))


@torch.no_grad()
def test_smoothing_makes_nearest_neighbours_bilinear_but_for_the_borders() -> None:
    picture = torch.rand(2, 5, 9, 12)
    nearest, bilinear = (
        functional.interpolate(picture, scale_factor=2, mode=mode)
        for mode in ("nearest", "bilinear")
    )
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(Binomial(5)(nearest)[inside], bilinear[inside])


@torch.no_grad()
def test_a_network_enlarges_bilinearly_with_the_weights_it_has() -> None:
    network, smooth = _network(), LeanNet(upsampling="bilinear").eval()
    smooth.load_state_dict(network.state_dict())
    features = torch.rand(1, 96, 12, 15)
    conv = network.to_quarter[1]
    enlarged = functional.interpolate(features, scale_factor=2, mode="bilinear")
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(
        smooth.to_quarter(features)[inside], conv(enlarged)[inside], rtol=1e-4, atol=1e-4
    )


def test_width_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="width 0"):
        LeanNet(0)


@pytest.fixture(
    scope="module",
    params=[
        # Codes of 255. In bfloat16 each weight of the last kernels is rounded for itself.
        ("torch", "float32", 0.01),
        ("openvino", "float32", 0.01),
        ("openvino", "bfloat16", 0.5),
        ("openvino", "int8", 0.01),
    ],
    ids=lambda param: " ".join(param[:2]),
)
def engine_and_most(request: pytest.FixtureRequest) -> tuple[Engine, float]:
    """An engine, and how much of a pattern it may draw."""
    name, precision, most = request.param
    _skip_without(precision)
    network = _network()
    pictures = [_photograph(120, 160), _flat(), _black_bar_beside_a_photograph()]
    ranges = activation_ranges(network, pictures)
    eight_bit = EightBit(ranges, 45.0, 41.0, len(pictures))
    engine = make_engine(
        network, engine=name, device="cpu", precision=precision, eight_bit=eight_bit, threads=1
    )
    return engine, most


def _skip_without(precision: PrecisionChoice) -> None:
    from nst_core.engines.openvino_engine import _capabilities, _core

    if precision != "float32" and precision not in _capabilities(_core()):
        pytest.skip(f"this CPU does not compute {precision}")


@pytest.mark.parametrize(
    "make_frame",
    [_flat, _black_with_a_speck, _black_bar_beside_a_photograph],
    ids=["flat", "speck", "bar"],
)
def test_flat_areas_stay_flat_in_every_engine(
    engine_and_most: tuple[Engine, float], make_frame: Callable[[], Tensor]
) -> None:
    engine, most = engine_and_most
    assert _pattern(engine.run(make_frame())) < most
