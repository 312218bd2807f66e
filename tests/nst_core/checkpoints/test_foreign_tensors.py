"""What other programs put around a generator's tensors, and files of TensorFlow and Torch 7."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from nst_core.checkpoints.foreign import import_checkpoint
from nst_core.checkpoints.info import read_info
from nst_core.checkpoints.tensorflow_checkpoint import _unpacked
from nst_core.errors import CheckpointError
from nst_core.networks.fast_style_transfer import FastStyleTransferNet
from tests.kit.command_line import app
from tests.kit.foreign_networks import (
    State,
    random_state,
    reference_of_pytorch_examples,
    tiny_arrays,
)
from tests.kit.media import moving_picture

_TENSORFLOW = Path(__file__).parents[2] / "kit" / "foreign"
"""Saved by TensorFlow itself, with an optimizer's variable and a count of steps beside."""


def _assert_equal_to_tiny_arrays(generator: torch.nn.Module) -> None:
    found = generator.state_dict()
    for name, array in tiny_arrays().items():
        expected = torch.from_numpy(array)
        if expected.ndim == 4:
            expected = expected.permute(3, 2, 0, 1)
        assert torch.equal(found[name], expected), name


@pytest.mark.parametrize(
    "name",
    [
        "fns-v1.ckpt",
        "fns-v2.ckpt",
        "fns-v2.ckpt.index",
        "fns-v2.ckpt.data-00000-of-00001",
        "fns-v2.ckpt.meta",  # which was not saved, but people name it
    ],
)
def test_a_checkpoint_of_tensorflow_is_read_by_any_of_its_names(name: str) -> None:
    generator, info = import_checkpoint(_TENSORFLOW / name)
    _assert_equal_to_tiny_arrays(generator)
    assert info.architecture == "fast-style-transfer"
    assert len(info.training["sha256"]) == 64


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_folder_with_one_checkpoint_of_tensorflow_is_read(tmp_path: Path, version: str) -> None:
    for file in _TENSORFLOW.glob(f"*-{version}.*"):
        shutil.copy(file, tmp_path)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "fns"')
    _assert_equal_to_tiny_arrays(import_checkpoint(tmp_path)[0])


def test_a_folder_with_two_checkpoints_is_refused_and_named() -> None:
    with pytest.raises(CheckpointError, match="with several; name a file"):
        import_checkpoint(_TENSORFLOW)


@pytest.mark.parametrize(
    "name", ["fns-v1.ckpt", "fns-v2.ckpt.index", "fns-v2.ckpt.data-00000-of-00001"]
)
def test_damaged_checkpoints_of_tensorflow_are_one_kind_of_error(tmp_path: Path, name: str) -> None:
    for file in _TENSORFLOW.glob("fns-v*"):
        shutil.copy(file, tmp_path)
    path, random = tmp_path / name, np.random.default_rng(3)
    content = path.read_bytes()
    errors = []
    for turn in range(120):
        damaged = bytearray(content)
        if turn % 3:
            damaged[int(random.integers(len(content)))] ^= 1 << int(random.integers(8))
        else:
            del damaged[int(random.integers(len(content))) :]
        path.write_bytes(damaged)
        try:
            import_checkpoint(path)
        except CheckpointError as error:
            errors.append(str(error))
    assert not any("\n" in error for error in errors)
    assert len(errors) >= 38  # a flipped bit of a number cannot be seen


def test_missing_data_of_a_bundle_are_named(tmp_path: Path) -> None:
    shutil.copy(_TENSORFLOW / "fns-v2.ckpt.index", tmp_path)
    with pytest.raises(CheckpointError, match=r"1 files of data \(\.data-00000-of-\.\.\.\), and 0"):
        import_checkpoint(tmp_path / "fns-v2.ckpt")


def test_snappy_is_unpacked_as_its_description_says() -> None:
    literal = bytes([10, 4 << 2]) + b"abcde"
    near = bytes([1 | 1 << 2, 5])  # 5 bytes from 5 before
    assert _unpacked(literal + near) == b"abcdeabcde"
    overlapping = bytes([9, 0]) + b"x" + bytes([2 | 7 << 2, 1, 0])
    assert _unpacked(overlapping) == b"x" * 9
    long = bytes([70, 60 << 2, 69]) + bytes(range(70))
    assert _unpacked(long) == bytes(range(70))
    far = bytes([72, 60 << 2, 69]) + bytes(range(70)) + bytes([3 | 1 << 2, 70, 0, 0, 0])
    assert _unpacked(far) == bytes(range(70)) + bytes([0, 1])
    for damaged in (literal, literal + bytes([1 | 1 << 2, 6]), literal + near + near):
        with pytest.raises(ValueError, match="damaged"):
            _unpacked(damaged)


WRAPPED: dict[str, Callable[[State], Any]] = {
    "model_state_dict": lambda s: {"model_state_dict": s, "optimizer_state_dict": {"state": {}}},
    "netG": lambda s: {"epoch": 3, "netG": s, "netD": {"features.0.weight": torch.zeros(2, 2)}},
    "nested": lambda s: {"checkpoint": {"state": {"generator": s}}},
    "lightning": lambda s: {
        "state_dict": {f"generator.{n}": t for n, t in s.items()}
        | {"loss_network.features.0.weight": torch.zeros(4, 3, 3, 3)},
        "pytorch-lightning_version": "2.4",
    },
    "model prefix": lambda s: {f"module.model.{n}": t for n, t in s.items()},
    "compiled": lambda s: {f"_orig_mod.module.{n}": t for n, t in s.items()},
}


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_a_generator_is_found_within_what_trainers_save(tmp_path: Path, wrapping: str) -> None:
    state = random_state()
    torch.save(WRAPPED[wrapping](state), tmp_path / "a.pth")
    found = import_checkpoint(tmp_path / "a.pth")[0].state_dict()
    assert set(found) == set(state)
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


def test_two_generators_in_one_file_are_refused_by_their_names(tmp_path: Path) -> None:
    torch.save({"model": random_state(), "ema": random_state()}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"holds 2 networks \(model, ema\)"):
        import_checkpoint(tmp_path / "a.pth")


def test_the_forerunner_of_pytorchs_example_works_on_blue_green_red(tmp_path: Path) -> None:
    state = random_state()
    old = {
        name.replace(".weight", ".scale").replace(".bias", ".shift")
        if ".in" in f".{name}"
        else name: t
        for name, t in state.items()
    }
    assert "in1.scale" in old
    torch.save(old, tmp_path / "mosaic.model")
    generator, info = import_checkpoint(tmp_path / "mosaic.model")
    assert info.architecture == "pytorch-examples"
    picture = torch.from_numpy(moving_picture(0, 68, 44).copy()).permute(2, 0, 1)[None].float()
    reference = reference_of_pytorch_examples(state, picture.flip(1)).flip(1) / 255
    with torch.no_grad():
        found = generator(picture / 255)
    torch.testing.assert_close(found, reference.float().clamp(0, 1), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\4\0\0\0\1\0\0\0\3\0\0\0V 1\x0d\0\0\0nn.Sequential", r"network of Torch 7 \(\.t7\)"),
        (b"\3\0\0\0\1\0\0\0\2\0\0\0\2\0\0\0\5\0\0\0model", r"table of Torch 7 \(\.t7\)"),
        (b"\x89HDF\r\n\x1a\n" + bytes(80), "HDF5"),
        (b"\x1c\0\0\0TFL3" + bytes(80), "TensorFlow Lite"),
    ],
)
def test_what_cannot_be_imported_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "candy.t7").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{words}.*cannot be imported"):
        import_checkpoint(tmp_path / "candy.t7")


def _nst(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_fast_style_transfer_is_calibrated_at_its_import(photos: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    foreign, style = tmp_path / "foreign.safetensors", tmp_path / "style.safetensors"
    save_file(FastStyleTransferNet(4).state_dict(), foreign)
    assert _nst("styles", "import", foreign, "-o", style, "--content", photos)[0] == 0
    found = read_info(style).eight_bit[""]
    assert list(found.ranges) == ["res1.2.conv", *_residual(range(2, 6)), "conv_out.conv"]
    assert found.mean_decibels > 25


def _residual(blocks: range) -> list[str]:
    return [f"res{block}.{number}.conv" for block in blocks for number in (1, 2)]


def test_an_import_that_cannot_be_calibrated_leaves_nothing(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign, style = tmp_path / "foreign.safetensors", tmp_path / "style.safetensors"
    save_file(FastStyleTransferNet(4).state_dict(), foreign)
    monkeypatch.setattr("nst_core.engines.calibration.activation_ranges", lambda *_: {})
    code, _ = _nst("styles", "import", foreign, "-o", style, "--content", photos)
    assert code != 0
    assert [path.name for path in tmp_path.iterdir()] == [foreign.name]
