from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from nst_core.errors import LossNetworkError
from nst_core.objectives.layers import activation_indices
from nst_core.objectives.loss_network import LossNetwork, load_loss_network_weights
from nst_core.objectives.settings import LossNetworkName, Pooling
from nst_core.objectives.weights.reading import LossNetworkWeights
from tests.kit.random_vgg import random_vgg


@pytest.mark.parametrize("name", [pytest.param("vgg16", marks=pytest.mark.slow), "vgg19"])
def test_activations_equal_those_of_torchvisions_network(name: LossNetworkName) -> None:
    weights = random_vgg(name)
    reference = getattr(torchvision.models, name)(weights=None).features.eval()
    reference.load_state_dict({k.removeprefix("features."): v for k, v in weights.tensors.items()})
    image = torch.rand(1, 3, 48, 48)
    network = LossNetwork(weights, ["relu1_2", "relu3_3", "relu4_2"])
    mean, std = torch.tensor(weights.mean), torch.tensor(weights.std)
    features = (image - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    # Named by counting convolutions and poolings, independent of the code under test.
    block, conv = 1, 0
    expected = {}
    for module in reference:
        features = module(features)
        if isinstance(module, torch.nn.ReLU):
            conv += 1
            expected[f"relu{block}_{conv}"] = features.clone()
        elif isinstance(module, torch.nn.MaxPool2d):
            block, conv = block + 1, 0
    for layer, activation in network(image).items():
        torch.testing.assert_close(activation, expected[layer])


def test_pooling_is_the_maximum_or_the_average(vgg19: LossNetworkWeights) -> None:
    image = torch.rand(1, 3, 32, 32)
    pools: dict[Pooling, Callable[[Tensor, int], Tensor]] = {
        "max": functional.max_pool2d,
        "average": functional.avg_pool2d,
    }
    for pooling, halved in pools.items():
        network = LossNetwork(vgg19, ["relu1_2", "relu2_1"], pooling)
        found = network(image)
        weight, bias = (vgg19.tensors[f"features.5.{name}"] for name in ("weight", "bias"))
        expected = functional.conv2d(halved(found["relu1_2"], 2), weight, bias, padding=1).relu()
        torch.testing.assert_close(found["relu2_1"], expected, rtol=1e-4, atol=1e-4)


def test_a_network_ends_at_the_deepest_layer_asked_for(vgg19: LossNetworkWeights) -> None:
    network = LossNetwork(vgg19, ["relu2_1"])
    assert len(network.features) == activation_indices("vgg19")["relu2_1"] + 1
    assert not any(p.requires_grad for p in network.parameters())


def test_a_caffe_scaled_file_is_read_with_its_own_mean(tmp_path: Path) -> None:
    tensors = _for_caffes_scale(random_vgg("vgg19").tensors)
    path = tmp_path / "caffe.safetensors"
    save_file(
        {name: tensor.half() for name, tensor in tensors.items()},
        path,
        metadata={"mean": "123.68,116.779,103.939", "std": "1,1,1", "architecture": "vgg19"},
    )
    loaded = load_loss_network_weights("vgg19", path)
    network = LossNetwork(loaded, ["relu1_1"])
    image = torch.rand(1, 3, 8, 8)
    by_hand = image * 255 - torch.tensor([123.68, 116.779, 103.939]).view(1, 3, 1, 1)
    conv = torch.nn.functional.conv2d(
        by_hand,
        tensors["features.0.weight"].half().float(),
        tensors["features.0.bias"].half().float(),
        padding=1,
    )
    torch.testing.assert_close(network(image)["relu1_1"], conv.relu(), rtol=1e-4, atol=1e-2)


def test_a_plain_torch_state_dict_is_read(tmp_path: Path) -> None:
    path = tmp_path / "vgg19.pth"
    torch.save(random_vgg("vgg19").tensors, path)
    assert len(load_loss_network_weights("vgg19", path).tensors) == 32


def test_weights_of_the_other_network_are_refused(vgg19_file: Path) -> None:
    with pytest.raises(LossNetworkError, match="--loss-network vgg19"):
        load_loss_network_weights("vgg16", vgg19_file)


def test_missing_tensors_are_named(vgg19: LossNetworkWeights) -> None:
    tensors = {k: v for k, v in vgg19.tensors.items() if not k.startswith("features.5.")}
    partial = LossNetworkWeights("vgg19", tensors, vgg19.mean, vgg19.std, "partial")
    with pytest.raises(LossNetworkError, match=r"features\.5\.bias"):
        LossNetwork(partial, ["relu3_1"])
    LossNetwork(partial, ["relu1_2"])  # what is not asked for may be missing


def test_an_unknown_layer_is_refused(vgg19: LossNetworkWeights) -> None:
    with pytest.raises(LossNetworkError, match="relu9_9"):
        LossNetwork(vgg19, ["relu9_9"])


@pytest.mark.parametrize("content", [b"", b"not weights at all"])
@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(LossNetworkError, match=name):
        load_loss_network_weights("vgg19", path)


def test_no_weights_and_no_network_names_all_ways() -> None:
    with pytest.raises(LossNetworkError) as caught:
        load_loss_network_weights("vgg19")
    for way in ("--loss-network-weights", "internet", "`nst weights add FILE`"):
        assert way in str(caught.value)


def test_the_environment_names_the_weights(
    vgg19_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NST_LOSS_NETWORK_WEIGHTS", str(vgg19_file))
    assert load_loss_network_weights("vgg19").source == vgg19_file.name


_CAFFE = ((0.48235, 0.45882, 0.40784), (1 / 255, 1 / 255, 1 / 255))
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def _for_caffes_scale(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Biases as strong as the activations of pictures on the scale 0..255."""
    return {key: tensor * 57 if "bias" in key else tensor for key, tensor in tensors.items()}


def _with_classifier(tensors: dict[str, Tensor], value: float) -> dict[str, Tensor]:
    classifier = {f"classifier.{n}.weight": torch.full((4, 4), value) for n in (0, 3, 6)}
    return {**tensors, **classifier}


@pytest.mark.parametrize("name", ["vgg16_features-amdegroot-88682ab5.pth", "renamed.pth"])
def test_torchvisions_features_alone_are_read_on_their_own_scale(tmp_path: Path, name: str) -> None:
    tensors = _for_caffes_scale(random_vgg("vgg16").tensors)
    torch.save(_with_classifier(tensors, math.nan), tmp_path / name)
    weights = load_loss_network_weights("vgg16", tmp_path / name)
    assert (weights.mean, weights.std) == _CAFFE
    assert all(key.startswith("features.") for key in weights.tensors)


def test_torchvisions_other_files_have_imagenets_mean(tmp_path: Path) -> None:
    path = tmp_path / "vgg16-397923af.pth"
    torch.save(_with_classifier(random_vgg("vgg16").tensors, 0.1), path)
    weights = load_loss_network_weights("vgg16", path)
    assert (weights.mean, weights.std) == _IMAGENET


@pytest.fixture
def oxford(data: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = load_file(data / "vgg19" / "vgg19-caffe.safetensors")
    return tensors


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_oxfords_weights_are_known_by_themselves(
    oxford: dict[str, Tensor], tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"vgg19.{ending}"
    save_file(oxford, path) if ending == "safetensors" else torch.save(oxford, path)
    weights = load_loss_network_weights("vgg19", path)
    assert weights.std == _CAFFE[1]
    assert weights.mean == pytest.approx((123.68 / 255, 116.779 / 255, 103.939 / 255))


def test_trained_weights_pass_whole_and_in_part(oxford: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "vgg19.safetensors"
    for count in (26, 20, 8, 2):
        save_file(dict(sorted(oxford.items(), key=_depth)[:count]), path)
        load_loss_network_weights("vgg19", path)


def _depth(item: tuple[str, Tensor]) -> int:
    return int(item[0].split(".")[1])


def _untrained(name: LossNetworkName) -> dict[str, Tensor]:
    torch.manual_seed(0)
    state: dict[str, Tensor] = getattr(torchvision.models, name)(weights=None).state_dict()
    return {key: tensor for key, tensor in state.items() if key.startswith("features.")}


def _scaled(factor: float) -> dict[str, Tensor]:
    return {key: tensor * factor for key, tensor in random_vgg("vgg19").tensors.items()}


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (lambda: _untrained("vgg19"), "without training"),
        (lambda: _scaled(0.0), "0 strong"),
        (lambda: _scaled(4.0), "strong"),
        (lambda: _scaled(0.2), "strong"),
        (lambda: _scaled(math.nan), "nan strong"),
    ],
)
def test_weights_that_see_nothing_are_refused_in_one_line(
    tensors: Callable[[], dict[str, Tensor]], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "vgg19.safetensors"
    save_file(tensors(), path)
    with pytest.raises(LossNetworkError, match=words) as caught:
        load_loss_network_weights("vgg19", path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_wrong_mean_and_deviation_of_oxfords_weights_are_refused(
    oxford: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "vgg19.safetensors"
    wrong = {"mean": "0.485,0.456,0.406", "std": "0.229,0.224,0.225"}
    save_file(oxford, path, metadata=wrong)
    with pytest.raises(LossNetworkError, match=r"0\.\.255"):
        load_loss_network_weights("vgg19", path)
