"""`nst weights`: sizes and times are told, and a machine without a network can be helped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from nst_core.objectives.weights.kept import ORIGINALS, Original
from nst_core.objectives.weights.reading import LossNetworkWeights
from tests.kit.command_line import nst
from tests.kit.file_server import serve


@pytest.fixture
def file(vgg19: LossNetworkWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights as another machine has them; there are none here."""
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    path = tmp_path / "vgg19.pth"
    torch.save({key: tensor.half() for key, tensor in vgg19.tensors.items()}, path)
    return path


def test_weights_are_fetched_with_their_size_told_first(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = file.read_bytes()
    name = f"vgg19-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.setitem(ORIGINALS, "vgg19", Original(name, "torchvision", 40))
    monkeypatch.setenv("no_proxy", "*")
    with serve({name: content}) as server:
        monkeypatch.setenv("NST_WEIGHTS_URL", server.url)
        fetched, again = nst("weights", "fetch"), nst("weights", "fetch", "--json")
    assert fetched.code == again.code == 0
    first, *_, last = fetched.error.splitlines()
    assert first == f"downloads {name}, 40 MB, from 127.0.0.1, this once"
    assert last.startswith("40 of 40 MB, 100 %")
    assert fetched.out.endswith("vgg19.safetensors: vgg19 up to relu4_2, 11.7 MB\n")
    assert again.error == ""
    assert json.loads(again.out)["deepest_layer"] == "relu4_2"
    assert len(server.asked) == 1


def test_without_a_network_the_way_out_is_told(file: Path) -> None:
    error = nst("weights", "fetch").error_line
    assert "connect to the internet" in error
    assert "`nst weights add FILE`" in error
    added = nst("weights", "add", file)
    assert added.code == 0
    assert added.out.endswith("vgg19.safetensors: vgg19 up to relu4_2, 11.7 MB\n")
    refused = nst("weights", "add", file)
    assert (refused.code, "--overwrite" in refused.error_line) == (2, True)
    assert nst("weights", "add", file, "--overwrite", "--all-layers").code == 0


def test_what_is_here_is_shown_in_the_order_of_its_use(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = nst("weights", "show", "-q")
    assert nothing.out.count("not here; `nst weights fetch --name vgg") == 2
    nst("weights", "add", file)
    monkeypatch.setenv("NST_LOSS_NETWORK_WEIGHTS", "elsewhere.pth")
    first, second, third = nst("weights", "show", "-q").out.splitlines()
    assert "NST_LOSS_NETWORK_WEIGHTS=elsewhere.pth: no such file" in first
    assert "up to relu4_2" in second
    assert third.startswith("vgg16")
    kept = json.loads(nst("weights", "show", "--json").out)["weights"][1]
    assert (kept["name"], kept["place"], kept["source"]) == ("vgg19", "kept", "vgg19.pth")
    told = nst("weights", "add", file, "--overwrite").error
    assert told.startswith("warning: NST_LOSS_NETWORK_WEIGHTS=elsewhere.pth is used before it")


def test_weights_that_are_no_file_are_refused(file: Path) -> None:
    assert "no such file" in nst("weights", "add", file.with_name("none.pth")).error_line
    assert "folder" in nst("weights", "add", file.parent).error_line
