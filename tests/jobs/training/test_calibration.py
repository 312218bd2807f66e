from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.training.calibration import read_photos
from nst_core.checkpoints.checkpoint import read_state, save_state
from nst_core.checkpoints.info import CheckpointInfo, read_info
from nst_core.checkpoints.library import Style, find_style
from nst_core.engines.calibration import LONGEST_SIDE, PHOTOS_WANTED
from tests.kit.command_line import app
from tests.kit.training_jobs import save_bases


def _nst(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout


def test_a_checkpoint_is_calibrated_and_keeps_its_weights(
    style: Style, photos: Path, tmp_path: Path
) -> None:
    assert style.path is not None
    output = tmp_path / "calibrated.safetensors"
    code, printed = _nst("styles", "calibrate", style.path, "--content", photos, "-o", output)
    assert code == 0
    assert "dB of float32" in printed
    before, _ = read_state(style.path)
    after, info = read_state(output)
    assert {name: tensor.tolist() for name, tensor in before.items()} == {
        name: tensor.tolist() for name, tensor in after.items()
    }
    assert set(info.eight_bit) == {""}
    convs = {name for name in before if name.endswith(".weight") and before[name].ndim == 4}
    in_eight_bits = {f"{name}.weight" for name in info.eight_bit[""].ranges}
    wide = ("encoder", "residual.0.body.0.")
    assert in_eight_bits == {name for name in convs if not name.startswith(wide)}
    assert find_style(str(output)).eight_bit is not None


def test_all_styles_of_a_pack_are_calibrated(photos: Path, tmp_path: Path) -> None:
    pack = save_bases(tmp_path)["pack"]
    output = tmp_path / "calibrated.safetensors"
    code, printed = _nst("styles", "calibrate", pack, "--content", photos, "-o", output, "--json")
    assert code == 0
    styles = read_info(pack).styles
    assert set(json.loads(printed)["eight_bit"]) == set(styles)
    ranges = [found.ranges for found in read_info(output).eight_bit.values()]
    assert ranges[0] != ranges[1]


def test_show_says_how_close_without_all_ranges(style: Style, photos: Path, tmp_path: Path) -> None:
    assert style.path is not None
    output = tmp_path / "calibrated.safetensors"
    _nst("styles", "calibrate", style.path, "--content", photos, "-o", output)
    code, printed = _nst("styles", "show", output)
    assert code == 0
    assert "dB of float32" in printed
    assert "residual" not in printed
    ranges = json.loads(_nst("styles", "show", output, "--json")[1])["eight_bit"][""]["ranges"]
    assert len(ranges) == 12


def test_no_photographs_are_one_line(style: Style, tmp_path: Path) -> None:
    assert style.path is not None
    (tmp_path / "empty").mkdir()
    output = tmp_path / "calibrated.safetensors"
    content = ("--content", tmp_path / "empty")
    code, _ = _nst("styles", "calibrate", style.path, *content, "-o", output)
    assert code != 0
    assert not output.exists()


def test_photographs_are_taken_evenly_bounded_and_unreadable_ones_left_out(
    photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from PIL import Image

    large = tmp_path / "large.png"
    Image.new("RGB", (2000, 1000), "red").save(large)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    paths = [str(path) for path in sorted(photos.rglob("*.jpg"))] * 20
    found = read_photos([str(large), str(broken), *paths])
    assert len(found) == PHOTOS_WANTED
    found = read_photos([str(large), str(broken), paths[0]])
    assert len(found) == 2
    assert found[0].shape == (1, 3, LONGEST_SIDE // 2, LONGEST_SIDE)
    assert "broken.jpg" in caplog.text


def test_an_imported_style_is_calibrated_where_photographs_are_given(
    photos: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import save_file

    from nst_core.networks.pytorch_examples import PytorchExamplesNet

    torch.manual_seed(0)
    foreign = tmp_path / "foreign.safetensors"
    save_file(PytorchExamplesNet(4).state_dict(), foreign)
    plain, calibrated = tmp_path / "plain.safetensors", tmp_path / "calibrated.safetensors"
    assert _nst("styles", "import", foreign, "-o", plain)[0] == 0
    assert _nst("styles", "import", foreign, "-o", calibrated, "--content", photos)[0] == 0
    assert read_info(plain).eight_bit == {}
    ranges = read_info(calibrated).eight_bit[""].ranges
    assert "res1.conv2.conv2d" in ranges
    assert "conv3.conv2d" not in ranges


def test_states_without_the_field_are_written_as_before(tmp_path: Path, style: Style) -> None:
    assert style.path is not None
    state, info = read_state(style.path)
    path = tmp_path / "again.safetensors"
    save_state(path, state, CheckpointInfo(info.architecture, dict(info.arguments)))
    assert read_info(path).eight_bit == {}


def test_a_base_keeps_what_its_styles_were_calibrated_to_under_their_names(
    style: Style, photos: Path, tmp_path: Path
) -> None:
    from jobs.training.start import read_extended

    assert style.path is not None
    alone, pack = tmp_path / "candy.safetensors", tmp_path / "two.safetensors"
    _nst("styles", "calibrate", style.path, "--content", photos, "-o", alone)
    _nst("styles", "calibrate", save_bases(tmp_path)["pack"], "--content", photos, "-o", pack)
    assert read_extended(alone).eight_bit == {"candy": read_info(alone).eight_bit[""]}
    assert read_extended(pack).eight_bit == read_info(pack).eight_bit
    assert set(read_extended(pack).eight_bit) == {"monet", "klimt"}
