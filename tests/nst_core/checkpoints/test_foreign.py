"""Checkpoints of other programs give the pictures that those programs give.

The references are in foreign_networks.py.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from typer.testing import CliRunner

from nst_core.checkpoints import foreign_tensors
from nst_core.checkpoints.checkpoint import load_generator, save_generator
from nst_core.checkpoints.foreign import import_checkpoint
from nst_core.checkpoints.library import find_style
from nst_core.errors import CheckpointError, InputError
from nst_core.stylizer import Stylizer
from tests.kit.command_line import app, nst
from tests.kit.foreign_networks import (
    WIDTH,
    Arrays,
    State,
    random_arrays,
    random_state,
    reference_of_fast_style_transfer,
    reference_of_pytorch_examples,
)
from tests.kit.media import moving_picture

SIZES = [(333, 217), (64, 64), (65, 67), (30, 23)]


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    return random_arrays()


@pytest.fixture(scope="module")
def state() -> State:
    return random_state()


def _picture(size: tuple[int, int]) -> Tensor:
    """1 x 3 x H x W in 0..255: a gradient under noise."""
    random = np.random.default_rng(size[0])
    noise = random.integers(0, 60, (*size, 3))
    smooth = moving_picture(0, size[1], size[0]).astype(int)
    pixels = np.clip(smooth + noise - 30, 0, 255).astype(np.float32)
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def _assert_same_picture(generator: torch.nn.Module, picture: Tensor, reference: Tensor) -> None:
    """Cut to [0, 1] in evaluation mode, as it is in training mode; the upper left part."""
    height, width = picture.shape[-2:]
    expected = reference[..., :height, :width].float() / 255
    assert float(expected.min()) < 0.05
    assert float(expected.max()) > 0.95
    with torch.no_grad():
        stylized = generator.eval()(picture / 255)
        uncut = generator.train()(picture / 255)
    torch.testing.assert_close(uncut, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(stylized, expected.clamp(0, 1), rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_pytorch_examples_pictures_are_the_originals(
    state: State, tmp_path: Path, size: tuple[int, int]
) -> None:
    torch.save(state, tmp_path / "candy.pth")
    generator, info = import_checkpoint(tmp_path / "candy.pth")
    picture = _picture(size)
    _assert_same_picture(generator, picture, reference_of_pytorch_examples(state, picture))
    assert (info.architecture, info.arguments) == ("pytorch-examples", {"width": WIDTH})


@pytest.mark.parametrize("size", SIZES)
def test_fast_style_transfer_pictures_are_the_originals(
    arrays: Arrays, tmp_path: Path, size: tuple[int, int]
) -> None:
    np.savez(tmp_path / "wave.npz", **arrays)  # type: ignore[arg-type]
    generator, info = import_checkpoint(tmp_path / "wave.npz")
    picture = _picture(size)
    pixels = picture[0].permute(1, 2, 0).numpy()
    reference = torch.from_numpy(reference_of_fast_style_transfer(arrays, pixels))
    _assert_same_picture(generator, picture, reference.permute(2, 0, 1)[None])
    assert (info.architecture, info.arguments) == ("fast-style-transfer", {"width": WIDTH})


def _old(state: State) -> State:
    norms = [name for name in state if ".in" in f".{name}" and name.endswith(".weight")]
    stray = {}
    for name in norms:
        base = name.removesuffix("weight")
        stray[f"{base}running_mean"] = torch.zeros_like(state[name])
        stray[f"{base}running_var"] = torch.ones_like(state[name])
        stray[f"{base}num_batches_tracked"] = torch.tensor(40_000)
    assert len(stray) == 45
    return state | stray


DISGUISES: dict[str, Callable[[State], object]] = {
    "stray running statistics": _old,
    "DataParallel": lambda state: {f"module.{name}": t for name, t in state.items()},
    "state_dict": lambda state: {"state_dict": state, "epoch": 2, "optimizer": {"lr": 1e-3}},
    "model": lambda state: {"model": {f"module.{n}": t for n, t in _old(state).items()}},
    "half precision": lambda state: {name: t.half() for name, t in state.items()},
    "parameters": lambda state: {name: torch.nn.Parameter(t) for name, t in state.items()},
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("new_zip", [True, False])
def test_what_trainers_put_around_the_weights_is_taken_off(
    state: State, tmp_path: Path, disguise: str, new_zip: bool
) -> None:
    path = tmp_path / "candy.model"
    torch.save(DISGUISES[disguise](state), path, _use_new_zipfile_serialization=new_zip)
    generator, _ = import_checkpoint(path)
    expected = {n: t.half().float() if "half" in disguise else t for n, t in state.items()}
    imported = generator.state_dict()
    assert set(imported) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(imported[name], tensor), name


def _in_torchs_layout(arrays: Arrays) -> State:
    """Spelled out by kind: out, in, H, W; of transposed convolutions in, out, H, W."""
    found = {}
    for name, array in arrays.items():
        if array.ndim == 4:  # H, W, in, out or H, W, out, in: both turn round
            array = np.moveaxis(np.moveaxis(array, 3, 0), 3, 1)
        found[name] = torch.from_numpy(array.copy())
    assert found["conv2.weight"].shape == (2 * WIDTH, WIDTH, 3, 3)
    assert found["up2.weight"].shape == (2 * WIDTH, WIDTH, 3, 3)
    return found


def _as_tensorflow_saves(arrays: Arrays) -> Arrays:
    """Numbered in the order of making, the optimizer's slots beside them."""
    found: Arrays = {"beta1_power": np.zeros((), np.float32), "beta2_power": np.zeros((), "f4")}
    for number, array in enumerate(arrays.values()):
        name = f"Variable_{number}" if number else "Variable"
        found |= {name: array, f"{name}/Adam": array * 0, f"{name}/Adam_1": array * 0}
    return found


@pytest.mark.parametrize("spelling", ["slashes", "rank 4", "numbered", "torch", "safetensors"])
def test_fast_style_transfer_weights_come_in_several_spellings(
    arrays: Arrays, tmp_path: Path, spelling: str
) -> None:
    path = tmp_path / "wave.npz"
    spelled: Arrays = {
        "slashes": {f"{name.replace('.', '/')}:0": array for name, array in arrays.items()},
        "rank 4": {n: a if a.ndim == 4 else a.reshape(1, 1, 1, -1) for n, a in arrays.items()},
        "numbered": _as_tensorflow_saves(arrays),
    }.get(spelling, arrays)
    if spelling == "torch":
        path = path.with_suffix(".pth")
        torch.save(_in_torchs_layout(arrays), path)
    elif spelling == "safetensors":
        path = path.with_suffix(".safetensors")
        save_file(_in_torchs_layout(arrays), path)
    else:
        np.savez_compressed(path, **spelled)  # type: ignore[arg-type]
    imported = import_checkpoint(path, format="fast-style-transfer")[0].state_dict()
    expected = _in_torchs_layout(arrays)
    assert set(imported) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(imported[name], tensor), name


class Malicious:
    """Would make a file, were it ever unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("kind", ["zip", "legacy", "bare pickle", "old pickle", "named npz"])
def test_code_in_a_checkpoint_is_refused_and_does_not_run(
    state: State, tmp_path: Path, kind: str
) -> None:
    marker, path = tmp_path / "ran", tmp_path / ("evil.npz" if kind == "named npz" else "evil.pth")
    content = state | {"extra": Malicious(marker)}
    if kind in ("zip", "legacy"):
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    else:
        path.write_bytes(pickle.dumps(content, protocol=0 if kind == "old pickle" else 4))
    with pytest.raises(CheckpointError, match="more than tensors; no code from it was run"):
        import_checkpoint(path)
    assert not marker.exists()


def test_an_array_of_objects_is_refused_and_does_not_run(arrays: Arrays, tmp_path: Path) -> None:
    marker, path = tmp_path / "ran", tmp_path / "evil.npz"
    objects = np.array([Malicious(marker)], dtype=object)
    np.savez(path, **arrays, extra=objects)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="more than tensors; no code from it was run"):
        import_checkpoint(path)
    assert not marker.exists()


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_a_whole_network_and_a_script_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.pth"
    torch.save(torch.nn.Conv2d(3, 3, 1), path)
    with pytest.raises(CheckpointError, match="more than tensors"):
        import_checkpoint(path)
    scripted = torch.jit.trace(torch.nn.Conv2d(3, 3, 1), torch.rand(1, 3, 4, 4))  # type: ignore[no-untyped-call]
    torch.jit.save(scripted, path)
    with pytest.raises(CheckpointError, match="more than tensors"):
        import_checkpoint(path)


@pytest.mark.parametrize("ending", [".pth", ".npz", ".safetensors", " legacy.pth"])
@pytest.mark.parametrize("kept", [0.9, 0.02, 0.0])
def test_a_truncated_file_is_refused(
    state: State, arrays: Arrays, tmp_path: Path, ending: str, kept: float
) -> None:
    path = tmp_path / f"cut{ending}"
    if ending == ".npz":
        np.savez(path, **arrays)  # type: ignore[arg-type]
    elif ending == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=ending == ".pth")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(CheckpointError, match="cut"):
        import_checkpoint(path)


@pytest.mark.parametrize("name", ["notes.pth", "notes.npz", "notes.safetensors", "fns.ckpt"])
def test_a_text_is_refused_and_both_formats_are_described(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("hello, this is a text\n" * 20)
    with pytest.raises(CheckpointError, match=r"conv1\.conv2d\.weight.*conv1\.in_shift"):
        import_checkpoint(path)


@pytest.mark.parametrize(
    "content",
    [{"features.0.weight": torch.zeros(4)}, {}, [torch.zeros(3)], {"a": {"b": torch.zeros(2)}}, 7],
    ids=["vgg", "empty", "list", "nested", "number"],
)
def test_tensors_of_no_known_network_are_refused_and_both_formats_described(
    tmp_path: Path, content: object
) -> None:
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"conv1\.conv2d\.weight.*conv1\.in_shift"):
        import_checkpoint(path)


def test_the_wrong_format_is_named(state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "candy.pth")
    with pytest.raises(CheckpointError, match="--format pytorch-examples"):
        import_checkpoint(tmp_path / "candy.pth", format="fast-style-transfer")


def _without(state: State, *names: str) -> State:
    return {name: tensor for name, tensor in state.items() if name not in names}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (lambda s: _without(s, "res3.in2.bias"), r"missing res3\.in2\.bias$"),
        (lambda s: _without(s, *list(s)[:9]), "missing .*and 6 more"),
        (lambda s: s | {"res6.conv1.conv2d.bias": torch.zeros(3)}, r"unknown res6\.conv1"),
        (lambda s: s | {"in2.bias": torch.zeros(5)}, r"in2\.bias is float32 5 instead of.* 12$"),
        (lambda s: s | {"in2.bias": torch.zeros(12, dtype=torch.int)}, "is int32 12 instead"),
        (lambda s: s | {"in2.bias": torch.zeros(12).to_sparse()}, "is sparse float32 12 instead"),
        (lambda s: s | {"in2.bias": torch.zeros(1).expand(10**13)}, "10000000000000 instead"),
        (lambda s: s | {"in2.bias": torch.full((12,), torch.nan)}, r"in2\.bias hold.*not finite"),
        (lambda s: s | {"conv1.conv2d.weight": torch.zeros(1, 1, 1, 1).expand(10**9, 3, 9, 9)},
         "width 1000000000; 1 to 256"),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit_are_named(
    state: State, tmp_path: Path, changed: Callable[[State], State], words: str
) -> None:
    torch.save(changed(state), tmp_path / "candy.pth")
    with pytest.raises(CheckpointError, match=words):
        import_checkpoint(tmp_path / "candy.pth")


def test_an_archive_that_unfolds_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign_tensors, "_MAX_BYTES", 2**20)
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, zeros=np.zeros(2**21, np.float32))
    assert path.stat().st_size < 2**16
    with pytest.raises(CheckpointError, match="8 MiB of tensors; at most 1 "):
        import_checkpoint(path)


def test_a_style_of_ours_needs_no_import(state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "candy.pth")
    save_generator(tmp_path / "ours.safetensors", *import_checkpoint(tmp_path / "candy.pth"))
    with pytest.raises(CheckpointError, match="already a checkpoint of nst"):
        import_checkpoint(tmp_path / "ours.safetensors")


@pytest.fixture(scope="module", params=["pytorch-examples", "fast-style-transfer"])
def style_file(
    request: pytest.FixtureRequest,
    state: State,
    arrays: Arrays,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """An imported checkpoint as a style of ours."""
    folder = tmp_path_factory.mktemp("imported")
    if request.param == "pytorch-examples":
        torch.save(state, folder / "foreign.pth")
    else:
        np.savez(folder / "foreign.npz", **arrays)  # type: ignore[arg-type]
    source = next(folder.iterdir())
    save_generator(folder / "style.safetensors", *import_checkpoint(source))
    return folder / "style.safetensors"


def test_openvino_computes_imported_styles_at_odd_sizes(style_file: Path) -> None:
    style = find_style(str(style_file))
    exact = Stylizer(style, engine="openvino", device="cpu", precision="float32")
    reference = Stylizer(style, engine="torch", device="cpu", precision="float32")
    for size in [(65, 67), (34, 53), (4, 40)]:
        picture = _picture(size)[0].permute(1, 2, 0).byte().numpy()
        found, expected = (s.stylize(picture).astype(int) for s in (exact, reference))
        assert expected.shape == picture.shape
        # One of 256 levels: where a value lies between two, the last bit decides.
        assert np.abs(found - expected).max() <= 1, size


def test_what_an_import_records_comes_back_with_the_style(style_file: Path) -> None:
    _, info = load_generator(style_file)
    source = next(style_file.parent.glob("foreign.*"))
    assert info.training["imported_from"] == source.name
    assert info.training["format"] == info.architecture
    assert len(info.training["sha256"]) == 64


def _run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_the_command_imports_a_style_that_the_others_take(state: State, tmp_path: Path) -> None:
    foreign, style = tmp_path / "candy.pth", tmp_path / "candy.safetensors"
    torch.save(state, foreign)
    line = _run("styles", "import", foreign, "-o", style)
    assert "pytorch-examples of width 6" in line
    assert f"--style {style}" in line
    assert len(line.splitlines()) == 1

    Image.fromarray(moving_picture(0, 67, 45)).save(tmp_path / "a.png")
    _run(
        *("stylize", "images", tmp_path / "a.png", "-o", tmp_path / "out", "--style", style),
        *("--workers", "0", "--engine", "torch", "--device", "cpu"),
    )
    pixels = torch.from_numpy(moving_picture(0, 67, 45)).permute(2, 0, 1)[None]
    reference = reference_of_pytorch_examples(state, pixels)[0, :, :45, :67].clamp(0, 255)
    with Image.open(tmp_path / "out" / "a.png") as image:
        difference = np.asarray(image).astype(float) - reference.permute(1, 2, 0).numpy()
    assert np.abs(difference).max() <= 0.6  # rounded to 8 bits


def test_an_existing_output_is_replaced_only_with_overwrite(state: State, tmp_path: Path) -> None:
    foreign, style = tmp_path / "candy.pth", tmp_path / "candy.safetensors"
    torch.save(state, foreign)
    style.write_text("precious")
    with pytest.raises(InputError, match="--overwrite"):
        _run("styles", "import", foreign, "-o", style)
    assert style.read_text() == "precious"
    report = json.loads(_run("styles", "import", foreign, "-o", style, "--overwrite", "--json"))
    assert report["output"] == str(style)
    assert report["training"]["imported_from"] == "candy.pth"
    assert find_style(str(style)).info is not None

    before = foreign.read_bytes()
    with pytest.raises(InputError, match="replace its input"):
        _run("styles", "import", foreign, "-o", foreign, "--overwrite")
    assert foreign.read_bytes() == before


def test_the_command_refuses_in_one_line_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("no checkpoint")
    result = nst("styles", "import", tmp_path / "text.pth", "-o", tmp_path / "o.safetensors")
    assert result.code == 2
    assert "conv1.conv2d.weight" in result.error_line
    assert [path.name for path in tmp_path.iterdir()] == ["text.pth"]
