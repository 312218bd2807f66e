import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from nst_core.engines.inference_form import QuantizedConv2d, inference_form
from nst_core.errors import CheckpointError
from nst_core.networks.generator import Generator
from nst_core.networks.lean import LeanNet
from nst_core.networks.registry import ARCHITECTURES, generator_class
from nst_core.networks.texture import TextureNet
from nst_core.networks.transformer import TransformerNet

_WIDTH = 4


def _generator(architecture: str) -> Generator:
    torch.manual_seed(0)
    if architecture == "texture":
        return TextureNet(scales=3).eval()
    return generator_class(architecture)(width=_WIDTH).eval()


@pytest.mark.parametrize("architecture", sorted(set(ARCHITECTURES) - {"texture"}))
@pytest.mark.parametrize("size", [(64, 96), (61, 77)])
def test_the_form_computes_the_same_picture(architecture: str, size: tuple[int, int]) -> None:
    generator = _generator(architecture)
    picture = torch.rand(2, 3, *size)
    with torch.inference_mode():
        expected, found = generator(picture), inference_form(generator)(picture)
    assert expected.std() > 0.001
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "architecture", ["johnson", "johnson-paper", "super-resolution", "pytorch-examples"]
)
def test_the_last_convolution_gives_four_pixels_at_once(architecture: str) -> None:
    generator = _generator(architecture)
    convs = [m for m in inference_form(generator).modules() if isinstance(m, nn.Conv2d)]
    assert (convs[-1].out_channels, convs[-1].stride) == (12, (2, 2))
    before = [m for m in generator.modules() if isinstance(m, nn.Conv2d)]
    assert (before[-1].out_channels, before[-1].stride) == (3, (1, 1))


def test_without_a_named_last_convolution_the_form_is_the_generator() -> None:
    generator = _generator("texture")
    assert generator.output_layer is None
    form = inference_form(generator)
    assert [type(module) for module in form.modules()] == [
        type(module) for module in generator.modules()
    ]


def test_an_eight_bit_convolution_multiplies_whole_numbers() -> None:
    torch.manual_seed(1)
    conv = nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect")
    features = torch.rand(1, 2, 6, 7) * 5 - 1
    low, high = -1.0, 3.0  # what is above is clipped
    found = QuantizedConv2d(conv, low, high)(features)

    scale = (high - low) / 255
    zero = round(-low / scale)
    codes = np.clip(np.rint(features.numpy() / scale) + zero, 0, 255).astype(np.int64) - zero
    weight = conv.weight.detach().numpy()
    steps = np.abs(weight).max(axis=(1, 2, 3)) / 127
    weight_codes = np.rint(weight / steps[:, None, None, None]).astype(np.int64)
    assert np.abs(weight_codes).max() == 127
    padded = np.pad(codes, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    sums = functional.conv2d(
        torch.from_numpy(padded).double(), torch.from_numpy(weight_codes).double()
    ).numpy()
    assert conv.bias is not None
    expected = sums * steps[:, None, None] * scale + conv.bias.detach().numpy()[:, None, None]
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-5)


def test_kernels_of_equal_sums_have_equal_sums_in_whole_numbers_too() -> None:
    torch.manual_seed(2)
    conv = LeanNet(8).to_full[0]
    assert isinstance(conv, nn.Conv2d)
    conv.weight.data[5] *= 3  # its sums are then others: a colour's places share one scale
    conv.weight.data[4:8] += (conv.weight[5:6] - conv.weight[4:8]).mean(dim=(2, 3), keepdim=True)
    before = conv.weight.clone()
    quantized = QuantizedConv2d(conv, 0.0, 4.0, places=4)
    assert torch.equal(conv.weight, before)
    codes = quantized.conv.weight / quantized.scale[:, None, None, None]
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-3)
    assert codes.abs().max() < 127.5
    sums = codes.round().sum(dim=(2, 3)).view(3, 4, -1)
    assert torch.equal(sums, sums[:, :1].expand_as(sums))
    steps = (codes - before / quantized.scale[:, None, None, None]).abs()
    assert steps.max() < 1
    assert steps.mean() < 0.35  # a quarter by rounding alone
    flat = torch.full((1, 8, 6, 6), 1.7)
    output = quantized(flat).view(3, 4, 36)
    torch.testing.assert_close(output, output[:, :1, :1].expand_as(output), rtol=0, atol=1e-5)


def test_ranges_make_a_copy_in_eight_bits_and_leave_the_generator_alone() -> None:
    generator = _generator("johnson")
    state = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    form = inference_form(generator, {"encoder.0.0": (0.0, 1.0), "decoder.4": (0.0, 6.0)})
    assert sum(isinstance(module, QuantizedConv2d) for module in form.modules()) == 2
    assert not any(isinstance(module, QuantizedConv2d) for module in generator.modules())
    for name, tensor in generator.state_dict().items():
        assert tensor.equal(state[name])
    picture = torch.rand(1, 3, 40, 48)
    with torch.inference_mode():
        difference = (form(picture) - generator(picture)).abs()
    assert 0 < difference.max() < 0.5


def test_a_range_of_no_convolution_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"range of decoder\.9"):
        inference_form(TransformerNet(2), {"decoder.9": (0.0, 1.0)})
