"""An exported generator computes elsewhere what it computes here, at any size."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from typer.testing import CliRunner

from nst_core.checkpoints.checkpoint import build_generator, save_generator
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.checkpoints.library import Style
from nst_core.checkpoints.onnx_export import LARGEST_ERROR, export_onnx
from nst_core.errors import EnvironmentProblem, InputError, VerificationError
from nst_core.networks.generator import Generator
from tests.kit.command_line import app

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

INFOS = {
    "lean": CheckpointInfo("lean", {"width": 4}),
    "lean with batch": CheckpointInfo("lean", {"width": 4, "norm": "batch"}),
    "lean, bilinear": CheckpointInfo("lean", {"width": 4, "upsampling": "bilinear"}),
    "johnson": CheckpointInfo("johnson", {"width": 4}),
    "johnson with zeros": CheckpointInfo("johnson", {"width": 4, "padding": "zeros"}),
    "johnson-paper": CheckpointInfo("johnson-paper", {"width": 4, "norm": "batch"}),
    "johnson-paper with instance": CheckpointInfo(
        "johnson-paper", {"width": 4, "norm": "instance"}
    ),
    "super-resolution": CheckpointInfo("super-resolution", {"width": 4, "scale": 4}),
    "super-resolution by 8": CheckpointInfo("super-resolution", {"width": 4, "scale": 8}),
    "pytorch-examples": CheckpointInfo("pytorch-examples", {"width": 4}),
    "fast-style-transfer": CheckpointInfo("fast-style-transfer", {"width": 4}),
}
SIZES = [(1, 333, 217), (2, 64, 64), (1, 65, 67), (3, 46, 53)]


def _generator(info: CheckpointInfo) -> Generator:
    """Random weights and, for batch normalisation, random running averages."""
    torch.manual_seed(8)
    generator = build_generator(info)
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            nn.init.normal_(module.running_mean, std=0.1)
    if info.architecture == "pytorch-examples":  # nothing but its weights brings it to 0..255
        last = generator.get_submodule("deconv3.conv2d")
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        with torch.no_grad():
            last.weight *= 150
            last.bias += 128
    return generator.eval()


def _session(path: Path) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _computed(session: Any, images: torch.Tensor) -> NDArray[np.float32]:
    output: NDArray[np.float32] = session.run(None, {"image": images.numpy()})[0]
    return output


@pytest.mark.parametrize("name", INFOS)
def test_onnxruntime_computes_what_torch_computes_at_any_size(name: str, tmp_path: Path) -> None:
    generator = _generator(INFOS[name])
    report = export_onnx(generator, INFOS[name], tmp_path / "style.onnx")
    assert report.largest_error is not None
    assert report.largest_error < LARGEST_ERROR
    session = _session(report.path)
    for count, height, width in SIZES:
        if report.scale > 1 and height > 100:
            height, width = height // 4, width // 4
        images = torch.rand(count, 3, height, width)
        with torch.no_grad():
            expected = generator(images).numpy()
        found = _computed(session, images)
        assert found.shape == (count, 3, report.scale * height, report.scale * width)
        assert expected.std() > 0.02  # a flat picture would prove nothing
        assert np.abs(found - expected).max() < LARGEST_ERROR
        assert found.min() >= 0
        assert found.max() <= 1
    assert [path.name for path in tmp_path.iterdir()] == ["style.onnx"]


@pytest.mark.parametrize("name", ["johnson", "super-resolution"])
def test_the_file_says_what_it_is(name: str, tmp_path: Path) -> None:
    report = export_onnx(_generator(INFOS[name]), INFOS[name], tmp_path / "style.onnx")
    session = _session(report.path)
    (image,), (output,) = session.get_inputs(), session.get_outputs()
    assert (image.name, image.shape) == ("image", ["batch", 3, "height", "width"])
    enlarges = name == "super-resolution"
    assert output.name == report.output_name == ("upscaled" if enlarges else "stylized")
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["architecture"] == name
    assert json.loads(metadata["arguments"]) == INFOS[name].arguments
    assert "[0, 1]" in metadata["input"]
    assert "[0, 1]" in metadata["output"]
    assert metadata["scale"] == ("4" if enlarges else "1")


def test_the_smallest_side_is_computed(tmp_path: Path) -> None:
    for name in ("lean", "johnson", "johnson-paper", "pytorch-examples", "fast-style-transfer"):
        generator = _generator(INFOS[name])
        report = export_onnx(generator, INFOS[name], tmp_path / f"{name}.onnx")
        images = torch.rand(1, 3, report.min_side, report.min_side + 1)
        with torch.no_grad():
            expected = generator(images).numpy()
        assert np.abs(_computed(_session(report.path), images) - expected).max() < LARGEST_ERROR


def test_the_generator_stays_as_it_was(tmp_path: Path) -> None:
    generator = _generator(INFOS["johnson"]).double().train()
    export_onnx(generator, INFOS["johnson"], tmp_path / "style.onnx")
    assert generator.training
    assert {parameter.dtype for parameter in generator.parameters()} == {torch.float64}


def test_a_network_that_draws_noise_is_refused(tmp_path: Path) -> None:
    info = CheckpointInfo("texture", {"scales": 2})
    with pytest.raises(InputError, match="noise"):
        export_onnx(build_generator(info), info, tmp_path / "texture.onnx")
    assert not list(tmp_path.iterdir())


class _FrozenSize(Generator):
    """A network whose trace keeps the size that it was traced with."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        height, width = (int(side) for side in image.shape[-2:])
        return image * torch.linspace(0, 1, height * width).reshape(height, width)


class _FrozenBranch(Generator):
    """A network whose trace keeps the branch that it took: the right size, the wrong pixels."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image if image.shape[-1] % 2 == 0 else 1 - image


@pytest.mark.parametrize("network", [_FrozenSize, _FrozenBranch])
def test_an_export_that_computes_otherwise_is_not_kept(
    network: Callable[[], Generator], tmp_path: Path
) -> None:
    output = tmp_path / "style.onnx"
    output.write_text("precious")
    with pytest.raises(VerificationError, match="not kept"):
        export_onnx(network(), INFOS["johnson"], output)
    assert output.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["style.onnx"]


def _without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setattr(
        "nst_core.checkpoints.onnx_export.find_spec",
        lambda name: None if name == package else find_spec(name),
    )


def test_without_the_package_onnx_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _without(monkeypatch, "onnx")
    with pytest.raises(EnvironmentProblem, match="pip install onnx"):
        export_onnx(_generator(INFOS["johnson"]), INFOS["johnson"], tmp_path / "s.onnx")


def test_without_onnxruntime_nothing_is_said_to_be_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _without(monkeypatch, "onnxruntime")
    report = export_onnx(_generator(INFOS["johnson"]), INFOS["johnson"], tmp_path / "s.onnx")
    assert report.largest_error is None
    assert report.path.exists()


def _run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None:
        raise result.exception
    assert result.stderr == ""
    return result.stdout


def test_the_command_says_in_one_line_how_to_use_the_file(style: Style, tmp_path: Path) -> None:
    output = tmp_path / "deep" / "style.onnx"
    line = _run("styles", "export", style.path or "", "-o", output)
    assert len(line.splitlines()) == 1
    assert "image -> stylized" in line
    assert "checked by onnxruntime" in line
    with pytest.raises(InputError, match="--overwrite"):
        _run("styles", "export", style.path or "", "-o", output)
    report = json.loads(
        _run("styles", "export", style.path or "", "-o", output, "--overwrite", "--json")
    )
    assert (report["input_name"], report["output_name"]) == ("image", "stylized")
    assert report["largest_error"] < LARGEST_ERROR


def test_the_command_refuses_what_has_no_network_and_its_own_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="identity"):
        _run("styles", "export", "identity", "-o", tmp_path / "o.onnx")
    path = tmp_path / "style.safetensors"
    save_generator(path, _generator(INFOS["johnson"]), INFOS["johnson"])
    with pytest.raises(InputError, match="replace its input"):
        _run("styles", "export", path, "-o", path, "--overwrite")
    assert not list(tmp_path.glob("*.onnx"))
