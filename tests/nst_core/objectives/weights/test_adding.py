"""Files that are brought are checked, and what is needed of them is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nst_core.caches import loss_networks
from nst_core.errors import LossNetworkError
from nst_core.objectives.loss_network import LossNetwork, load_loss_network_weights
from nst_core.objectives.settings import LossNetworkName
from nst_core.objectives.weights.adding import add_weights
from nst_core.objectives.weights.kept import WeightsAtHand, weights_at_hand
from tests.kit.random_vgg import random_vgg


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path / "cache"))


def _add(path: Path, *, all_layers: bool = False, overwrite: bool = False) -> WeightsAtHand:
    """Add it; returns the one file that is kept then."""
    added = add_weights(path, all_layers=all_layers, overwrite=overwrite)
    (found,) = weights_at_hand()
    assert found.path == added
    assert [each.name for each in loss_networks().iterdir()] == [added.name]
    return found


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_a_state_dict_is_known_by_its_tensors(name: LossNetworkName, tmp_path: Path) -> None:
    torch.save(random_vgg(name).tensors, tmp_path / "weights.pth")
    found = _add(tmp_path / "weights.pth")
    assert (found.name, found.source) == (name, "weights.pth")
    assert found.deepest_layer == {"vgg16": "relu4_3", "vgg19": "relu4_2"}[name]


def test_all_layers_are_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    torch.save(random_vgg("vgg19").tensors, tmp_path / "weights.pth")
    found = _add(tmp_path / "weights.pth", all_layers=True)
    assert found.deepest_layer == "relu5_4"
    assert len(load_loss_network_weights("vgg19", layers=["relu5_4"]).tensors) == 32


def test_oxfords_weights_keep_their_scale_and_their_fingerprint(data: Path) -> None:
    file = data / "vgg19" / "vgg19-caffe.safetensors"
    _add(file)
    kept, brought = load_loss_network_weights("vgg19"), load_loss_network_weights("vgg19", file)
    assert (kept.mean, kept.std) == (brought.mean, brought.std)
    assert kept.fingerprint() == brought.fingerprint()
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    seen, expected = (LossNetwork(each, ["relu4_2"])(picture) for each in (kept, brought))
    torch.testing.assert_close(seen, expected)  # the file is in half precision itself


def test_what_is_kept_is_replaced_only_when_that_is_asked_for(data: Path, tmp_path: Path) -> None:
    torch.save(random_vgg("vgg19").tensors, tmp_path / "weights.pth")
    _add(tmp_path / "weights.pth", all_layers=True)
    oxford = data / "vgg19" / "vgg19-caffe.safetensors"
    with pytest.raises(LossNetworkError, match=r"vgg19-all\.safetensors exists; --overwrite"):
        _add(oxford)
    assert _add(oxford, overwrite=True).source == oxford.name


def _short(tensors: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    return {key: each for key, each in tensors.items() if int(key.split(".")[1]) < count}


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (lambda: _short(random_vgg("vgg19").tensors, 21), "relu4_1 at most, and relu4_2 of vgg19"),
        (lambda: _short(random_vgg("vgg19").tensors, 10), "neither VGG-16 nor VGG-19"),
        (lambda: {"conv1.weight": torch.rand(64, 3, 7, 7)}, "neither VGG-16 nor VGG-19"),
        (lambda: {k: t * 0 for k, t in random_vgg("vgg19").tensors.items()}, "0 strong"),
    ],
)
def test_a_file_that_is_no_use_is_refused_in_one_line(
    tensors: object, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(tensors(), path)  # type: ignore[operator]
    with pytest.raises(LossNetworkError, match=words) as caught:
        _add(path)
    assert "\n" not in str(caught.value)
    assert not loss_networks().exists()


def test_a_file_of_a_network_that_is_not_known_is_refused(data: Path, tmp_path: Path) -> None:
    tensors = load_file(data / "vgg19" / "vgg19-caffe.safetensors")
    save_file(tensors, tmp_path / "w.safetensors", metadata={"architecture": "vgg11"})
    with pytest.raises(LossNetworkError, match="vgg11 weights; those of vgg16 or vgg19"):
        _add(tmp_path / "w.safetensors")
