from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, get_args

import numpy as np
import pytest
import torch

from nst_core.errors import InputError
from nst_core.objectives.layers import content_terms
from nst_core.objectives.loss_network import LossNetwork
from nst_core.objectives.losses import channel_means, gram_matrix, total_variation
from nst_core.objectives.palette import color_moments, palette_loss
from nst_core.objectives.perceptual import FixedContentObjective, Losses, PerceptualObjective
from nst_core.objectives.settings import (
    GATYS_STYLE_LAYERS,
    ObjectiveSettings,
    Pooling,
    Scaling,
    StyleStatistic,
)
from nst_core.objectives.shading import shading_loss
from nst_core.objectives.style_loss import StyleLoss, content_errors
from nst_core.objectives.weights.reading import LossNetworkWeights


@pytest.fixture
def style_image() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.rand(1, 3, 40, 56)


def test_the_style_image_itself_has_no_style_loss(
    vgg19: LossNetworkWeights, style_image: torch.Tensor
) -> None:
    objective = PerceptualObjective(vgg19, style_image, ObjectiveSettings())
    losses = objective(style_image, torch.rand(1, 3, 40, 56))
    assert losses.style.item() < 1e-8
    assert losses.content.item() > 0.01


def test_the_content_itself_has_no_content_loss(
    vgg19: LossNetworkWeights, style_image: torch.Tensor
) -> None:
    objective = PerceptualObjective(vgg19, style_image, ObjectiveSettings())
    content = torch.rand(2, 3, 40, 40)
    losses = objective(content, content)
    assert losses.content.item() < 1e-8
    assert losses.style.item() > 0


def test_the_total_is_the_weighted_sum(
    vgg19: LossNetworkWeights, style_image: torch.Tensor
) -> None:
    settings = ObjectiveSettings(2.0, 3.0, 0.5)
    objective = PerceptualObjective(vgg19, style_image, settings)
    stylized = torch.rand(1, 3, 32, 32)
    losses = objective(stylized, torch.rand(1, 3, 32, 32))
    expected = 2 * losses.content + 3 * losses.style + 0.5 * total_variation(stylized)
    torch.testing.assert_close(losses.total, expected)


def test_light_and_colours_are_weighed_too_those_of_each_pictures_own_painting(
    vgg19: LossNetworkWeights, style_image: torch.Tensor
) -> None:
    paintings = [style_image, 0.5 * style_image.flip(1)]
    stylized, content = torch.rand(2, 2, 3, 32, 32)
    totals = [
        PerceptualObjective(vgg19, paintings, settings)(
            stylized, content, torch.tensor([1, 1])
        ).total
        for settings in (
            ObjectiveSettings(),
            ObjectiveSettings(shading_weight=3.0),
            ObjectiveSettings(palette_weight=2.0),
        )
    ]
    shading = 3 * shading_loss(stylized, content)
    palette = 2 * palette_loss(stylized, color_moments(paintings[1]))
    torch.testing.assert_close(totals[1] - totals[0], shading, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(totals[2] - totals[0], palette, atol=1e-4, rtol=1e-3)


def test_paper_scaling_is_the_plain_formulas(
    vgg19: LossNetworkWeights, style_image: torch.Tensor
) -> None:
    objective = PerceptualObjective(vgg19, style_image, ObjectiveSettings(scaling="paper"))
    stylized, content = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    losses = objective(stylized, content)
    ours, styles, contents = (
        objective.network(image) for image in (stylized, style_image, content)
    )
    style = sum(
        (gram_matrix(ours[layer]) - gram_matrix(styles[layer])).square().sum()
        for layer in ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
    )
    torch.testing.assert_close(losses.style, style)
    content_loss = (ours["relu4_2"] - contents["relu4_2"]).square().mean()
    torch.testing.assert_close(losses.content, content_loss)


def test_relative_scaling_does_not_depend_on_the_scale_of_the_loss_network(
    vgg19: LossNetworkWeights, style_image: torch.Tensor
) -> None:
    # The same network with 50 times larger activations, as Caffe's are beside torchvision's.
    first = dict(vgg19.tensors)
    first["features.0.weight"] = first["features.0.weight"] * 50
    biases = {k: v * 50 for k, v in first.items() if k.endswith("bias")}
    scaled = LossNetworkWeights("vgg19", first | biases, vgg19.mean, vgg19.std, "scaled")
    stylized, content = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    a, b = (
        PerceptualObjective(weights, style_image, ObjectiveSettings())(stylized, content)
        for weights in (vgg19, scaled)
    )
    torch.testing.assert_close(a.total, b.total, rtol=1e-3, atol=0)


def test_gradients_reach_the_picture_and_no_weight(
    vgg19: LossNetworkWeights, style_image: torch.Tensor
) -> None:
    objective = PerceptualObjective(vgg19, style_image, ObjectiveSettings())
    stylized = torch.rand(1, 3, 32, 32, requires_grad=True)
    objective(stylized, torch.rand(1, 3, 32, 32)).total.backward()
    assert stylized.grad is not None
    assert stylized.grad.abs().sum() > 0
    assert all(p.grad is None for p in objective.parameters())


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_impossible_weights_are_refused(weight: float) -> None:
    with pytest.raises(InputError, match="--style-weight"):
        ObjectiveSettings(style_weight=weight)


@pytest.mark.parametrize("scaling", get_args(Scaling))
def test_every_scaling_is_its_formula_in_float64(
    scaling: Scaling, vgg19: LossNetworkWeights, style_image: torch.Tensor
) -> None:
    settings = ObjectiveSettings(
        tv_weight=1e-6,
        scaling=scaling,
        content_layers=("relu4_2",),
        style_layers=GATYS_STYLE_LAYERS,
    )
    objective = PerceptualObjective(vgg19, style_image, settings)
    stylized, content = torch.rand(1, 3, 40, 56), torch.rand(1, 3, 40, 56)
    with torch.no_grad():
        losses = objective(stylized, content)
        network = LossNetwork(vgg19, (*GATYS_STYLE_LAYERS, "relu4_2"))
        ours, styles, contents = (
            {
                k: (_inside(k, v) if scaling == "relative" else v)[0].double().numpy()
                for k, v in network(image).items()
            }
            for image in (stylized, style_image, content)
        )
    errors = [_style_error(ours[k], styles[k], scaling) for k in GATYS_STYLE_LAYERS]
    style = np.mean(errors) if scaling in ("gatys", "relative") else np.sum(errors)
    difference = (ours["relu4_2"] - contents["relu4_2"]) ** 2
    content_error = {
        "paper": difference.sum() / difference.size,
        "authors": difference.sum() / difference.size,
        "gatys": 0.5 * difference.sum(),
        "plain": difference.sum(),
        "relative": difference.sum() / (contents["relu4_2"] ** 2).sum(),
    }[scaling]
    np.testing.assert_allclose(losses.style.item(), style, rtol=1e-5)
    variation = _variation(stylized[0].double().numpy(), scaling)
    np.testing.assert_allclose(losses.content.item(), content_error, rtol=1e-5)
    np.testing.assert_allclose(losses.tv.item(), variation, rtol=1e-5)
    total = content_error + 5 * style + 1e-6 * variation
    np.testing.assert_allclose(losses.total.item(), total, rtol=1e-5)


def test_the_objective_looks_through_the_pooling_that_is_asked_for(
    vgg19: LossNetworkWeights, style_image: torch.Tensor
) -> None:
    picture = torch.rand(1, 3, 40, 56)
    terms: dict[str, Any] = {"style_layers": ("relu2_1",), "content_weight": 0.0}
    errors = []
    for pooling in get_args(Pooling):
        settings = ObjectiveSettings(scaling="gatys", pooling=pooling, **terms)
        losses = PerceptualObjective(vgg19, style_image, settings)(picture, picture)
        network = LossNetwork(vgg19, ["relu2_1"], pooling)
        ours, style = (network(p)["relu2_1"][0].double().numpy() for p in (picture, style_image))
        np.testing.assert_allclose(losses.style, _style_error(ours, style, "gatys"), rtol=1e-5)
        errors.append(losses.style.item())
    assert errors[0] != errors[1]


@pytest.mark.parametrize("scaling", get_args(Scaling))
def test_several_weighted_layers_are_their_formula_in_float64(
    scaling: Scaling, vgg19: LossNetworkWeights, style_image: torch.Tensor
) -> None:
    styles, contents = {"relu1_1": 1.0, "relu4_1": 15.0}, {"relu1_1": 0.5, "relu3_1": 3.0}
    settings = ObjectiveSettings(
        scaling=scaling,
        style_layers=tuple(f"{name}={weight:g}" for name, weight in styles.items()),
        content_layers=tuple(f"{name}={weight:g}" for name, weight in contents.items()),
    )
    stylized, content = torch.rand(1, 3, 40, 56), torch.rand(1, 3, 40, 56)
    with torch.no_grad():
        losses = PerceptualObjective(vgg19, style_image, settings)(stylized, content)
        network = LossNetwork(vgg19, {**styles, **contents})
        seen = [
            {
                k: (_inside(k, v) if scaling == "relative" else v)[0].double().numpy()
                for k, v in network(image).items()
            }
            for image in (stylized, style_image, content)
        ]
    ours, style, theirs = seen
    expected = sum(w * _style_error(ours[k], style[k], scaling) for k, w in styles.items())
    if scaling in ("gatys", "relative"):
        expected /= sum(styles.values())
    np.testing.assert_allclose(losses.style.item(), expected, rtol=1e-5)
    expected = sum(w * _content_error(ours[k], theirs[k], scaling) for k, w in contents.items())
    np.testing.assert_allclose(losses.content.item(), expected, rtol=1e-5)


def _content_error(ours: np.ndarray, content: np.ndarray, scaling: Scaling) -> float:
    difference = float(((ours - content) ** 2).sum())
    divisors = {"gatys": 2.0, "plain": 1.0, "relative": float((content**2).sum())}
    return difference / divisors.get(scaling, ours.size)


def _variation(picture: np.ndarray, scaling: Scaling) -> float:
    """Total variation of a picture in [0, 1], C x H x W in float64."""
    down, right = np.diff(picture, axis=1), np.diff(picture, axis=2)
    total = float((down**2).sum() + (right**2).sum())
    return {"paper": 255**2, "authors": 255**2 / 2}.get(scaling, 1 / picture.size) * total


def test_the_authors_weight_of_variation_is_thousands_of_ours() -> None:
    picture = torch.rand(1, 3, 256, 256)
    ours = total_variation(picture).item()
    authors = 1e-6 * _variation(picture[0].double().numpy(), "authors")
    assert authors / ours == pytest.approx(6392, rel=1e-3)


def test_normalized_gradients_let_every_term_pull_by_its_weight(
    vgg19: LossNetworkWeights, style_image: torch.Tensor
) -> None:
    layers = {"relu1_1": 1.0, "relu2_1": 4.0}
    settings = ObjectiveSettings(
        content_weight=0.5,
        style_weight=2.0,
        scaling="plain",
        style_layers=tuple(f"{name}={weight:g}" for name, weight in layers.items()),
        content_layers=("relu2_1",),
        normalized_gradients=True,
    )
    objective = PerceptualObjective(vgg19, style_image, settings)
    stylized = torch.rand(2, 3, 40, 56, requires_grad=True)
    content = torch.rand(2, 3, 40, 56)
    losses = objective(stylized, content)
    (found,) = torch.autograd.grad(losses.total, stylized)

    plain = PerceptualObjective(vgg19, style_image, replace(settings, normalized_gradients=False))
    torch.testing.assert_close(losses.total, plain(stylized, content).total)
    seen, target = objective.network(stylized), objective.network(content)["relu2_1"]
    terms = [
        (
            2.0 * weight,
            layer,
            _plain_style_errors(seen[layer], objective.network(style_image)[layer]),
        )
        for layer, weight in layers.items()
    ]
    terms.append((0.5, "relu2_1", (seen["relu2_1"] - target).square().sum(dim=(1, 2, 3))))
    expected = torch.zeros_like(stylized)
    for weight, layer, errors in terms:
        (at_layer,) = torch.autograd.grad(errors.sum(), seen[layer], retain_graph=True)
        unit = at_layer / at_layer.abs().sum(dim=(1, 2, 3), keepdim=True)
        pull = weight * unit / 2  # the mean of two pictures
        expected += torch.autograd.grad(seen[layer], stylized, pull, retain_graph=True)[0]
    largest = expected.abs().max().item()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * largest)


def _plain_style_errors(ours: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
    rows, theirs = ours.flatten(2), style.flatten(2)
    grams = rows @ rows.transpose(1, 2), theirs @ theirs.transpose(1, 2)
    return (grams[0] - grams[1]).square().sum(dim=(1, 2))


@pytest.mark.parametrize(("scaling", "layer"), [("paper", "relu2_2"), ("authors", "relu3_3")])
def test_johnsons_content_layer_is_of_the_paper_or_of_the_code(
    scaling: Scaling, layer: str
) -> None:
    settings = ObjectiveSettings(scaling=scaling)
    assert [term.layer for term in content_terms("vgg16", settings)] == [layer]
    chosen = replace(settings, content_layers=("relu1_2",))
    assert [term.layer for term in content_terms("vgg16", chosen)] == ["relu1_2"]


def _inside(layer: str, activations: torch.Tensor) -> torch.Tensor:
    """Without the positions beside the padding, where as much as that can be spared."""
    cut = {"1": 0, "2": 2, "3": 1, "4": 1, "5": 1}[layer[4]]
    height, width = activations.shape[-2:]
    if min(height, width) <= 4 * cut:
        return activations
    return activations[..., cut : height - cut, cut : width - cut]


def test_what_lies_beside_the_loss_networks_padding_does_not_count(
    vgg19: LossNetworkWeights,
) -> None:
    # A flat picture's activations differ from one another beside the padding only.
    flat, small = torch.full((1, 3, 96, 64), 0.7), torch.full((1, 3, 48, 80), 0.7)
    bounds: dict[Scaling, tuple[float, float]]
    bounds = {"relative": (0.0, 1e-6), "gatys": (1e-6, float("inf"))}
    for scaling, (least, most) in bounds.items():
        settings = ObjectiveSettings(scaling=scaling, style_layers=("relu2_1",))
        loss = PerceptualObjective(vgg19, flat, settings)(small, small).style.item()
        assert least <= loss <= most, scaling


def _style_error(ours: np.ndarray, style: np.ndarray, scaling: Scaling) -> float:
    """Compute the loss of one layer, C x H x W in float64, as each author writes it."""
    channels, size = ours.shape[0], ours.shape[1] * ours.shape[2]
    a, b = (f.reshape(channels, -1) @ f.reshape(channels, -1).T for f in (ours, style))
    if scaling == "plain":  # Ulyanov et al. 2016, equations 2 and 3
        return float(((a - b) ** 2).sum())
    if scaling == "gatys":  # equation 4, on Gram matrices without a normalisation
        return float(((a - b) ** 2).sum() / (4 * channels**2 * size**2))
    a, b = a / (channels * size), b / (channels * size)
    squared = float(((a - b) ** 2).sum())
    divisors = {"paper": 1.0, "authors": channels**2, "relative": float((b**2).sum())}
    return float(squared / divisors[scaling])


def test_without_a_content_weight_the_content_is_not_looked_at(
    vgg19: LossNetworkWeights, style_image: torch.Tensor
) -> None:
    shallow = dict(list(vgg19.tensors.items())[:4])  # conv1_1 and conv1_2 only
    weights = LossNetworkWeights("vgg19", shallow, vgg19.mean, vgg19.std, "shallow")
    settings = ObjectiveSettings(content_weight=0.0, style_layers=("relu1_1",))
    losses = PerceptualObjective(weights, style_image, settings)(
        torch.rand(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
    )
    assert losses.content == 0
    assert losses.total == 5 * losses.style > 0


def test_a_known_content_gives_the_same_losses(
    vgg19: LossNetworkWeights, style_image: torch.Tensor
) -> None:
    objective = PerceptualObjective(vgg19, style_image, ObjectiveSettings())
    stylized, content = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    known = FixedContentObjective(objective, content)
    expected = objective(stylized, content)
    found = known(stylized, torch.zeros(1))
    assert vars(found) == vars(expected)


def _mean(losses: list[dict[str, float]]) -> dict[str, float]:
    return {name: sum(each[name] for each in losses) / len(losses) for name in losses[0]}


@pytest.mark.parametrize("scaling", get_args(Scaling))
def test_a_batch_of_several_styles_has_the_mean_loss_of_its_pictures(
    scaling: Scaling, vgg19: LossNetworkWeights
) -> None:
    torch.manual_seed(0)
    # Of different sizes and contrasts: no two have the same scale.
    images = [torch.rand(1, 3, 40, 56), 0.3 * torch.rand(1, 3, 33, 33), torch.rand(1, 3, 48, 40)]
    settings = ObjectiveSettings(tv_weight=0.1, scaling=scaling)
    objective = PerceptualObjective(vgg19, images, settings)
    stylized = torch.rand(4, 3, 32, 32) * torch.tensor([1, 0.5, 0.8, 0.2])[:, None, None, None]
    content = torch.rand(4, 3, 32, 32) * torch.tensor([0.1, 0.6, 1, 0.3])[:, None, None, None]
    choice = [2, 0, 0, 1]
    together = objective(stylized, content, torch.tensor(choice)).as_floats()
    alone = [
        PerceptualObjective(vgg19, images[style], settings)(
            stylized[n : n + 1], content[n : n + 1]
        ).as_floats()
        for n, style in enumerate(choice)
    ]
    # Float32 sums of the same numbers, in another order.
    assert together == pytest.approx(_mean(alone), rel=1e-4)
    assert len({loss["style"] for loss in alone}) == 4


@pytest.mark.parametrize("scaling", get_args(Scaling))
def test_content_loss_is_of_each_picture_alone(scaling: Scaling) -> None:
    random = torch.Generator().manual_seed(0)
    features, target = torch.rand(2, 3, 8, 6, 5, generator=random)
    target = target * torch.tensor([1.0, 0.1, 3.0])[:, None, None, None]
    loss = partial(content_errors, scaling=scaling)
    alone = [loss(features[n : n + 1], target[n : n + 1]) for n in range(3)]
    torch.testing.assert_close(loss(features, target), torch.cat(alone))


@pytest.mark.parametrize("scaling", get_args(Scaling))
def test_style_loss_compares_with_the_style_that_is_asked_for(scaling: Scaling) -> None:
    random = torch.Generator().manual_seed(0)
    images = torch.rand(2, 8, 6, 5, generator=random) * torch.tensor([1, 3])[:, None, None, None]
    loss = StyleLoss(gram_matrix(images), scaling)
    assert loss(images, torch.tensor([0, 1])).max().item() < 1e-10
    swapped = loss(images, torch.tensor([1, 0])).mean().item()
    grams = gram_matrix(images).double()
    squared = (grams[0] - grams[1]).square().sum().item()
    divided = squared * (1 / grams.square().sum(dim=(1, 2))).mean().item()
    expected = {
        "paper": squared,
        "authors": squared / 64,
        "gatys": squared / 4,
        "plain": squared * (8 * 6 * 5) ** 2,
        "relative": divided,
    }
    assert swapped == pytest.approx(expected[scaling], rel=1e-5)


@pytest.mark.parametrize("statistics", [("gram",), ("gram", "mean-covariance")])
def test_several_styles_of_a_picture_cost_one_gram_matrix_and_are_what_each_is_alone(
    statistics: tuple[StyleStatistic, ...],
) -> None:
    images, features = torch.rand(2, 8, 6, 5), torch.rand(3, 8, 6, 5)
    loss = StyleLoss(gram_matrix(images), "relative", channel_means(images), statistics)
    together = loss(features, torch.tensor([0, 1])[:, None].expand(-1, 3))
    alone = [loss(features, torch.full((3,), style)) for style in range(2)]
    torch.testing.assert_close(together, torch.stack(alone))


def test_bfloat16_in_the_loss_network_stays_near_float32(
    vgg19: LossNetworkWeights, style_image: torch.Tensor
) -> None:
    objective = PerceptualObjective(vgg19, style_image, ObjectiveSettings())
    stylized, content = torch.rand(2, 2, 3, 32, 32)
    exact = objective(stylized, content)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = objective(stylized, content)
    for name in exact.as_floats():
        value = getattr(rounded, name)
        assert value.dtype == torch.float32
        # 8 bits: 0.4 percent for each layer, 12 layers deep, mostly averaged out.
        assert value.item() == pytest.approx(getattr(exact, name).item(), rel=0.03)


_SCALES = ("relu1_1@1=0.5", "relu2_1@0.5=2", "relu1_1@0.5")


def _half(picture: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.interpolate(
        picture, scale_factor=0.5, mode="bilinear", antialias=True, align_corners=False
    )


def test_an_objective_at_two_scales_is_the_weighted_mean_of_its_layers(
    vgg19: LossNetworkWeights, style_image: torch.Tensor
) -> None:
    settings = ObjectiveSettings(style_layers=_SCALES, content_layers=("relu2_2@0.5=3",))
    objective = PerceptualObjective(vgg19, style_image, settings)
    stylized, content = torch.rand(1, 3, 48, 64), torch.rand(1, 3, 48, 64)
    losses = objective(stylized, content)
    network = LossNetwork(vgg19, ("relu1_1", "relu2_1", "relu2_2"))
    expected = 0.0
    for layer, weight, seen in (
        ("relu1_1", 0.5, (stylized, style_image)),
        ("relu2_1", 2.0, (_half(stylized), _half(style_image))),
        ("relu1_1", 1.0, (_half(stylized), _half(style_image))),
    ):
        ours, theirs = (gram_matrix(_inside(layer, network(picture)[layer])) for picture in seen)
        expected += weight * ((ours - theirs).square().sum() / theirs.square().sum()).item()
    assert losses.style.item() == pytest.approx(expected / 3.5, rel=1e-4)
    ours, theirs = (
        _inside("relu2_2", network(_half(picture))["relu2_2"]) for picture in (stylized, content)
    )
    content_loss = 3 * (ours - theirs).square().mean() / theirs.square().mean()
    assert losses.content.item() == pytest.approx(content_loss.item(), rel=1e-4)


def test_mean_and_covariance_are_compared_apart(
    vgg19: LossNetworkWeights, style_image: torch.Tensor
) -> None:
    settings = ObjectiveSettings(style_layers=("relu2_1",), statistics=("mean-covariance",))
    objective = PerceptualObjective(vgg19, style_image, settings)
    stylized = torch.rand(1, 3, 32, 48)
    network = LossNetwork(vgg19, ("relu2_1",))
    ours, theirs = (
        _inside("relu2_1", network(picture)["relu2_1"])[0].flatten(1).double()
        for picture in (stylized, style_image)
    )
    expected = 0.0
    for a, b in (
        (ours.mean(1), theirs.mean(1)),
        (torch.cov(ours, correction=0), torch.cov(theirs, correction=0)),
    ):
        expected += ((a - b).square().sum() / b.square().sum()).item()
    assert objective(stylized, stylized).style.item() == pytest.approx(expected, rel=1e-3)


def test_each_style_has_the_statistic_that_was_asked_for_it(
    vgg19: LossNetworkWeights,
) -> None:
    images = list(torch.rand(2, 1, 3, 40, 40))
    statistics: tuple[StyleStatistic, ...] = ("gram", "mean-covariance")
    layers = ("relu1_1", "relu2_1")
    both = PerceptualObjective(
        vgg19, images, ObjectiveSettings(style_layers=layers, statistics=statistics)
    )
    stylized = torch.rand(2, 3, 32, 32)
    together = both(stylized, stylized, torch.tensor([0, 1])).style
    alone = [
        PerceptualObjective(
            vgg19, image, ObjectiveSettings(style_layers=layers, statistics=(statistic,))
        )(picture[None], picture[None]).style
        for image, statistic, picture in zip(images, statistics, stylized, strict=True)
    ]
    torch.testing.assert_close(together, torch.stack(alone).mean(), rtol=1e-3, atol=0)


def test_factors_move_each_pictures_style_weight(
    vgg19: LossNetworkWeights, style_image: torch.Tensor
) -> None:
    settings = ObjectiveSettings(1.0, 4.0, style_layers=("relu1_1",))
    objective = PerceptualObjective(vgg19, style_image, settings)
    pictures = torch.rand(2, 3, 32, 32)
    each = [objective(p[None], p[None]).style for p in pictures]
    losses = objective(pictures, pictures, style_factors=torch.tensor([0.5, 3.0]))
    torch.testing.assert_close(losses.total, 4 * (0.5 * each[0] + 3 * each[1]) / 2)
    torch.testing.assert_close(losses.style, (each[0] + each[1]) / 2)  # told before the weights


def test_several_content_layers_are_summed(
    vgg19: LossNetworkWeights, style_image: torch.Tensor
) -> None:
    pictures = torch.rand(2, 3, 32, 32)

    def content(*layers: str) -> torch.Tensor:
        settings = ObjectiveSettings(content_layers=layers, style_layers=("relu1_1",))
        objective = PerceptualObjective(vgg19, style_image, settings)
        losses: Losses = objective(pictures, pictures.flip(0))
        return losses.content

    both = content("relu1_2", "relu2_2=2")
    torch.testing.assert_close(both, content("relu1_2") + 2 * content("relu2_2"))


def test_contents_are_related_to_the_usual_and_not_each_to_its_own(
    vgg19: LossNetworkWeights, style_image: torch.Tensor
) -> None:
    contents = torch.stack([torch.rand(3, 48, 48), torch.full((3, 48, 48), 0.5)])
    stylized = torch.rand(2, 3, 48, 48)
    objective = PerceptualObjective(vgg19, style_image, ObjectiveSettings())
    own = objective(stylized, contents).content_of_each
    target = objective.content_target(contents)
    assert own is not None
    assert target is not None
    (squares,) = (each.square().mean(dim=(1, 2, 3)) for each in target.values())
    objective.relate_contents_to(contents)
    related = objective(stylized, contents).content_of_each
    torch.testing.assert_close(related, own * squares / squares.mean())
