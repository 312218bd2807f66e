from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nst_core.checkpoints.checkpoint import (
    build_generator,
    load_generator,
    read_state,
    save_generator,
)
from nst_core.checkpoints.info import CheckpointInfo, read_info
from nst_core.errors import CheckpointError
from nst_core.networks.conditional_norm import MultiStyleGenerator
from nst_core.networks.registry import ARCHITECTURES
from nst_core.networks.transformer import TransformerNet

INFO = CheckpointInfo("johnson", {"width": 4}, {"steps": 7, "style_image": "wave.jpg"})


def test_a_generator_comes_back_as_it_was(tmp_path: Path) -> None:
    generator = TransformerNet(4)
    path = tmp_path / "deep" / "style.safetensors"
    save_generator(path, generator, INFO)
    loaded, info = load_generator(path)
    image = torch.rand(1, 3, 20, 24)
    with torch.no_grad():
        torch.testing.assert_close(loaded(image), generator.eval()(image), rtol=0, atol=0)
    assert info == INFO
    assert read_info(path) == INFO
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # nothing temporary is left


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        *((name, {}) for name in ARCHITECTURES),
        ("super-resolution", {"scale": 8}),
        ("texture", {"stylizes": True}),
    ],
)
def test_the_metadata_says_of_a_network_what_the_network_says_of_itself(
    architecture: str, arguments: dict[str, object]
) -> None:
    info = CheckpointInfo(architecture, arguments)
    with torch.device("meta"):
        network = build_generator(info)
    assert info.scale == network.scale
    assert info.stylizes == getattr(network, "stylizes", True)
    assert info.draws_noise == network.draws_noise


@pytest.mark.parametrize("arguments", [{"scale": "four"}, ["width"], None])
def test_arguments_that_no_network_could_have_are_refused_at_once(arguments: object) -> None:
    with pytest.raises(CheckpointError, match="super-resolution cannot be built from"):
        CheckpointInfo("super-resolution", arguments)  # type: ignore[arg-type]


def test_names_of_styles_come_back_in_their_order(tmp_path: Path) -> None:
    names = ("wave", "starry night", "Übermut")
    info = CheckpointInfo("johnson", {"width": 4}, {"steps": 7}, names)
    path = tmp_path / "pack.safetensors"
    network = MultiStyleGenerator(TransformerNet(4), 3)
    save_generator(path, network.generator, info)
    assert read_info(path) == info
    tensors, read = read_state(path)
    assert read == info
    state = network.generator.state_dict()
    assert tensors.keys() == state.keys()
    assert all(torch.equal(tensors[name], state[name]) for name in state)


def test_a_network_of_one_style_needs_no_mixture_and_minds_none(tmp_path: Path) -> None:
    path = tmp_path / "style.safetensors"
    save_generator(path, TransformerNet(4), INFO)
    assert read_info(path).styles == ()
    for mixture in (None, {}, {"wave": 1.0}):
        generator, _ = load_generator(path, mixture)
        state = generator.state_dict()
        assert all(torch.equal(state[name], value) for name, value in read_state(path)[0].items())


def test_a_file_that_appears_can_be_read_by_others(tmp_path: Path) -> None:
    path = tmp_path / "style.safetensors"
    save_generator(path, TransformerNet(4), INFO)
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert path.stat().st_mode == plain.stat().st_mode


def test_a_pickle_is_refused_and_its_code_does_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Malicious:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (marker,)

    path = tmp_path / "style.safetensors"
    path.write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_generator(path)
    assert not marker.exists()


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "style.safetensors"
    save_generator(path, TransformerNet(4), INFO)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"style\.safetensors"):
        load_generator(path)


def test_a_foreign_safetensors_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="nst train"):
        read_info(path)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"format": 99, "architecture": "johnson", "arguments": {}}', "format 99"),
        ('{"format": 1, "architecture": "cubist", "arguments": {}}', "cubist"),
        ('{"format": 1}', "damaged"),
        ('{"format": 1, "architecture": "johnson", "arguments": {}, "styles": 3}', "damaged"),
    ],
)
def test_strange_metadata_is_refused(tmp_path: Path, metadata: str, words: str) -> None:
    path = tmp_path / "style.safetensors"
    save_file({"x": torch.zeros(2)}, path, metadata={"nst": metadata})
    with pytest.raises(CheckpointError, match=words):
        read_info(path)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "style.safetensors"
    save_generator(path, TransformerNet(8), INFO)  # the metadata says width 4
    with pytest.raises(CheckpointError, match="do not fit"):
        load_generator(path)


def test_arguments_that_the_network_does_not_know_are_refused() -> None:
    with pytest.raises(CheckpointError, match="depth"):
        build_generator(CheckpointInfo("johnson", {"depth": 3}))
