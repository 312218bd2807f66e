from __future__ import annotations

from torch import nn

from nst_core.networks.transformer import TransformerNet
from tests.benchmarks.ceilings import Convolutions, convolution_rates
from tests.benchmarks.operations import operations


def test_operations_of_a_network_are_those_of_its_layers() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, stride=2),
        nn.InstanceNorm2d(8, affine=True),
        nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1),
    )
    height, width = 20, 32
    quarter = height * width // 4
    # A multiply-add is two; the transposed one works at each pixel that it is given.
    expected = 2 * quarter * 9 * (3 * 8) + 2 * quarter * 9 * (8 * 4)
    assert operations(network, height=height, width=width) == expected


def test_operations_of_the_everyday_generator_are_those_of_its_table() -> None:
    height, width, c = 64, 96, 16
    full, half, quarter = (height * width // 4**i for i in range(3))
    multiply_adds = (
        full * 81 * 3 * c
        + half * 9 * c * 2 * c
        + quarter * 9 * 2 * c * 4 * c
        + 10 * quarter * 9 * (4 * c) ** 2
        + half * 9 * 4 * c * 2 * c
        + full * 9 * 2 * c * c
        + full * 81 * c * 3
    )
    assert operations(TransformerNet(c), height=height, width=width) == 2 * multiply_adds


def test_every_engine_has_a_ceiling_above_nothing() -> None:
    tiny = Convolutions(channels=16, side=8, pictures=1)
    rates = convolution_rates(tiny, tiny, rounds=1)
    assert {"torch cpu float32", "openvino cpu float32", "openvino cpu int8"} <= rates.keys()
    assert all(rate > 0 for rate in rates.values())


def test_eight_bit_ceilings_multiply_integers() -> None:
    import openvino

    from tests.benchmarks.ceilings import _openvino_model

    tiny = Convolutions(channels=16, side=8, pictures=1)
    compiled = openvino.Core().compile_model(_openvino_model(tiny, "int8"), "CPU")
    layers = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    precisions = {
        layer["runtimePrecision"].astype(str)
        for layer in layers
        if layer["layerType"].astype(str) == "Convolution"
    }
    assert precisions <= {"u8", "i8"}
    assert precisions
