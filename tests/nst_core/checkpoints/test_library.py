from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nst_core.checkpoints import library as style_library
from nst_core.checkpoints.checkpoint import load_generator, read_state, save_generator, save_state
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.checkpoints.library import (
    IDENTITY,
    Command,
    Style,
    bundled,
    bundled_packs,
    bundled_styles,
    find_for,
    find_style,
    mixture_text,
)
from nst_core.errors import CheckpointError, InputError
from nst_core.networks.conditional_norm import MultiStyleGenerator
from nst_core.networks.transformer import TransformerNet
from nst_core.stylizer import Stylizer
from tests.kit.media import moving_picture

PAINTINGS = {
    *("cherry_tree", "composition_1913", "composition_vii", "contrast_of_forms", "metzinger"),
    *("shipwreck", "starry_night", "the_scream", "udnie", "water_lilies", "wave"),
    "woman_with_a_hat",
}
PACK = ("wave", "starry_night", "scream")


def _save_pack(path: Path, styles: tuple[str, ...] = PACK) -> Path:
    torch.manual_seed(0)
    network = MultiStyleGenerator(TransformerNet(4), len(styles))
    for parameter in network.style_parameters():
        nn.init.uniform_(parameter, -1, 1)
    save_generator(path, network.generator, CheckpointInfo("johnson", {"width": 4}, styles=styles))
    return path


@pytest.fixture
def pack(tmp_path: Path) -> str:
    return str(_save_pack(tmp_path / "pack.safetensors"))


@pytest.fixture
def bundled_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, style: Style) -> Path:
    """Bundled are a pack and, for one of its styles, a file of its own."""
    folder = tmp_path / "styles"
    folder.mkdir()
    _save_pack(folder / "paintings.safetensors")
    assert style.path is not None
    shutil.copy(style.path, folder / "wave.safetensors")
    monkeypatch.setitem(style_library._FOLDERS, "stylize", folder)
    return folder


_BUNDLED: dict[Command, list[str]] = {
    "stylize": bundled_styles(),
    "synthesize": bundled("synthesize"),
    "upscale": bundled("upscale"),
}


def test_the_bundled_styles_are_there_and_say_how_they_were_made() -> None:
    assert set(bundled_styles()) == PAINTINGS
    for name in bundled_styles():
        training = find_style(name).training
        for key in ("style_image", "content", "training", "objective", "loss_network"):
            assert training.get(key), f"{name} does not say its {key}"
        assert f"{name}.jpg" in training["style_image"]
        assert training["training"]["steps"] >= (400 if "extends" in training else 1000)
        assert training["training"]["stability_weight"] > 0


def test_bundled_textures_and_enlargers_go_with_their_commands() -> None:
    assert {"bricks", "pebble", "red-peppers"} <= set(bundled("synthesize"))
    assert "x4" in bundled("upscale")
    for command, names in _BUNDLED.items():
        for name in names:
            assert find_for(command, name).training["training"]["steps"] >= 400


def test_what_is_bundled_is_small_together() -> None:
    paths = {find_style(name).path for names in _BUNDLED.values() for name in names}
    assert sum(path.stat().st_size for path in paths if path) < 30_000_000


def test_an_unknown_style_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="wave"):
        find_style("monet")


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(CheckpointError, match=r"notes\.txt"):
        find_style(str(path))


def test_fingerprints_tell_styles_apart(style: Style) -> None:
    assert find_style(IDENTITY).fingerprint == IDENTITY
    prints = {find_style(name).fingerprint for name in bundled_styles()}
    assert len(prints | {style.fingerprint}) == len(bundled_styles()) + 1


def test_one_style_of_a_pack_is_named_behind_a_colon(pack: str) -> None:
    style = find_style(f"{pack}:starry_night")
    assert style.name == "pack-starry_night"
    assert style.mixture == (("starry_night", 1.0),)
    expected, _ = load_generator(Path(pack), {"starry_night": 1.0})
    state = style.load().state_dict()
    assert all(torch.equal(state[name], value) for name, value in expected.state_dict().items())


def test_a_mixture_counts_by_its_proportions_in_any_order(pack: str) -> None:
    texts = ("wave=0.7,starry_night=0.3", "starry_night=3, wave=7", "wave=5,starry_night=3,wave=2")
    styles = [find_style(f"{pack}:{text}") for text in texts]
    assert {style.name for style in styles} == {"pack-wave=0.7,starry_night=0.3"}
    assert len({style.fingerprint for style in styles}) == 1
    assert dict(styles[0].mixture) == pytest.approx({"wave": 0.7, "starry_night": 0.3})
    halves = find_style(f"{pack}:scream,wave")
    assert halves.mixture == (("wave", 0.5), ("scream", 0.5))
    alone = find_style(f"{pack}:wave=2,scream=0")
    assert alone.mixture == find_style(f"{pack}:wave").mixture
    assert alone.fingerprint == find_style(f"{pack}:wave").fingerprint
    different = ("wave", "scream", "wave,scream", "wave=0.7,scream=0.3")
    assert len({find_style(f"{pack}:{text}").fingerprint for text in different}) == 4


def test_the_name_of_a_mixture_names_it_again(pack: str) -> None:
    style = find_style(f"{pack}:wave=1,starry_night=2")
    again = find_style(f"{pack}:{mixture_text(style.mixture)}")
    assert dict(again.mixture) == pytest.approx(dict(style.mixture), abs=1e-6)
    assert again.name == style.name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (":monet", "no style 'monet'; it has wave, starry_night, scream"),
        (":wave=0.5,monet=0.5", "no style 'monet'"),
        (":", "no style ''"),
        (":wave,", "no style ''"),
        (":wave=much", "'much' is not a number of 0 or more"),
        (":wave=-1,scream=2", "'-1' is not a number of 0 or more"),
        (":wave=nan", "'nan' is not a number"),
        (":wave=inf", "'inf' is not a number"),
        (":wave=0,scream=0", "at least one style needs a number above 0"),
        ("", "holds 3 styles (wave, starry_night, scream); name one"),
    ],
)
def test_what_a_pack_does_not_have_is_refused(text: str, words: str, pack: str) -> None:
    with pytest.raises(InputError) as caught:
        find_style(pack + text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_one_style_has_no_other(style: Style) -> None:
    with pytest.raises(InputError, match="one style only; leave out :wave"):
        find_style(f"{style.path}:wave")


def test_a_pack_of_one_style_needs_no_name(tmp_path: Path) -> None:
    path = _save_pack(tmp_path / "lone.safetensors", ("wave",))
    lone = find_style(str(path))
    assert (lone.name, lone.mixture) == ("lone", (("wave", 1.0),))
    assert isinstance(lone.load(), TransformerNet)
    assert find_style(f"{path}:wave").fingerprint == lone.fingerprint


def test_a_file_may_have_a_colon_in_its_name(tmp_path: Path, style: Style) -> None:
    path = _save_pack(tmp_path / "my:pack.safetensors")
    assert find_style(f"{path}:wave").mixture == (("wave", 1.0),)
    assert style.path is not None
    plain = tmp_path / "a:wave=1.safetensors"
    shutil.copy(style.path, plain)
    assert find_style(str(plain)).mixture == ()
    assert find_style(str(plain)).name == "a:wave=1"


def test_styles_of_a_bundled_pack_have_names_of_their_own(bundled_folder: Path) -> None:
    assert bundled_packs() == {"paintings": PACK}
    assert bundled_styles() == ["scream", "starry_night", "wave"]
    scream = find_style("scream")
    assert (scream.name, scream.mixture) == ("scream", (("scream", 1.0),))
    assert scream.path == bundled_folder / "paintings.safetensors"
    assert scream.fingerprint == find_style("paintings:scream").fingerprint
    assert find_style("wave").path == bundled_folder / "wave.safetensors"  # it goes before
    assert find_style("paintings:wave").path == bundled_folder / "paintings.safetensors"
    assert find_style("paintings:wave=0.7,scream=0.3").name == "paintings-wave=0.7,scream=0.3"
    assert find_for("stylize", "paintings:wave").command == "stylize"
    with pytest.raises(InputError, match="paintings:wave"):
        find_style("paintings")
    with pytest.raises(InputError, match="scream, starry_night, wave, identity"):
        find_style("monet:wave")


def test_what_lies_in_the_current_folder_hides_no_bundled_style(
    bundled_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    (here / "scream").mkdir(parents=True)  # as `-o scream` of an earlier run leaves it
    (here / "paintings").write_text("notes")
    monkeypatch.chdir(here)
    assert find_style("scream").path == bundled_folder / "paintings.safetensors"
    assert find_style("paintings:scream").path == bundled_folder / "paintings.safetensors"


def test_another_commands_names_stay_apart_from_packs(bundled_folder: Path) -> None:
    with pytest.raises(InputError, match="nst stylize"):
        find_for("upscale", "scream")
    with pytest.raises(InputError, match="no such file"):
        find_for("upscale", "monet")


def test_a_stylizer_applies_a_mixture(pack: str) -> None:
    picture = moving_picture(0)
    texts = ("wave", "scream", "wave=0.7,scream=0.3")
    outputs = [
        Stylizer(find_style(f"{pack}:{text}"), engine="torch", device="cpu").stylize(picture)
        for text in texts
    ]
    generator, _ = load_generator(Path(pack), {"wave": 0.7, "scream": 0.3})
    with torch.no_grad():
        expected = generator(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255)
    pixels = (expected[0].permute(1, 2, 0) * 255).round().numpy()
    # One apart where rounding goes the other way.
    assert np.abs(outputs[2] - pixels).max() <= 1
    assert all(np.abs(outputs[2].astype(int) - other).max() > 5 for other in outputs[:2])


def test_a_checkpoint_replaced_meanwhile_is_neither_computed_nor_named(
    style: Style, tmp_path: Path
) -> None:
    assert style.path is not None
    path = tmp_path / "style.safetensors"
    path.write_bytes(style.path.read_bytes())
    found = find_style(str(path)).with_content()
    before, weights = found.fingerprint, found.load().state_dict()
    state, info = read_state(path)
    save_state(path, {name: tensor + 1 for name, tensor in state.items()}, info)
    assert find_style(str(path)).fingerprint != before
    assert found.fingerprint == before
    assert all(torch.equal(t, weights[name]) for name, t in found.load().state_dict().items())
