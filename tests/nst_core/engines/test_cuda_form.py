"""The form that is compiled for CUDA: the same picture, and less traffic."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from torch import nn

from nst_core.checkpoints.library import find_style
from nst_core.engines.cuda_form import GatheringConv2d, cuda_form
from nst_core.networks.generator import Generator
from nst_core.networks.registry import ARCHITECTURES, generator_class
from nst_core.networks.texture import TextureNet
from nst_core.networks.transformer import TransformerNet
from tests.kit.faked_h200 import bytes_moved

_SIZES = [(64, 96), (61, 77)]


def _assert_equal(generator: Generator, size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size)
    form = cuda_form(generator)
    for network in (generator, form):
        network.seed_noise(3)
    with torch.inference_mode():
        expected, found = generator(images), form(images)
    assert found.shape == expected.shape
    error = float((found - expected).square().mean().sqrt())
    assert error <= 1e-3 * float(expected.std())  # 60 dB, of whatever contrast


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
@pytest.mark.parametrize("size", _SIZES)
def test_the_form_computes_the_same_picture(architecture: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    is_texture = architecture == "texture"
    network = TextureNet(3) if is_texture else generator_class(architecture)(width=8)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    _assert_equal(network.eval(), size)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("name", ["wave", "starry_night", "x4", "bricks"])
def test_the_form_of_bundled_networks_computes_the_same_picture(name: str) -> None:
    _assert_equal(find_style(name).load(), _SIZES[1])


def test_nothing_is_doubled_or_reflected_by_itself() -> None:
    for architecture in ("johnson", "lean", "pytorch-examples"):
        modules = [*cuda_form(generator_class(architecture)(width=8)).modules()]
        assert not any(isinstance(module, nn.Upsample | nn.Conv2d) for module in modules)
        gathering = [module for module in modules if isinstance(module, GatheringConv2d)]
        assert sum(module.doubles for module in gathering) == 2
        assert gathering[0].weight.shape[1] == 8


@pytest.mark.skipif(
    torch.version.cuda is None or find_spec("triton") is None, reason="this torch has no Triton"
)
def test_a_frame_of_1080p_moves_2_6_gigabytes_at_most() -> None:
    """As many frames as a batch has; as the network is written, it would be 4.4."""
    moved, kernels = bytes_moved(cuda_form(TransformerNet(16).eval()), 8, 1080, 1920)
    assert 2.2e9 < moved / 8 <= 2.6e9
    assert kernels < 90
