"""Checkpoints with several strokes a style, against an independent computation; and old ones."""

from __future__ import annotations

import hashlib
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from nst_core.checkpoints.checkpoint import (
    load_generator,
    read_state,
    restore_generator,
    save_generator,
    save_state,
)
from nst_core.checkpoints.info import METADATA_KEY, read_info
from nst_core.checkpoints.library import Style, find_style
from nst_core.errors import CheckpointError, InputError
from nst_core.networks.conditional_norm import MultiStyleGenerator, joined, norm_names
from nst_core.networks.transformer import TransformerNet
from nst_core.stylizer import Stylizer
from tests.kit.media import moving_picture
from tests.kit.stroke_packs import STROKES, STYLES, save_stroke_pack, stroke_info, stroke_network

_NORMS = [f"{name}.{key}" for name in norm_names(TransformerNet(4)) for key in ("weight", "bias")]


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return save_stroke_pack(tmp_path / "pack.safetensors")


def _expected(rows: Tensor, mixture: dict[str, float], stroke: float) -> np.ndarray[Any, Any]:
    """Row by row, by NumPy's interpolation over log2 of the stroke."""
    per_style = rows.double().numpy().reshape(len(STYLES), len(STROKES), -1)
    total = np.zeros(per_style.shape[-1])
    for style, part in mixture.items():
        of_style = per_style[STYLES.index(style)]
        for channel in range(len(total)):
            total[channel] += part * np.interp(
                np.log2(stroke), np.log2(STROKES), of_style[:, channel]
            )
    return total


def _state_at(path: Path, mixture: dict[str, float], stroke: float) -> dict[str, Tensor]:
    generator, _ = load_generator(path, mixture, stroke=stroke)
    state: dict[str, Tensor] = generator.state_dict()
    return state


@pytest.mark.parametrize("mixture", [{"wave": 1.0}, {"scream": 1.0}, {"wave": 0.7, "scream": 0.3}])
@pytest.mark.parametrize("stroke", [0.1, 0.5, 0.6, 0.7071, 1.0, 1.3, 2.0, 9.0])
def test_a_stroke_between_two_rows_mixes_them_by_its_logarithm(
    mixture: dict[str, float], stroke: float, pack: Path
) -> None:
    rows, _ = read_state(pack)
    state = _state_at(pack, mixture, stroke)
    for name, tensor in state.items():
        if name in _NORMS:
            expected = _expected(rows[name], mixture, stroke)
            np.testing.assert_allclose(tensor.numpy(), expected, atol=2e-7)
        else:
            assert torch.equal(tensor, rows[name])


def test_a_trained_stroke_is_its_row_bit_for_bit(pack: Path) -> None:
    rows, info = read_state(pack)
    assert info.rows == 6
    for style_number, style in enumerate(STYLES):
        for stroke_number, stroke in enumerate(STROKES):
            state = _state_at(pack, {style: 1.0}, stroke)
            row = style_number * len(STROKES) + stroke_number
            assert all(torch.equal(state[name], rows[name][row]) for name in _NORMS)


def test_the_plain_generator_computes_what_the_trained_row_computes(pack: Path) -> None:
    network = stroke_network(stroke_info())
    image = torch.rand(1, 3, 32, 40)
    plain, _ = load_generator(pack, {"scream": 1.0}, stroke=2.0)
    with torch.no_grad():
        torch.testing.assert_close(plain(image), network(image, torch.eye(6)[5:6]))
        other = network(image, torch.eye(6)[4:5])
        assert (plain(image) - other).abs().max() > 0.01


def test_strokes_are_read_back_as_they_were_written(pack: Path) -> None:
    assert read_info(pack) == stroke_info()
    assert read_info(pack).strokes == STROKES


@pytest.mark.parametrize(
    ("styles", "strokes", "rows"),
    [((), (), 1), (("a",), (), 1), (("a", "b"), (), 2), (("a",), STROKES, 3), (STYLES, STROKES, 6)],
)
def test_there_is_a_row_for_each_style_and_stroke(
    styles: tuple[str, ...], strokes: tuple[float, ...], rows: int
) -> None:
    assert stroke_info(styles, strokes).rows == rows


@pytest.mark.parametrize(
    "strokes",
    [
        (1.0, 0.5),
        (1.0, 1.0),
        (0.0, 1.0),
        (-1.0, 1.0),
        (1.0, math.inf),
        (math.nan,),
        (math.nan, 1.0),
    ],
)
def test_strokes_that_are_no_ascending_sizes_are_refused_in_one_line(
    strokes: tuple[float, ...],
) -> None:
    with pytest.raises(CheckpointError, match="each larger than the last") as caught:
        stroke_info(STYLES, strokes)
    assert "\n" not in str(caught.value)


def test_strokes_without_named_styles_are_refused() -> None:
    with pytest.raises(CheckpointError, match="at least one style"):
        stroke_info((), STROKES)


@pytest.mark.parametrize(
    "damaged", ["[1.0, 0.5]", '["x"]', "7", "1" + 400 * "0", f"[1{400 * '0'}]"]
)
def test_damaged_strokes_of_a_file_are_one_line(damaged: str, pack: Path, tmp_path: Path) -> None:
    tensors, info = read_state(pack)
    path = tmp_path / "other.safetensors"
    save_state(path, tensors, info)
    content = path.read_bytes()
    old, new = b"[0.5, 1.0, 2.0]", damaged.replace('"', '\\"').encode()
    header = int.from_bytes(content[:8], "little") + len(new) - len(old)
    path.write_bytes(header.to_bytes(8, "little") + content[8:].replace(old, new))
    with pytest.raises(CheckpointError, match=r"sizes above 0|metadata is damaged") as caught:
        read_info(path)
    assert "\n" not in str(caught.value)


def test_rows_that_do_not_fit_the_strokes_are_told(pack: Path, tmp_path: Path) -> None:
    tensors, _ = read_state(pack)
    with pytest.raises(CheckpointError, match="one row for each of 2 styles in 2 strokes"):
        restore_generator(pack, tensors, stroke_info(STYLES, (0.5, 1.0)), {"wave": 1.0})


def test_a_pack_that_is_extended_has_the_strokes_of_old_and_new_styles(
    pack: Path, tmp_path: Path
) -> None:
    base, info = read_state(pack)
    new = stroke_info(("night", "sea"))
    added = stroke_network(new, seed=5).generator.state_dict()
    state = joined(TransformerNet(4), base, {**base, **{name: added[name] for name in _NORMS}})
    path = tmp_path / "more.safetensors"
    save_state(path, state, stroke_info((*info.styles, *new.styles)))
    for stroke in (*STROKES, 0.8):
        before, after = (_state_at(each, {"scream": 1.0}, stroke) for each in (pack, path))
        for name in before:
            torch.testing.assert_close(before[name], after[name])
    for number, stroke in enumerate(STROKES):
        found = _state_at(path, {"sea": 1.0}, stroke)
        assert all(torch.equal(found[name], added[name][3 + number]) for name in _NORMS)


def test_each_stroke_of_a_new_style_starts_as_the_mean_of_that_stroke(pack: Path) -> None:
    base, _ = read_state(pack)
    network = MultiStyleGenerator(TransformerNet(4), 6)
    network.start_from(base, strokes=3)
    state = network.generator.state_dict()
    for name in _NORMS:
        for stroke in range(3):
            mean = (base[name][stroke] + base[name][3 + stroke]) / 2
            for row in (stroke, 3 + stroke):
                torch.testing.assert_close(state[name][row], mean)


def test_a_checkpoint_without_strokes_is_written_and_known_as_ever(
    style: Style, tmp_path: Path
) -> None:
    assert style.path is not None
    generator, info = load_generator(style.path)
    again = tmp_path / "again.safetensors"
    save_generator(again, generator, info)
    with safe_open(again, framework="numpy") as file:
        metadata = json.loads(file.metadata()[METADATA_KEY])
    fields = ["format", "architecture", "arguments", "training", "styles", "eight_bit"]
    assert list(metadata) == fields
    assert again.read_bytes() == style.path.read_bytes()
    assert style.fingerprint == hashlib.sha256(style.path.read_bytes()).hexdigest()
    several = save_stroke_pack(tmp_path / "several.safetensors", strokes=())
    digest = hashlib.sha256(several.read_bytes()).hexdigest()
    assert find_style(f"{several}:wave").fingerprint == f"{digest}:wave"
    plain = restore_generator(again, read_state(again)[0], info, stroke=2.0)
    assert all(
        torch.equal(plain.state_dict()[name], tensor)
        for name, tensor in generator.state_dict().items()
    )


def test_fingerprints_tell_strokes_apart(pack: Path) -> None:
    style = find_style(f"{pack}:wave")
    strokes = (0.5, 0.7, 1.0, 2.0)
    assert len({style.with_stroke(stroke).fingerprint for stroke in strokes}) == 4
    assert style.with_stroke(7).fingerprint == style.with_stroke(2).fingerprint
    assert style.fingerprint == style.with_stroke(1).fingerprint
    assert style.with_stroke(2).name == style.name


def test_a_style_of_one_size_has_no_other(style: Style) -> None:
    assert style.with_stroke(1.0) == style
    with pytest.raises(InputError, match="--stroke 2: random was trained with one size") as caught:
        style.with_stroke(2.0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("travels", [False, True])
def test_a_style_is_applied_with_its_stroke_wherever_its_file_is(pack: Path, travels: bool) -> None:
    style = find_style(f"{pack}:wave=0.5,scream=0.5").with_stroke(1.4)
    if travels:
        style = style.with_content()
        pack.rename(pack.with_suffix(".elsewhere"))
    loaded = style.load().state_dict()
    source = pack.with_suffix(".elsewhere") if travels else pack
    expected = _state_at(source, {"wave": 0.5, "scream": 0.5}, 1.4)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in expected.items())


def test_strokes_change_the_picture(pack: Path) -> None:
    picture = moving_picture(0)
    style = find_style(f"{pack}:wave")
    outputs = [
        Stylizer(style.with_stroke(stroke), engine="torch", device="cpu").stylize(picture)
        for stroke in (0.5, 1.0, 2.0)
    ]
    for output, other in pairwise(outputs):
        assert np.abs(output.astype(int) - other).max() > 5


def test_a_pack_of_one_style_may_have_strokes(tmp_path: Path) -> None:
    path = save_stroke_pack(tmp_path / "lone.safetensors", ("wave",))
    style = find_style(str(path))
    assert style.mixture == (("wave", 1.0),)
    assert style.strokes == STROKES
    assert isinstance(style.with_stroke(2).load(), nn.Module)
