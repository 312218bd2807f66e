from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nst_core.networks.registry import NormName
from nst_core.networks.texture import TextureNet


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize(("scales", "parameters"), [(5, 71_659), (6, 116_915)])
def test_parameter_counts_are_the_papers(scales: int, parameters: int, norm: NormName) -> None:
    assert sum(p.numel() for p in TextureNet(scales, norm).parameters()) == parameters


@pytest.mark.parametrize("stylizes", [False, True])
@pytest.mark.parametrize("size", [(64, 96), (333, 217), (5, 70), (1, 1)])
def test_any_size_comes_back_the_same_size(size: tuple[int, int], stylizes: bool) -> None:
    with torch.no_grad():
        output = TextureNet(stylizes=stylizes).eval()(torch.rand(1, 3, *size))
    assert output.shape == (1, 3, *size)
    assert output.min() >= 0
    assert output.max() <= 1


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_noise_is_redrawn_at_every_forward_and_repeats_from_a_seed(norm: NormName) -> None:
    network = TextureNet(3, norm).eval()
    blank = torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        network.seed_noise(7)
        first, second = network(blank), network(blank)
        network.seed_noise(7)
        again = network(blank)
        network.seed_noise(8)
        other = network(blank)
    assert torch.equal(first, again)
    assert not torch.allclose(first, second)
    assert not torch.allclose(first, other)


def test_a_picture_with_a_seed_of_its_own_is_the_same_alone_and_in_any_batch() -> None:
    network = TextureNet(3).eval()
    with torch.no_grad():
        network.seed_noise(4, 9)
        pair = network(torch.zeros(2, 3, 32, 32))
        for number, seed in enumerate((4, 9)):
            network.seed_noise(seed)
            torch.testing.assert_close(network(torch.zeros(1, 3, 32, 32))[0], pair[number])
    assert not torch.allclose(*pair)


@pytest.mark.parametrize("stylizes", [True, False])
def test_gradients_of_five_scales_do_not_depend_on_how_a_batch_is_cut(stylizes: bool) -> None:
    # In float64: at this start a float32 gradient of five scales is a percent of rounding.
    random = torch.Generator().manual_seed(1)
    pictures, weights = torch.rand(2, 4, 3, 32, 32, generator=random, dtype=torch.float64)
    found = []
    for cut in ([[0, 1, 2, 3]], [[0, 1], [2, 3]], [[3], [0, 2], [1]]):
        torch.manual_seed(2)
        network = TextureNet(5, stylizes=stylizes).double()
        for part in cut:
            network.seed_noise(*part)
            (network(pictures[part]) * weights[part]).sum().backward()
        gradients = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        found.append(torch.cat(gradients))
    for gradient in found[1:]:
        assert (gradient - found[0]).norm() <= 1e-10 * found[0].norm()


def test_noise_is_uniform_and_drawn_for_every_scale() -> None:
    network = TextureNet(5)
    noise = network.draw_noise(torch.zeros(2, 3, 64, 96))
    assert [tuple(z.shape) for z in noise] == [
        *((2, 3, 64, 96), (2, 3, 32, 48), (2, 3, 16, 24), (2, 3, 8, 12), (2, 3, 4, 6))
    ]
    values = torch.cat([z.flatten() for z in noise])
    assert values.min() >= 0
    assert values.max() < 1
    assert abs(values.mean().item() - 0.5) < 0.01
    assert abs(values.var().item() - 1 / 12) < 0.005


def test_every_scale_of_the_noise_reaches_the_texture() -> None:
    network = TextureNet(4).eval()
    blank = torch.zeros(1, 3, 32, 32)
    noise = network.draw_noise(blank)
    with torch.no_grad():
        before = network.generate(noise, None)
        for level in range(4):
            changed = [z.flip(3) if i == level else z for i, z in enumerate(noise)]
            assert not torch.allclose(network.generate(changed, None), before, atol=1e-4)


def test_only_the_size_of_the_input_counts_for_textures_and_its_content_for_stylization() -> None:
    picture, other = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    for stylizes in (False, True):
        network = TextureNet(3, stylizes=stylizes).eval()
        outputs = []
        for image in (picture, other):
            network.seed_noise(0)
            with torch.no_grad():
                outputs.append(network(image))
        assert torch.equal(*outputs) == (not stylizes)


def test_a_texture_shifts_with_its_noise_around_the_border() -> None:
    # Circular padding: there is no border. Shift every scale of the noise alike, and the texture
    # is the same, shifted; any other padding would show at the border.
    network = TextureNet(3).eval()
    noise = network.draw_noise(torch.zeros(1, 3, 32, 48))
    shifted = [z.roll((8 >> i, 16 >> i), (2, 3)) for i, z in enumerate(noise)]
    with torch.no_grad():
        texture = network.generate(noise, None)
        moved = network.generate(shifted, None)
    torch.testing.assert_close(moved, texture.roll((8, 16), (2, 3)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("stylizes", [False, True])
def test_it_computes_what_the_description_says(norm: NormName, stylizes: bool) -> None:
    torch.manual_seed(0)
    network = TextureNet(3, norm, stylizes).eval()
    content = torch.rand(2, 3, 16, 24)
    noise = network.draw_noise(content)
    with torch.no_grad():
        ours = network.generate(noise, content if stylizes else None)
        torch.testing.assert_close(ours, _by_hand(network, noise, content), rtol=0, atol=1e-5)


def _by_hand(network: TextureNet, noise: list[Tensor], content: Tensor) -> Tensor:
    state: dict[str, Tensor] = network.state_dict()

    def norm(x: Tensor, name: str) -> Tensor:
        axes = (0, 2, 3) if network.norm == "batch" else (2, 3)  # of the batch at test time too
        x = (x - x.mean(axes, True)) / (x.var(axes, False, keepdim=True) + 1e-5).sqrt()
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return x * weight.view(1, -1, 1, 1) + bias.view(1, -1, 1, 1)

    def block(x: Tensor, name: str) -> Tensor:
        for place, border in ((0, 1), (3, 1), (6, 0)):
            weight, bias = state[f"{name}.{place}.weight"], state[f"{name}.{place}.bias"]
            x = F.conv2d(F.pad(x, (border,) * 4, mode="circular"), weight, bias)
            x = norm(x, f"{name}.{place + 1}")
            x = torch.where(x > 0, x, 0.01 * x)
        return x

    coarse: Tensor | None = None
    for level in (2, 1, 0):
        inputs = noise[level]
        if network.stylizes:
            size = 2**level
            n, c, h, w = content.shape
            pooled = content.view(n, c, h // size, size, w // size, size).mean((3, 5))
            inputs = torch.cat((pooled, inputs), 1)
        fine = block(inputs, f"heads.{level}")
        if coarse is None:
            coarse = fine
            continue
        join = f"joins.{1 - level}"
        doubled = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
        parts = (norm(doubled, f"{join}.coarse_norm"), norm(fine, f"{join}.fine_norm"))
        coarse = block(torch.cat(parts, 1), f"{join}.block")
    assert coarse is not None
    return F.conv2d(coarse, state["tail.weight"], state["tail.bias"])


def test_too_many_scales_are_refused() -> None:
    with pytest.raises(ValueError, match="scales 9"):
        TextureNet(9)
