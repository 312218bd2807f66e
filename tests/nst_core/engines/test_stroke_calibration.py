"""8 bits for a style of several strokes: one calibration that suits them all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from jobs.training.calibration import calibrate_checkpoint, eight_bit_of
from nst_core.checkpoints.checkpoint import read_state, restore_generator
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.checkpoints.library import find_style
from nst_core.engines.calibration import activation_ranges, calibrate
from nst_core.networks.generator import Generator
from nst_core.networks.transformer import TransformerNet
from nst_core.strokes import half_octaves
from nst_core.stylizer import Stylizer
from tests.kit.media import moving_picture
from tests.kit.stroke_packs import STROKES, save_stroke_pack, stroke_info, stroke_network


class _Factor(Generator):
    """Two convolutions whose inputs can be told without computing; it counts what it is given."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1, bias=False)
        self.second = nn.Conv2d(3, 3, 1, bias=False)
        self.seen: list[float] = []
        for conv in (self.first, self.second):
            nn.init.zeros_(conv.weight)
            with torch.no_grad():
                conv.weight[range(3), range(3)] = factor if conv is self.first else 1 / factor

    def forward(self, image: Tensor) -> Tensor:
        self.seen.append(float(image.mean()))
        result: Tensor = self.second(self.first(image))
        return result


def _flat(*values: float) -> list[Tensor]:
    return [torch.full((1, 3, 4, 4), value) for value in values]


def _photos(count: int) -> list[Tensor]:
    torch.manual_seed(5)
    return [torch.rand(1, 3, 24 + 4 * n, 40) for n in range(count)]


def test_ranges_cover_what_any_of_the_networks_needs() -> None:
    photos = _flat(0.9, 0.2, 0.3, 0.9, 0.4, 0.5)  # every third is checked on
    found = calibrate([_Factor(2), _Factor(-4)], photos)
    # The first is calibrated on 0.2 and 0.4, the second on 0.3 and 0.5.
    assert found.ranges["first"] == pytest.approx((0.2, 0.5))
    assert found.ranges["second"] == pytest.approx((-2.0, 0.8))
    assert found.photos == 4


def test_photographs_are_dealt_out_and_not_computed_by_all() -> None:
    networks = [_Factor(factor) for factor in (1, 2, 3)]
    calibrate(networks, _flat(*(n / 100 for n in range(30))))
    first_seen = [value for network in networks for value in dict.fromkeys(network.seen)]
    assert sorted(first_seen) == pytest.approx([n / 100 for n in range(30)])
    assert {len(set(network.seen)) for network in networks} <= {9, 10, 11}
    assert sum(len(network.seen) for network in networks) == 30 + 3 * 5  # three shares, on a few


@pytest.mark.parametrize("count", [2, 3, 7])
def test_every_network_is_calibrated_and_checked_on_a_photograph_however_few(count: int) -> None:
    networks = [_Factor(factor) for factor in (1, -2, 3, -4, 5)]
    found = calibrate(networks, _flat(*(0.5 for _ in range(count))))
    assert min(len(network.seen) for network in networks) >= 2
    assert found.ranges["second"] == pytest.approx((-2.0, 2.5))


def test_one_network_alone_is_calibrated_as_ever() -> None:
    torch.manual_seed(0)
    generator, photos = TransformerNet(4).eval(), _photos(7)
    calibrating = [photo for number, photo in enumerate(photos) if number % 3]
    found = calibrate([generator], photos)
    assert found.ranges == activation_ranges(generator, calibrating)
    assert found.photos == len(calibrating)


def test_closeness_is_of_all_networks_and_the_worst_of_them_counts() -> None:
    fine = calibrate([_Factor(1), _Factor(1)], _flat(*([0.5] * 12)))
    # The second network's values fill the range, so that the first one's are a step or none.
    coarse = calibrate([_Factor(1), _Factor(500)], _flat(*([0.5] * 12)))
    alone = calibrate([_Factor(500), _Factor(500)], _flat(*([0.5] * 12)))
    assert fine.least_decibels > 45
    assert alone.least_decibels > 45
    assert coarse.least_decibels < 20
    assert coarse.least_decibels < coarse.mean_decibels < 60


def test_a_style_is_calibrated_at_every_stroke_that_pictures_choose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    info, path = stroke_info(), Path("x")
    state = stroke_network(info).generator.state_dict()
    asked: list[list[dict[str, Tensor]]] = []

    def note(generators: list[Generator], *_: object) -> None:
        asked.append([generator.state_dict() for generator in generators])

    monkeypatch.setattr("jobs.training.calibration.calibrate", note)
    eight_bit_of(path, state, info, ["scream"], _photos(3))
    (states,) = asked
    assert len(states) == 5
    for stroke, found in zip((0.5, 0.5**0.5, 1.0, 2**0.5, 2.0), states, strict=True):
        expected = restore_generator(path, state, info, {"scream": 1.0}, stroke=stroke)
        for name, tensor in expected.state_dict().items():
            torch.testing.assert_close(found[name], tensor)


def test_ranges_of_a_style_cover_each_of_its_strokes() -> None:
    info, path, photos = stroke_info(), Path("x"), _photos(2)
    state = stroke_network(info).generator.state_dict()
    (found,) = eight_bit_of(path, state, info, ["wave"], photos).values()
    for stroke in half_octaves(STROKES):
        generator = restore_generator(path, state, info, {"wave": 1.0}, stroke=stroke)
        for name, (low, high) in activation_ranges(generator, photos[1:]).items():
            assert found.ranges[name][0] <= low + 1e-5
            assert found.ranges[name][1] >= high - 1e-5


def test_styles_without_strokes_are_calibrated_as_ever() -> None:
    torch.manual_seed(0)
    generator, photos = TransformerNet(4), _photos(4)
    info = CheckpointInfo("johnson", {"width": 4})
    found = eight_bit_of(Path("x"), generator.state_dict(), info, [""], photos)
    assert found == {"": calibrate([generator], photos)}


def test_one_calibration_serves_every_stroke_and_no_mixture(tmp_path: Path) -> None:
    pack = save_stroke_pack(tmp_path / "pack.safetensors")
    info = calibrate_checkpoint(pack, _photos(6), tmp_path / "calibrated.safetensors")
    assert info.strokes == STROKES
    assert set(info.eight_bit) == {"wave", "scream"}
    _, read = read_state(tmp_path / "calibrated.safetensors")
    assert read.eight_bit == info.eight_bit
    style = find_style(f"{tmp_path}/calibrated.safetensors:wave")
    for stroke in (0.5, 0.8, 1.0, 2.0):
        assert style.with_stroke(stroke).eight_bit == info.eight_bit["wave"]
    mixture = find_style(f"{tmp_path}/calibrated.safetensors:wave,scream")
    assert mixture.with_stroke(2.0).eight_bit is None


def test_a_stroke_between_the_rows_is_computed_in_eight_bits(tmp_path: Path) -> None:
    pack = save_stroke_pack(tmp_path / "pack.safetensors")
    calibrate_checkpoint(pack, _photos(6), tmp_path / "calibrated.safetensors")
    style = find_style(f"{tmp_path}/calibrated.safetensors:wave").with_stroke(0.8)
    picture = moving_picture(0, 64, 48)
    eight = Stylizer(style, device="cpu", precision="int8", threads=1)
    wide = Stylizer(style, device="cpu", precision="float32", threads=1)
    assert eight.engine == "openvino cpu int8"
    difference = eight.stylize(picture).astype(float) - wide.stylize(picture)
    assert 0 < (difference**2).mean() < 255**2 / 10**2.5  # 25 dB: random weights are far from close
