"""Each recipe of the papers, from the command line to a picture, at a tiny size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import save_file

from jobs.specs.recipes import RECIPES
from nst_core.checkpoints.info import read_info
from nst_core.objectives.settings import LossNetworkName
from nst_core.pictures.reading import read_rgb
from tests.kit.command_line import nst
from tests.kit.media import moving_picture
from tests.kit.random_vgg import random_vgg

_TINY = ("--steps", "2", "--batch-size", "2", "--image-size", "64", "--cpus-per-worker", "1")
_LINES = {
    "style": "photo.png --content photos --style-size 64",
    "texture": "photo.png --texture-size 64",
    "super-resolution": "--content photos --width 4",
}
_APPLIED = {
    "style": "stylize images photo.png -o out.png --workers 0 --style",
    "texture": "synthesize -o out.png --size 64x96",
    "super-resolution": "upscale photo.png -o out.png --workers 0 --model",
}
_SIZES = {"style": (96, 64), "texture": (96, 64), "super-resolution": (384, 256)}


@pytest.fixture
def folder(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a picture and photographs."""
    Image.fromarray(moving_picture(0)).save(tmp_path / "photo.png")
    (tmp_path / "photos").symlink_to(photos)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _loss_network(name: LossNetworkName, folder: Path) -> tuple[str, str]:
    tensors = {key: tensor.half() for key, tensor in random_vgg(name).tensors.items()}
    save_file(tensors, folder / "vgg.safetensors", metadata={"architecture": name})
    return "--loss-network-weights", "vgg.safetensors"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "recipe"), [(kind, name) for kind in _LINES for name in RECIPES[kind]]
)
def test_a_recipe_trains_a_network_that_makes_pictures(
    kind: str, recipe: str, folder: Path, ray_here: None
) -> None:
    values = RECIPES[kind][recipe]
    weights = _loss_network(values["loss_network"], folder)
    line = ("train", kind, *_LINES[kind].split(), "-o", "net.safetensors", "--recipe", recipe)
    ended = nst(*line, *_TINY, *weights, "--device", "cpu", "--json")
    assert ended.code == 0, ended.error
    assert json.loads(ended.out)["steps"] == 2
    info = read_info(folder / "net.safetensors")
    assert info.training["recipe"] == recipe
    assert info.training["loss_network"] == values["loss_network"]
    assert info.arguments["norm"] == values["norm"]
    for name in {"scaling", "style_layers", "content_weight", "style_weight"} & values.keys():
        assert info.training["objective"][name] == values[name]
    applied = nst(*_APPLIED[kind].split(), "net.safetensors", "--device", "cpu")
    assert applied.code == 0, applied.error
    picture = read_rgb(folder / "out.png")
    assert picture.size == _SIZES[kind]
    assert picture.getextrema() != ((0, 0),) * 3


@pytest.mark.slow
def test_gatys_recipe_paints_a_picture(folder: Path) -> None:
    line = ("optimize", "photo.png", "--style", "photos/even/0.jpg", "-o", "out.png")
    tiny = ("--steps", "5", "--image-size", "96", "--device", "cpu", "--json")
    ended = nst(*line, "--recipe", "gatys", *tiny, *_loss_network("vgg19", folder))
    assert ended.code == 0, ended.error
    report = json.loads(ended.out)
    assert (report["method"], report["init"]) == ("optimisation", "noise")
    assert report["losses"]["total"] < report["losses_before"]["total"]
    assert read_rgb(folder / "out.png").size == (96, 64)
