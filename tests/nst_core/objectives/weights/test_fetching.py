"""Weights come once, and only what is needed of them stays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from nst_core.caches import caches, clean, loss_networks
from nst_core.errors import LossNetworkError
from nst_core.objectives.loss_network import LossNetwork, load_loss_network_weights
from nst_core.objectives.weights.fetching import fetch
from nst_core.objectives.weights.kept import ORIGINALS, hub_file, weights_at_hand
from nst_core.objectives.weights.reading import LossNetworkWeights, read_weights
from tests.kit.file_server import FileServer


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_only_the_needed_layers_are_kept_in_half_precision(
    server: FileServer, original: bytes
) -> None:
    path = fetch("vgg19", ["relu4_1"])
    assert _names(loss_networks()) == ["vgg19.safetensors"]
    assert path.stat().st_size < 12_000_000 < len(original) / 4
    with safe_open(path, framework="pt") as file:
        keys = set(file.keys())
        assert file.get_tensor("features.0.weight").dtype == torch.float16
    assert {"features.21.weight", "features.21.bias"} < keys  # conv4_2
    assert not any(key.startswith(("features.23.", "classifier.")) for key in keys)


def test_kept_weights_are_used_from_then_on_and_are_known_as_the_whole(
    server: FileServer, original: bytes, tmp_path: Path
) -> None:
    first = load_loss_network_weights("vgg19")
    again = load_loss_network_weights("vgg19", layers=["relu4_2"])
    assert len(server.asked) == 1
    (tmp_path / "whole.pth").write_bytes(original)
    whole = load_loss_network_weights("vgg19", tmp_path / "whole.pth")
    assert first.fingerprint() == again.fingerprint() == whole.fingerprint()
    assert (again.mean, again.std) == (whole.mean, whole.std)
    assert again.source == "torchvision VGG19_Weights.IMAGENET1K_V1"
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    seen, expected = (LossNetwork(each, ["relu4_2"])(picture) for each in (again, whole))
    error = (seen["relu4_2"] - expected["relu4_2"]).norm() / expected["relu4_2"].norm()
    assert error < 0.002  # float16 has 11 bits


def test_deeper_layers_are_fetched_when_they_are_needed(server: FileServer) -> None:
    fetch("vgg19", [])
    deep = load_loss_network_weights("vgg19", layers=["relu1_1", "relu5_1"])
    LossNetwork(deep, ["relu5_1"])
    assert len(server.asked) == 2
    assert _names(loss_networks()) == ["vgg19-all.safetensors", "vgg19.safetensors"]
    load_loss_network_weights("vgg19", layers=["relu5_1"])
    assert len(load_loss_network_weights("vgg19").tensors) == 20  # the small file is enough
    assert len(server.asked) == 2


def test_what_torch_has_downloaded_is_used(server: FileServer, original: bytes) -> None:
    hub_file("vgg19").parent.mkdir(parents=True)
    hub_file("vgg19").write_bytes(original)
    weights = load_loss_network_weights("vgg19", layers=["relu5_1"])
    assert weights.source == "torchvision VGG19_Weights.IMAGENET1K_V1"
    assert weights.tensors["features.0.weight"].dtype == torch.float32
    assert not loss_networks().exists()
    fetch("vgg19", [])
    assert hub_file("vgg19").exists()
    assert [each.place for each in weights_at_hand()] == ["kept", "torch.hub"]
    assert server.asked == []


def test_torch_keeps_its_files_where_they_are_looked_for() -> None:
    import torch.hub

    assert hub_file("vgg16").parent == Path(torch.hub.get_dir(), "checkpoints")


def test_several_processes_at_once_download_once(server: FileServer) -> None:
    with ThreadPoolExecutor() as threads:
        paths = set(threads.map(lambda _: fetch("vgg19", []), range(3)))
    assert len(paths) == len(server.asked) == 1


def test_a_run_that_was_killed_while_it_kept_them_downloads_nothing_again(
    server: FileServer, original: bytes
) -> None:
    loss_networks().mkdir(parents=True)
    (loss_networks() / ORIGINALS["vgg19"].file).write_bytes(original)
    fetch("vgg19", [])
    assert _names(loss_networks()) == ["vgg19.safetensors"]
    assert server.asked == []


def test_a_kept_file_that_is_damaged_is_fetched_anew(server: FileServer) -> None:
    path = fetch("vgg19", [])
    path.write_bytes(path.read_bytes()[:1000])
    assert [each.deepest_layer for each in weights_at_hand()] == [""]
    load_loss_network_weights("vgg19")
    assert len(server.asked) == 2


def test_the_variable_comes_before_what_is_kept(
    server: FileServer, vgg19_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch("vgg19", [])
    monkeypatch.setenv("NST_LOSS_NETWORK_WEIGHTS", str(vgg19_file))
    assert load_loss_network_weights("vgg19").source == vgg19_file.name
    assert next(weights_at_hand()).place == "variable"


def test_a_cache_that_cannot_be_written_is_an_error_in_one_line(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(LossNetworkError, match="no weights for the loss network vgg19") as caught:
        load_loss_network_weights("vgg19")
    assert "\n" not in str(caught.value)


def test_cleaning_leaves_them_unless_everything_is_to_go(server: FileServer) -> None:
    path = fetch("vgg19", [])
    (loss_networks() / "vgg16.pth.part").write_bytes(bytes(1000))
    (loss_networks() / "thesis.txt").touch()
    assert [cache.size for cache in caches()] == [0, 0, 0, 1000, path.stat().st_size]
    assert clean() == 1000
    assert _names(loss_networks()) == ["thesis.txt", "vgg19.safetensors"]
    clean(everything=True)
    assert _names(loss_networks()) == ["thesis.txt"]


def test_a_part_that_is_given_as_a_file_is_what_it_was(server: FileServer) -> None:
    path = fetch("vgg19", [])
    weights: LossNetworkWeights = read_weights(path)
    assert weights.name == "vgg19"
    assert weights.source == "torchvision VGG19_Weights.IMAGENET1K_V1"
