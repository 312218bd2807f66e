from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nst_core.checkpoints.checkpoint import save_generator
from nst_core.checkpoints.info import CheckpointInfo, read_info
from nst_core.checkpoints.library import bundled_styles, find_style
from nst_core.color.pixels import to_tensor
from nst_core.engines.calibration import calibrate
from nst_core.engines.eight_bit import EightBit
from nst_core.engines.openvino_engine import OpenVinoEngine, choose_precision
from nst_core.errors import CheckpointError, EnvironmentProblem, InputError
from nst_core.networks.generator import Generator
from nst_core.networks.super_resolution import SuperResolutionNet
from nst_core.networks.texture import TextureNet
from nst_core.networks.transformer import TransformerNet
from nst_core.pictures.reading import read_rgb
from nst_core.stylizer import Stylizer

_CLOSE = EightBit({"encoder.0.0": (0.0, 1.0)}, 45.0, 41.0, 40)
_ALL = frozenset({"bfloat16", "int8"})


def _photos(count: int) -> list[Tensor]:
    torch.manual_seed(5)
    return [torch.rand(1, 3, 24 + 4 * n, 40) * (0.3 + 0.1 * n) for n in range(count)]


def test_the_convolutions_up_to_one_behind_the_last_stride_keep_their_precision() -> None:
    found = calibrate([TransformerNet(4)], _photos(3)).ranges
    blocks = {f"residual.{n}.body.{place}" for n in range(5) for place in ("0.0", "1")}
    first_behind = {"residual.0.body.0.0"}
    assert set(found) == blocks - first_behind | {"decoder.1.0", "decoder.3.0", "decoder.4"}
    assert set(calibrate([SuperResolutionNet(4, 8)], _photos(3)).ranges) >= {"head.0", "tail"}


class _Doubling(Generator):
    """Two convolutions whose inputs can be told without computing."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1, bias=False)
        self.second = nn.Conv2d(3, 3, 1, bias=False)
        for conv, factor in ((self.first, -2.0), (self.second, -0.5)):
            nn.init.zeros_(conv.weight)
            with torch.no_grad():
                conv.weight[range(3), range(3)] = factor

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.second(self.first(image))
        return result


def test_ranges_are_the_extremes_of_the_photographs_that_are_not_checked_on() -> None:
    photos = [torch.full((1, 3, 4, 4), value) for value in (9.0, 0.25, 0.75, 9.0, 0.5)]
    found = calibrate([_Doubling()], photos)
    assert found.ranges == {"first": (0.25, 0.75), "second": (-1.5, -0.5)}
    assert found.photos == 3


def test_rare_extremes_are_clipped_where_all_the_rest_comes_closer() -> None:
    torch.manual_seed(5)
    photos = [torch.rand(1, 3, 600, 600) * 0.5 for _ in range(4)]
    even = calibrate([_Doubling()], photos)
    for photo in photos:
        photo[..., 0, 0] = 1.0
    assert even.ranges["first"] == pytest.approx((0, 0.5), abs=1e-4)
    rare = calibrate([_Doubling()], photos)
    assert rare.ranges["first"] == pytest.approx((0, 0.7), abs=1e-4)
    assert rare.ranges["second"] == pytest.approx((-1.4, 0), abs=1e-4)


def test_photographs_beyond_the_ranges_show_in_the_worst_of_them() -> None:
    photos = [torch.full((1, 3, 4, 4), value) for value in (0.5, 0.25, 0.75, 2.0, 0.5)]
    found = calibrate([_Doubling()], photos)
    assert found.least_decibels < 5 < 40 < found.mean_decibels * 2 - found.least_decibels
    assert not found.is_close


@pytest.mark.parametrize(
    ("mean", "least", "is_close"), [(40, 37, True), (39.9, 39, False), (50, 36.9, False)]
)
def test_close_is_40_decibels_and_no_photograph_below_37(
    mean: float, least: float, is_close: bool
) -> None:
    assert replace(_CLOSE, mean_decibels=mean, least_decibels=least).is_close is is_close


def test_too_few_photographs_are_one_clear_error() -> None:
    with pytest.raises(InputError, match="1 could be read"):
        calibrate([TransformerNet(2)], _photos(1))


def test_a_checkpoint_keeps_what_was_calibrated(tmp_path: Path) -> None:
    path = tmp_path / "style.safetensors"
    generator = TransformerNet(4)
    found = calibrate([generator], _photos(4))
    info = CheckpointInfo("johnson", {"width": 4}, eight_bit={"": found})
    save_generator(path, generator, info)
    assert read_info(path).eight_bit == {"": found}
    assert find_style(str(path)).eight_bit == found


def test_a_checkpoint_from_before_has_none_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    path = tmp_path / "style.safetensors"
    save_generator(path, TransformerNet(2), CheckpointInfo("johnson", {"width": 2}))
    assert find_style(str(path)).eight_bit is None
    content = path.read_bytes()
    path.write_bytes(content.replace(b'eight_bit\\": {}', b'eight_bit\\": []'))
    assert path.read_bytes() != content
    with pytest.raises(CheckpointError, match="metadata is damaged"):
        read_info(path)


def test_a_style_of_a_pack_has_its_own_and_a_mixture_has_none() -> None:
    wave, scream = find_style("wave"), find_style("the_scream")
    assert wave.eight_bit is not None
    assert scream.eight_bit is not None
    assert wave.eight_bit.ranges != scream.eight_bit.ranges
    assert find_style("pack:wave").eight_bit == wave.eight_bit
    assert find_style("pack:wave=0.5,the_scream=0.5").eight_bit is None


def test_all_bundled_styles_are_close() -> None:
    assert find_style("pack:wave").info is not None
    for name, found in find_style("pack:wave").info.eight_bit.items():  # type: ignore[union-attr]
        assert found.is_close, name


@pytest.mark.parametrize(
    ("precision", "eight_bit", "capabilities", "chosen"),
    [
        ("auto", _CLOSE, _ALL, "int8"),
        ("auto", _CLOSE, {"int8"}, "int8"),
        ("auto", _CLOSE, {"bfloat16"}, "bfloat16"),
        ("auto", _CLOSE, {}, "float32"),
        ("auto", None, _ALL, "bfloat16"),
        ("auto", replace(_CLOSE, least_decibels=30), _ALL, "bfloat16"),
        ("int8", replace(_CLOSE, least_decibels=30), {}, "int8"),
        ("bfloat16", _CLOSE, _ALL, "bfloat16"),
        ("float32", _CLOSE, _ALL, "float32"),
    ],
)
def test_eight_bits_are_chosen_where_style_and_processor_have_them(
    precision: str, eight_bit: EightBit | None, capabilities: set[str], chosen: str
) -> None:
    found = choose_precision(precision, eight_bit, frozenset(capabilities))  # type: ignore[arg-type]
    assert found == chosen


def test_what_cannot_be_had_is_one_clear_error() -> None:
    with pytest.raises(InputError, match="nst styles calibrate"):
        choose_precision("int8", None, _ALL)
    with pytest.raises(EnvironmentProblem, match="bfloat16"):
        choose_precision("bfloat16", None, frozenset())
    with pytest.raises(InputError, match="torch on cpu"):
        Stylizer(find_style("wave"), engine="torch", device="cpu", precision="int8")


def test_eight_bits_are_stated_and_differ_from_bfloat16() -> None:
    picture = (torch.rand(40, 56, 3) * 255).byte().numpy()
    eight = Stylizer(find_style("wave"), device="cpu", precision="int8", threads=1)
    wide = Stylizer(find_style("wave"), device="cpu", precision="float32", threads=1)
    assert eight.engine == "openvino cpu int8"
    assert (eight.stylize(picture) != wide.stylize(picture)).any()


@pytest.mark.parametrize(
    "name",
    [
        "wave",
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in ("composition_vii", "starry_night")
        ),
    ],
)
def test_the_engine_is_as_close_on_photographs_as_calibration_says(data: Path, name: str) -> None:
    _check_closeness(name, sorted((data / "photos").glob("*.jpg"))[3:400:66])


@pytest.mark.slow
@pytest.mark.parametrize("name", bundled_styles())
def test_twenty_photographs_are_as_close_as_calibration_says(data: Path, name: str) -> None:
    _check_closeness(name, sorted((data / "photos").glob("*.jpg"))[3:400:20])


def _check_closeness(name: str, photos: list[Path]) -> None:
    style = find_style(name)
    assert style.eight_bit is not None
    generator = style.load()
    engine = OpenVinoEngine(generator, precision="int8", eight_bit=style.eight_bit)
    decibels = []
    for path in photos:
        photo = to_tensor(read_rgb(path))
        with torch.inference_mode():
            error = (engine.run(photo) - generator(photo)).square().mean()
        decibels.append(float(-10 * torch.log10(error)))
    assert sum(decibels) / len(decibels) >= 40
    assert min(decibels) >= 37


def test_a_network_that_draws_noise_has_no_eight_bits() -> None:
    from jobs.training.calibration import eight_bit_of

    generator = TextureNet(scales=2)
    info = CheckpointInfo("texture", {"scales": 2})
    with pytest.raises(InputError, match="draws noise"):
        eight_bit_of(Path("x"), generator.state_dict(), info, [""], _photos(3))
