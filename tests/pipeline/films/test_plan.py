"""What decides a film's segments: those of an earlier run are used again by it, and by no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nst_core.checkpoints.library import find_style
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.films.plan import plan_film
from pipeline.films.settings import FilmSettings

_MIXTURE = "pack:wave=0.75,udnie=0.25"


def _identity(clip: Path, style: str, **spec: Any) -> dict[str, Any]:
    plan = plan_film(
        clip,
        clip.with_name("out.mp4"),
        FilmSettings(),
        find_style(style),
        StyleSpec(style, **spec),
        is_encoded_here=True,
        warnings=[],
    )
    return plan.identity


def test_a_style_is_told_by_what_it_was_told_by_before_there_was_more(clip: Path) -> None:
    how = _identity(clip, "wave")["style"][1]
    assert how == {
        "style": "wave",
        "strength": 1.0,
        "keep_colors": False,
        "engine": "auto",
        "device": "auto",
        "precision": "auto",
        "command": "stylize",
        "match_histogram": False,
    }


@pytest.mark.parametrize(
    "same", [{"fit_steps": 9}, {"loss_network_weights": Path("/there/vgg19.pth")}]
)
def test_what_a_style_was_fitted_with_is_in_the_style_itself(
    same: dict[str, Any], clip: Path
) -> None:
    assert _identity(clip, "wave", **same) == _identity(clip, "wave")


def test_strengths_count_by_what_they_come_to(clip: Path) -> None:
    named = _identity(clip, _MIXTURE, strengths=(("wave", 0.4), ("udnie", 0.8)))
    assert named == _identity(clip, _MIXTURE, strength=0.5)
    assert named != _identity(clip, _MIXTURE)
