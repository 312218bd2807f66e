"""Many styles in one network: against torch's own layers, and against plain generators."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nst_core.checkpoints.checkpoint import (
    build_generator,
    load_generator,
    read_state,
    save_generator,
    save_state,
)
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.errors import CheckpointError
from nst_core.networks.conditional_norm import (
    ConditionalInstanceNorm2d,
    MultiStyleGenerator,
    joined,
    mixed,
    norm_names,
)
from nst_core.networks.texture import TextureNet
from nst_core.networks.transformer import TransformerNet

STYLES = ("wave", "starry_night", "scream")
INFOS = {
    "johnson": CheckpointInfo("johnson", {"width": 4}, styles=STYLES),
    "johnson-paper": CheckpointInfo(
        "johnson-paper", {"width": 4, "norm": "instance"}, styles=STYLES
    ),
    "texture": CheckpointInfo("texture", {"scales": 2, "stylizes": True}, styles=STYLES),
}


def _multi_style(info: CheckpointInfo, seed: int = 0) -> MultiStyleGenerator:
    """Every parameter is random, so that no two styles are alike."""
    torch.manual_seed(seed)
    network = MultiStyleGenerator(build_generator(info), len(info.styles)).eval()
    for parameter in network.style_parameters():
        nn.init.uniform_(parameter, -1, 1)
    return network


def _run(network: nn.Module, *inputs: Tensor) -> Tensor:
    """With noise, where there is any, that is the same in both."""
    for module in network.modules():
        if isinstance(module, TextureNet):
            module.seed_noise(1)
    with torch.no_grad():
        output: Tensor = network(*inputs)
    return output


def test_the_layer_is_torchs_own_with_the_parameters_of_a_style() -> None:
    torch.manual_seed(0)
    norm = ConditionalInstanceNorm2d(nn.InstanceNorm2d(5, affine=True), 3)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    features = torch.randn(3, 5, 7, 9) * 4 + 2
    choice = [2, 0, 2]
    norm.mixture = torch.eye(3)[choice]
    output = norm(features)
    for number, style in enumerate(choice):
        own = nn.InstanceNorm2d(5, affine=True)
        own.load_state_dict({"weight": norm.weight[style], "bias": norm.bias[style]})
        torch.testing.assert_close(output[number : number + 1], own(features[number : number + 1]))


def test_a_fresh_layer_has_for_each_style_what_it_replaces() -> None:
    plain = nn.InstanceNorm2d(5, eps=1e-3, affine=True)
    nn.init.normal_(plain.weight)
    norm = ConditionalInstanceNorm2d(plain, 2)
    norm.mixture = torch.tensor([[0.25, 0.75]])
    features = torch.randn(1, 5, 7, 9) * 0.05  # so small that the layer's eps is seen
    torch.testing.assert_close(norm(features), plain(features))


@pytest.mark.parametrize("architecture", INFOS)
@pytest.mark.parametrize("weights", [{"starry_night": 1.0}, {"wave": 0.7, "scream": 0.3}])
def test_a_mixture_is_the_plain_generator_that_is_loaded(
    architecture: str, weights: dict[str, float], tmp_path: Path
) -> None:
    network = _multi_style(INFOS[architecture])
    path = tmp_path / "pack.safetensors"
    save_generator(path, network.generator, INFOS[architecture])
    plain, info = load_generator(path, weights)
    assert not any(isinstance(module, MultiStyleGenerator) for module in plain.modules())
    assert info == INFOS[architecture]
    image = torch.rand(2, 3, 48, 52)
    mixture = torch.tensor([[weights.get(style, 0.0) for style in STYLES]]).repeat(2, 1)
    torch.testing.assert_close(_run(plain, image), _run(network, image, mixture))
    other = torch.tensor([[0.0, 0.0, 1.0]]).repeat(2, 1)
    assert (_run(network, image, mixture) - _run(network, image, other)).abs().max() > 0.01


def test_each_picture_of_a_batch_has_its_own_style() -> None:
    network = _multi_style(INFOS["johnson"])
    images, mixture = torch.rand(3, 3, 32, 40), torch.eye(3)[[1, 0, 1]]
    together = _run(network, images, mixture)
    for n in range(3):
        alone = _run(network, images[n : n + 1], mixture[n : n + 1])
        torch.testing.assert_close(together[n : n + 1], alone, rtol=0, atol=1e-5)


def test_only_the_proportions_of_a_mixture_count() -> None:
    info = INFOS["johnson"]
    state = _multi_style(info).generator.state_dict()
    plain = build_generator(info)
    few, many = ({"wave": factor * 7, "scream": factor * 3} for factor in (0.1, 10))
    for name, tensor in mixed(plain, state, STYLES, few).items():
        torch.testing.assert_close(tensor, mixed(plain, state, STYLES, many)[name])


def test_bfloat16_stays_near_float32() -> None:
    network = _multi_style(INFOS["johnson"])
    image, mixture = torch.rand(2, 3, 48, 48), torch.eye(3)[:2]
    exact = _run(network, image, mixture)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = _run(network, image, mixture)
        plain = build_generator(INFOS["johnson"]).eval()
        state = network.generator.state_dict()
        plain.load_state_dict(mixed(plain, state, STYLES, {"wave": 1.0}))
        as_plain = _run(plain, image[:1])
    exact, rounded, as_plain = exact.double(), rounded.double(), as_plain.double()
    # As near as the plain network of the same weights comes, whose layers are torch's.
    error, plain_error = (rounded[:1] - exact[:1]).norm(), (as_plain - exact[:1]).norm()
    assert 0 < error < 1.5 * plain_error
    assert error < 0.05 * exact[:1].norm()


def test_a_copy_is_independent_and_keeps_its_norms() -> None:
    network = _multi_style(INFOS["johnson"])
    image, mixture = torch.rand(1, 3, 32, 32), torch.tensor([[0.0, 1.0, 0.0]])
    expected = _run(network, image, mixture)
    other = copy.deepcopy(network)
    for mine, theirs in zip(network.norms, other.norms, strict=True):
        assert mine is not theirs
    assert set(map(id, other.norms)) <= set(map(id, other.modules()))
    for parameter in network.style_parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(_run(other, image, mixture), expected, rtol=0, atol=0)


def test_a_network_without_a_mixture_says_so_instead_of_guessing() -> None:
    network = _multi_style(INFOS["johnson"])
    image = torch.rand(1, 3, 32, 32)
    _run(network, image, torch.tensor([[1.0, 0, 0]]))
    with pytest.raises(RuntimeError, match="no mixture"):
        network.generator(image)


def test_a_generator_without_instance_normalisation_cannot_have_styles() -> None:
    with pytest.raises(ValueError, match="instance normalisation"):
        MultiStyleGenerator(TransformerNet(4, norm="batch"), 2)


def test_names_of_the_state_are_the_plain_generators() -> None:
    info = INFOS["johnson"]
    plain, network = build_generator(info), _multi_style(info)
    state = network.generator.state_dict()
    assert state.keys() == plain.state_dict().keys()
    for name, tensor in plain.state_dict().items():
        of_norm = name.rpartition(".")[0] in norm_names(plain)
        assert state[name].shape == ((3, *tensor.shape) if of_norm else tensor.shape)


def _base(info: CheckpointInfo) -> dict[str, Tensor]:
    """State of a plain network, or of one with the styles of ``info``."""
    if info.styles:
        return _multi_style(info, seed=4).generator.state_dict()
    torch.manual_seed(4)
    return build_generator(info).state_dict()


@pytest.mark.parametrize("styles", [(), STYLES])
def test_a_new_style_starts_as_the_mean_and_alone_is_fitted(styles: tuple[str, ...]) -> None:
    info = CheckpointInfo("johnson", {"width": 4}, styles=styles)
    base = _base(info)
    before = {name: tensor.clone() for name, tensor in base.items()}
    network = MultiStyleGenerator(build_generator(info), 2)
    network.start_from(base)
    image = torch.rand(1, 3, 32, 32)
    plain = build_generator(info).eval()
    plain.load_state_dict(
        mixed(plain, base, styles, dict.fromkeys(styles, 1.0)) if styles else base
    )
    started = _run(network.eval(), image, torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(started, _run(plain, image))
    fitted = [p for p in network.parameters() if p.requires_grad]
    assert set(map(id, fitted)) == set(map(id, network.style_parameters()))
    optimizer = torch.optim.Adam(fitted, lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        network(image, torch.tensor([[0.0, 1.0]])).mean().backward()
        optimizer.step()
    assert all(p.grad is None for p in network.parameters() if not p.requires_grad)
    new = network.generator.state_dict()
    names = norm_names(build_generator(info))
    for name, tensor in before.items():
        assert torch.equal(base[name], tensor), f"{name} of the base was written to"
        if name.rpartition(".")[0] not in names:
            assert torch.equal(new[name], tensor), f"{name} was fitted too"
    assert (_run(network, image, torch.tensor([[0.0, 1.0]])) - started).abs().max() > 0.01


@pytest.mark.parametrize(
    ("styles", "is_plain"), [(("old",), True), (("old",), False), (STYLES, False)]
)
def test_what_is_joined_has_the_old_styles_bit_for_bit_and_the_new_ones(
    styles: tuple[str, ...], is_plain: bool, tmp_path: Path
) -> None:
    info = CheckpointInfo("johnson", {"width": 16}, styles=() if is_plain else styles)
    base = _base(info)
    network = MultiStyleGenerator(build_generator(info), 2)
    network.start_from(base)
    for parameter in network.style_parameters():
        nn.init.uniform_(parameter, -1, 1)
    state = joined(build_generator(info), base, network.generator.state_dict())
    all_of_them = CheckpointInfo("johnson", {"width": 16}, styles=(*styles, "new", "newer"))
    before, after = tmp_path / "before.safetensors", tmp_path / "after.safetensors"
    save_state(before, base, info)
    save_state(after, state, all_of_them)
    for style in styles:
        expected, _ = load_generator(before, None if is_plain else {style: 1.0})
        found, _ = load_generator(after, {style: 1.0})
        for name, tensor in expected.state_dict().items():
            assert torch.equal(found.state_dict()[name], tensor), f"{name} of {style}"
    image = torch.rand(1, 3, 32, 32)
    newer, _ = load_generator(after, {"newer": 1.0})
    torch.testing.assert_close(
        _run(newer, image), _run(network.eval(), image, torch.tensor([[0.0, 1.0]]))
    )
    # Two styles of 15 normalisations, 32-bit scale and shift for each channel.
    channels = sum(len(tensor) for name, tensor in newer.named_parameters() if _is_scale(name))
    growth = after.stat().st_size - before.stat().st_size
    assert abs(growth - 2 * 2 * 4 * channels) < 600  # the header changes, too
    assert growth < 20_000


def _is_scale(name: str) -> bool:
    names = norm_names(TransformerNet(16))
    return name.removesuffix(".weight") in names


@pytest.mark.parametrize(
    "damage",
    [
        lambda rows: rows[:2],  # a style too few
        lambda rows: rows[0],  # as of a plain network
        lambda rows: rows[:, :-1],  # a channel too few
        lambda rows: rows[None],
    ],
)
def test_rows_that_do_not_fit_the_styles_are_refused(damage: Any, tmp_path: Path) -> None:
    state = _multi_style(INFOS["johnson"]).generator.state_dict()
    name = f"{norm_names(TransformerNet(4))[3]}.bias"
    path = tmp_path / "pack.safetensors"
    save_state(path, {**state, name: damage(state[name])}, INFOS["johnson"])
    with pytest.raises(CheckpointError, match=r"pack\.safetensors.*damaged"):
        load_generator(path, {"wave": 1.0})
    tensors, _ = read_state(path)
    del tensors[name]
    save_state(path, tensors, INFOS["johnson"])
    with pytest.raises(CheckpointError, match="damaged"):
        load_generator(path, {"wave": 1.0})


@pytest.mark.parametrize("mixture", [None, {}, {"wave": 0.0}, {"monet": 1.0}])
def test_a_pack_is_not_loaded_without_a_style_of_its_own(
    mixture: dict[str, float] | None, tmp_path: Path
) -> None:
    path = tmp_path / "pack.safetensors"
    save_generator(path, _multi_style(INFOS["johnson"]).generator, INFOS["johnson"])
    with pytest.raises(CheckpointError, match="wave, starry_night, scream"):
        load_generator(path, mixture)
