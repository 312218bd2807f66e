"""A strength for all, or one for each style: of a mixture, of several."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst_core.checkpoints.library import find_style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError
from tests.kit.command_line import nst
from tests.kit.media import make_clip, moving_picture

_MIXTURE = "pack:wave=0.75,udnie=0.25"


@pytest.mark.parametrize(
    ("style", "strengths", "expected"),
    [
        (_MIXTURE, (), 0.6),
        (_MIXTURE, (("wave", 1.0), ("udnie", 0.2)), 0.8),
        (_MIXTURE, (("wave", 0.2),), 0.3),
        ("wave", (("wave", 0.25),), 0.25),
        ("wave", (("udnie", 0.25),), 0.6),
        ("identity", (("identity", 0.5),), 0.5),
    ],
)
def test_the_strength_of_a_mixture_is_the_mean_of_its_parts(
    style: str, strengths: tuple[tuple[str, float], ...], expected: float
) -> None:
    spec = StyleSpec(style, strength=0.6, strengths=strengths)
    assert spec.strength_of(find_style(style)) == pytest.approx(expected)


def test_the_same_strength_in_other_words_is_the_same_work() -> None:
    style = find_style("wave")
    named, plain = StyleSpec("wave", strengths=(("wave", 0.5),)), StyleSpec("wave", strength=0.5)
    assert named.options_for(style) == plain.options_for(style)
    assert StyleSpec("wave").options_for(style) != plain.options_for(style)


def test_each_of_several_styles_has_its_own(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    Image.fromarray(moving_picture(0, 64, 48)).save(source)
    line = ("stylize", "images", source, "-o", tmp_path / "out", "--workers", "0")
    ended = nst(*line, "--style", "wave", "--style", "udnie", "--strength", "wave=0,udnie=1")
    assert ended.code == 0, ended.error
    before = np.asarray(Image.open(source).convert("RGB"), float)
    changes = {
        path.stem.rpartition("-")[2]: np.abs(np.asarray(Image.open(path), float) - before).mean()
        for path in (tmp_path / "out").glob("*.png")
    }
    assert changes["wave"] == 0
    assert changes["udnie"] > 5


def test_a_film_takes_strengths_of_a_mixture(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    make_clip(clip)
    line = ("stylize", "video", clip, "--style", _MIXTURE, "--workers", "0", "--json")
    ended = nst(*line, "-o", tmp_path / "o.mp4", "--strength", "wave=0.4,udnie=0.8")
    assert ended.code == 0, ended.error
    again = nst(*line, "-o", tmp_path / "o.mp4", "--strength", "0.5")
    # 0.75 * 0.4 + 0.25 * 0.8
    assert json.loads(again.out)["inputs"][0]["segments"]["reused"] > 0, again.out


@pytest.mark.parametrize(
    ("strength", "words"),
    [
        ("wav=0.5", "--strength wav=...: none of the styles is called so (did you mean wave?)"),
        ("wave=2", "--strength 2: a number from 0 to 1"),
        ("wave=", "--strength : a number from 0 to 1"),
        ("half", "--strength half: a number from 0 to 1"),
        ("nan", "--strength nan: a number from 0 to 1"),
        ("50", "50 percent is 0.5"),
    ],
)
def test_a_strength_that_means_nothing_is_told(strength: str, words: str, tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    Image.fromarray(moving_picture(0, 64, 48)).save(source)
    for style in ("wave", _MIXTURE):
        line = ("stylize", "images", source, "-o", tmp_path / "out", "--style", style)
        ended = nst(*line, "--strength", strength)
        assert ended.code == 2
        assert words in ended.error_line


def test_names_are_checked_against_all_styles_together(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    make_clip(clip)
    line = ("stylize", "video", clip, "-o", tmp_path / "out", "--style", "wave", "--style", "udnie")
    assert "did you mean udnie" in nst(*line, "--strength", "wave=1,unie=0.5").error_line
    with pytest.raises(InputError, match="--strength -1"):
        StyleSpec("wave", strengths=(("wave", -1.0),))
