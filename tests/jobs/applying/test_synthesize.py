"""Textures of any size from a seed, and styles of texture networks on a film."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from jobs.applying.stylize_video import stylize_videos
from jobs.applying.synthesize import synthesize
from jobs.cli.commands.synthesize import parse_size
from jobs.specs.applying import PoolSpec, StylizeVideo
from jobs.specs.single import Synthesize
from nst_core.checkpoints.checkpoint import save_generator
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.checkpoints.library import Style, find_style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.engines.names import EngineChoice
from nst_core.errors import InputError
from nst_core.networks.texture import TextureNet
from nst_core.stylizer import Stylizer
from tests.kit.command_line import app
from tests.kit.media import make_clip, moving_picture, stream_packets


def _save_network(path: Path, *, stylizes: bool, norm: str = "instance") -> Path:
    torch.manual_seed(6)
    arguments: dict[str, Any] = {"scales": 3, "norm": norm, "stylizes": stylizes}
    save_generator(path, TextureNet(**arguments), CheckpointInfo("texture", arguments))
    return path


@pytest.fixture(scope="module")
def texture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save_network(tmp_path_factory.mktemp("nets") / "texture.safetensors", stylizes=False)


@pytest.fixture(scope="module", params=["instance", "batch"])
def texture_style(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nets") / "style.safetensors"
    return _save_network(path, stylizes=True, norm=request.param)


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


@pytest.mark.parametrize(("height", "width", "tiles"), [(64, 96, True), (37, 50, False)])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_picture_has_the_size_asked_for(
    texture: Path, tmp_path: Path, height: int, width: int, tiles: bool, suffix: str
) -> None:
    output = tmp_path / f"made{suffix}"
    report = synthesize(Synthesize(str(texture), output, (height, width)))
    assert _pixels(output).shape == (height, width, 3)
    assert _pixels(output).std() > 1
    assert (report.tiles, report.multiple) == (tiles, 4)
    assert [file.name for file in tmp_path.iterdir()] == [output.name]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_picture(
    texture: Path, tmp_path: Path
) -> None:
    for name, seed in (("a", 1), ("again", 1), ("b", 2)):
        synthesize(Synthesize(str(texture), tmp_path / f"{name}.png", (48, 64), seed))
    a, again, b = ((tmp_path / f"{name}.png").read_bytes() for name in ("a", "again", "b"))
    assert a == again
    assert a != b
    # Other noise for the same texture; where all three colours are black, they stay so.
    first, second = _pixels(tmp_path / "a.png"), _pixels(tmp_path / "b.png")
    assert (first != second).any(axis=-1).mean() > 0.5


def test_an_odd_size_is_cut_from_the_next_that_tiles(texture: Path, tmp_path: Path) -> None:
    synthesize(Synthesize(str(texture), tmp_path / "whole.png", (40, 52)))
    synthesize(Synthesize(str(texture), tmp_path / "cut.png", (37, 50)))
    np.testing.assert_array_equal(
        _pixels(tmp_path / "cut.png"), _pixels(tmp_path / "whole.png")[:37, :50]
    )


def test_an_existing_picture_is_replaced_only_when_told(texture: Path, tmp_path: Path) -> None:
    output = tmp_path / "made.png"
    output.write_text("precious")
    with pytest.raises(InputError, match="--overwrite"):
        synthesize(Synthesize(str(texture), output, (32, 32)))
    assert output.read_text() == "precious"
    synthesize(Synthesize(str(texture), output, (32, 32), overwrite=True))
    assert _pixels(output).shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": (15, 64)}, "16 to 8192"),
        ({"size": (64, 8193)}, "16 to 8192"),
        ({"output": Path("a.gif")}, r"\.png"),
        ({"seed": -1}, "--seed -1"),
    ],
)
def test_what_cannot_be_made_is_refused(options: dict[str, Any], words: str) -> None:
    fields: dict[str, Any] = {"output": Path("a.png"), "size": (64, 64)}
    with pytest.raises(InputError, match=words):
        Synthesize("texture.safetensors", **(fields | options))


def test_sizes_are_height_by_width_or_one_number() -> None:
    assert parse_size("512x768") == (512, 768)
    assert parse_size("64") == (64, 64)
    for text in ("", "x", "12x", "-3", "1e3", "64x64x3", "99999999"):
        with pytest.raises(InputError, match="512x768"):
            parse_size(text)


def test_what_is_no_texture_is_refused(style: Style, texture_style: Path, tmp_path: Path) -> None:
    for checkpoint in (str(style.path), str(texture_style), "wave", "identity"):
        with pytest.raises(InputError, match="use `nst stylize`"):
            synthesize(Synthesize(checkpoint, tmp_path / "a.png", (32, 32)))
    with pytest.raises(InputError, match="nst train texture"):
        synthesize(Synthesize(str(tmp_path / "none"), tmp_path / "a.png", (32, 32)))
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_whether_the_picture_tiles(texture: Path, tmp_path: Path) -> None:
    arguments = ["synthesize", str(texture), "--json", "--overwrite", "-o", str(tmp_path / "a.png")]
    result = CliRunner().invoke(app, [*arguments, "--size", "30x33"])
    assert result.exit_code == 0
    assert "32x36" in result.stderr
    report = json.loads(result.stdout)
    assert (report["height"], report["width"], report["tiles"]) == (30, 33, False)
    result = CliRunner().invoke(app, [*arguments, "--size", "32"])
    assert result.stderr == ""
    assert json.loads(result.stdout)["tiles"]


def test_a_film_is_the_same_whatever_the_batch(
    texture_style: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "in.mkv"
    make_clip(source, codec="ffv1", width=45, height=31, frames=7, sound=False)
    outputs = []
    for frames, seconds in ((1, 60), (5, 60), (8, 0.1)):
        monkeypatch.setattr(Stylizer, "frames_a_batch", lambda *_, frames=frames: frames)
        outputs.append(tmp_path / f"{frames}.mkv")
        spec = StyleSpec(str(texture_style), device="cpu")
        job = StylizeVideo(
            (source,), outputs[-1], spec, PoolSpec(workers=0), segment_seconds=seconds, codec="ffv1"
        )
        report = stylize_videos(job)
        assert report.engine == "torch cpu float32"
        assert report.inputs[0].status == "done", report.inputs[0].error
    # The packets: Matroska gives every file another number. FFV1 loses nothing, and its frames
    # know nothing of each other, so that cutting into pieces must change nothing either.
    one, five, pieces = (stream_packets(output, "video") for output in outputs)
    assert len(one) == 7
    assert one == five == pieces


def test_the_noise_of_a_style_is_the_seeds_alone(texture_style: Path) -> None:
    style = find_style(str(texture_style))
    stylizer = Stylizer(style, device="cpu")
    pictures = np.stack([moving_picture(number, 44, 36) for number in range(3)])
    together = stylizer.stylize(pictures)
    for number in (2, 0, 1):
        np.testing.assert_array_equal(stylizer.stylize(pictures[number]), together[number])
    other = Stylizer(style, device="cpu", seed=1).stylize(pictures[0])
    assert (other != together[0]).mean() > 0.1


def test_openvino_is_refused_for_networks_that_draw_noise(
    texture_style: Path, tmp_path: Path
) -> None:
    engine: EngineChoice = "openvino"
    with pytest.raises(InputError, match="--engine auto or torch"):
        Stylizer(find_style(str(texture_style)), engine=engine)
    spec = StyleSpec(str(texture_style), engine=engine)
    missing = StylizeVideo((tmp_path / "no.mp4",), tmp_path / "o.mp4", spec, PoolSpec(workers=0))
    with pytest.raises(InputError, match="--engine auto or torch"):  # before any input is read
        stylize_videos(missing)
