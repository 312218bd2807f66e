"""Which stroke a picture gets, and what of a style's trained sizes it is mixed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError
from nst_core.strokes import PROPORTIONAL_SIDE, StrokeChoice, half_octaves, in_proportion, shares

SIZES = (0.5, 1.0, 2.0)


@pytest.mark.parametrize(
    ("height", "width", "stroke"),
    [
        (512, 512, 1.0),
        (512, 4000, 1.0),  # the shorter side counts
        (1280, 720, math.sqrt(2)),
        (1080, 1920, 2.0),
        (360, 640, math.sqrt(0.5)),
        (270, 480, 0.5),
        (180, 999, 0.5),
    ],
)
def test_strokes_are_in_proportion_to_the_shorter_side_to_half_an_octave(
    height: int, width: int, stroke: float
) -> None:
    assert StrokeChoice(SIZES).of(height, width) == pytest.approx(stroke, rel=1e-12)


def test_the_nearest_half_octave_is_chosen() -> None:
    for side in range(200, 1500, 7):
        exact = side / PROPORTIONAL_SIDE
        chosen = in_proportion(side, side)
        candidates = [2 ** (n / 2) for n in range(-6, 7)]
        nearest = min(candidates, key=lambda each: abs(math.log(each / exact)))
        assert chosen == pytest.approx(nearest, rel=1e-12), side


def test_pictures_of_all_sizes_need_five_strokes_and_any_factor_one_more() -> None:
    sides = range(16, 5000, 3)
    assert len({StrokeChoice(SIZES).of(side, side) for side in sides}) == 5
    for factor in (0.5, 0.6, 0.9, 1.3, 2, 4):
        chosen = {StrokeChoice(SIZES, factor).of(side, side) for side in sides}
        assert len(chosen) <= 6
        assert min(chosen) >= 0.5
        assert max(chosen) <= 2


def test_a_factor_multiplies_what_is_in_proportion() -> None:
    assert StrokeChoice(SIZES, 1.3).of(512, 512) == pytest.approx(1.3)
    assert StrokeChoice(SIZES, 1.3).of(362, 640) == pytest.approx(1.3 * math.sqrt(0.5))
    assert StrokeChoice(SIZES, 0.5).of(724, 1280) == pytest.approx(math.sqrt(0.5))
    assert StrokeChoice(SIZES, 1.0) == StrokeChoice(SIZES)


def test_a_style_of_one_size_has_it_in_every_picture() -> None:
    assert {StrokeChoice((), 1.0).of(side, side) for side in (16, 512, 5000)} == {1.0}
    assert StrokeChoice(()).limit(5000, 5000) is None
    assert StrokeChoice((0.5, 1.0, 2.0)).limit(5000, 5000) is None  # nothing was asked for


@pytest.mark.parametrize(
    ("factor", "side", "words"),
    [
        (4.0, 720, "as large as this it asks for wider strokes"),
        (0.25, 512, "as small as this it asks for finer strokes"),
        (0.5, 96, "as small as this it asks for finer strokes"),
        (2.0, 96, "as small as this it asks for finer strokes"),
    ],
)
def test_what_a_style_does_not_reach_is_its_outermost_and_said(
    factor: float, side: int, words: str
) -> None:
    choice = StrokeChoice(SIZES, factor)
    said = choice.limit(side, side + 50)
    assert said is not None
    assert said == choice.limit(side + 9, side + 70)  # so that it can be told once for all
    assert f"--stroke {factor:g} is relative to the size of the picture: in one {words}" in said
    taken = "widest are taken, which are finer" if "wider strokes" in said else "finest are taken"
    assert f"than the style has (0.5 to 2); its {taken}" in said
    assert "\n" not in said
    assert choice.of(side, side + 50) == (2.0 if "wider" in words else 0.5)


def test_nothing_is_said_of_a_stroke_within_reach() -> None:
    for side, factor in ((1080, 1.0), (256, 1.0), (512, 0.5), (512, 2.0), (700, 1.3)):
        assert StrokeChoice(SIZES, factor).limit(side, 2000) is None


def test_a_stroke_is_mixed_of_the_two_around_it_by_its_logarithm() -> None:
    sizes = (0.4, 0.7, 1.5, 3.0)
    for stroke in np.geomspace(0.2, 6, 41):
        rows = np.eye(4)
        expected = [np.interp(np.log2(stroke), np.log2(sizes), row) for row in rows]
        assert shares(sizes, float(stroke)) == pytest.approx(expected, abs=1e-12)
    assert shares(SIZES, 2**0.5) == pytest.approx((0, 0.5, 0.5))
    for number, size in enumerate(sizes):  # no rounding where there is nothing to mix
        assert shares(sizes, size) == tuple(float(each == number) for each in range(4))
    assert shares((), 1.0) == (1.0,)
    assert shares((1.5,), 0.3) == (1.0,)


def test_half_octaves_are_what_pictures_choose_and_the_sizes_themselves() -> None:
    assert half_octaves(SIZES) == pytest.approx((0.5, 0.5**0.5, 1, 2**0.5, 2))
    assert half_octaves((0.6, 1.1, 1.8)) == pytest.approx((0.6, 0.5**0.5, 1, 1.1, 2**0.5, 1.8))
    assert half_octaves((1.3,)) == (1.3,)
    assert half_octaves(()) == (1.0,)
    for sizes in (SIZES, (0.6, 1.1, 1.8)):
        chosen = {StrokeChoice(sizes).of(side, side) for side in range(16, 5000)}
        assert chosen <= set(half_octaves(sizes))


@pytest.mark.parametrize("stroke", [0.0, -1.0, 0.2, 4.1, math.nan, math.inf])
def test_strokes_that_nobody_has_a_use_for_are_refused_in_one_line(stroke: float) -> None:
    with pytest.raises(InputError, match=r"--stroke .*: 0\.25 to 4 is allowed; try"):
        StyleSpec("wave", stroke=stroke)


@pytest.mark.parametrize("stroke", [None, 0.5, 1, 2])
def test_strokes_of_a_half_to_two_are_allowed(stroke: float | None) -> None:
    assert StyleSpec("wave", stroke=stroke).stroke == stroke
