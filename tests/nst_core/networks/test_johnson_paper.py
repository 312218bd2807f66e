"""The paper's own network, against its description computed step by step."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nst_core.networks.generator import ResidualBlock
from nst_core.networks.johnson_paper import JohnsonNet
from nst_core.networks.registry import NormName


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize(("width", "parameters"), [(32, 1_679_235), (16, 424_899)])
def test_parameter_counts_are_the_papers(width: int, parameters: int, norm: NormName) -> None:
    assert sum(p.numel() for p in JohnsonNet(width, norm).parameters()) == parameters


def test_the_sizes_of_table_1() -> None:
    network = JohnsonNet(4).eval()
    sizes: list[int] = []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d | ResidualBlock):
            module.register_forward_hook(lambda _m, _i, output: sizes.append(output.shape[-1]))
    with torch.no_grad():
        network(torch.rand(1, 3, 256, 256))
    in_blocks = [82, 80, 80, 78, 76, 76, 74, 72, 72, 70, 68, 68, 66, 64, 64]
    assert sizes == [336, 168, 84, *in_blocks, 128, 256, 256]


@pytest.mark.parametrize("size", [(64, 96), (333, 217), (45, 44), (5, 70), (1, 1)])
def test_any_size_comes_back_the_same_size(size: tuple[int, int]) -> None:
    with torch.no_grad():
        output = JohnsonNet(4, "instance")(torch.rand(1, 3, *size))
    assert output.shape == (1, 3, *size)
    assert torch.isfinite(output).all()


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_it_computes_what_table_1_says(norm: NormName) -> None:
    torch.manual_seed(0)
    network = JohnsonNet(4, norm).eval()
    image = torch.rand(2, 3, 64, 48)
    with torch.no_grad():
        torch.testing.assert_close(network(image), _by_hand(network, image), rtol=0, atol=1e-5)


def _by_hand(network: JohnsonNet, image: Tensor) -> Tensor:
    """Convolutions, norms and paddings spelt out, with the weights in the order of the file."""
    state = {k: v for k, v in network.state_dict().items() if "num_batches" not in k}
    tensors = iter(state.values())

    def weights() -> tuple[Tensor, Tensor]:
        return next(tensors), next(tensors)

    def norm(x: Tensor) -> Tensor:
        scale, shift = weights()
        if network.norm == "batch":
            mean, variance = (t.view(1, -1, 1, 1) for t in weights())
        else:
            mean, variance = x.mean((2, 3), True), x.var((2, 3), False, keepdim=True)
        x = (x - mean) / (variance + 1e-5).sqrt()
        return x * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)

    mean = torch.tensor([123.68, 116.779, 103.939]).view(1, 3, 1, 1)
    x = F.pad(image * 255 - mean, (40, 40, 40, 40), mode="reflect")
    x = F.relu(norm(F.conv2d(x, *weights(), padding=4)))
    x = F.relu(norm(F.conv2d(x, *weights(), stride=2, padding=1)))
    x = F.relu(norm(F.conv2d(x, *weights(), stride=2, padding=1)))
    for _ in range(5):
        inside = F.relu(norm(F.conv2d(x, *weights())))
        x = norm(F.conv2d(inside, *weights())) + x[:, :, 2:-2, 2:-2]
    for _ in range(2):
        up = F.conv_transpose2d(x, *weights(), stride=2, padding=1, output_padding=1)
        x = F.relu(norm(up))
    x = 150 * torch.tanh(F.conv2d(x, *weights(), padding=4)) + mean
    assert next(tensors, None) is None
    return (x / 255).clamp(0, 1)


def test_batch_normalisation_uses_running_averages_at_test_time_and_instance_does_not() -> None:
    pictures = torch.rand(3, 3, 48, 48)
    norms: tuple[NormName, ...] = ("batch", "instance")
    for norm in norms:
        network = JohnsonNet(4, norm)
        with torch.no_grad():
            network(pictures)  # moves the running averages
            trained = network(pictures).clamp(0, 1)
            tested = network.eval()(pictures)
            alone = torch.cat([network(picture[None]) for picture in pictures])
        torch.testing.assert_close(alone, tested, rtol=0, atol=1e-5)
        same = torch.allclose(trained, tested, atol=1e-4)
        assert same == (norm == "instance")


def test_norms_start_as_the_authors_code_does() -> None:
    norms = [m for m in JohnsonNet(16).modules() if isinstance(m, torch.nn.BatchNorm2d)]
    weights = torch.cat([m.weight.detach() for m in norms])
    assert len(norms) == 15
    assert all((m.bias == 0).all() for m in norms)
    assert weights.min() >= 0
    assert weights.max() <= 1
    assert abs(weights.mean().item() - 0.5) < 0.05


@pytest.mark.parametrize("arguments", [{"width": 0}, {"norm": "layer"}])
def test_impossible_arguments_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="is needed"):
        JohnsonNet(**arguments)  # type: ignore[arg-type]
