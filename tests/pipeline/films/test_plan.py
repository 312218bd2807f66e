"""What decides a film's segments: those of an earlier run are used again by it, and by no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nst_core.checkpoints.library import find_style
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.films.plan import FilmPlan, plan_film
from pipeline.films.settings import FilmSettings
from pipeline.looks.direction import Direction, Scene
from tests.kit.command_line import nst
from tests.kit.media import decoded_frames

_MIXTURE = "pack:wave=0.75,udnie=0.25"


def _plan(clip: Path, style: str, settings: FilmSettings, **spec: Any) -> FilmPlan:
    how = StyleSpec(style, **spec)
    return plan_film(
        clip,
        clip.with_name("out.mp4"),
        settings,
        Direction(Scene(how), {how: find_style(style)}),
        is_encoded_here=True,
        warnings=[],
    )


def _identity(clip: Path, style: str, **spec: Any) -> dict[str, Any]:
    return _plan(clip, style, FilmSettings(), **spec).identity


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


def test_segments_of_coherent_films_warm_up_and_are_no_others(clip: Path) -> None:
    settings = [FilmSettings(segment_seconds=0.5, coherence=each) for each in (0.0, 0.5, 0.7)]
    plain, half, most = (_plan(clip, "wave", each) for each in settings)
    assert not any(segment.warm_pts for segment in plain.segments)
    assert [len(segment.warm_pts) for segment in most.segments[:2]] == [0, 9]
    assert "coherence" not in plain.identity
    assert half.identity != most.identity


def test_a_film_is_coherent_where_that_was_asked_for(clip: Path, tmp_path: Path) -> None:
    line = ("stylize", "video", clip, "--style", "wave", "--workers", "0", "--codec", "ffv1")
    pictures = []
    for number, how in enumerate(((), ("--coherence", "0.7"))):
        output = tmp_path / f"{number}.mkv"
        assert nst(*line, "-o", output, *how).code == 0
        pictures.append([luma for _, luma in decoded_frames(output)])
    differences = [
        np.abs(plain.astype(int) - coherent).mean()
        for plain, coherent in zip(*pictures, strict=True)
    ]
    assert differences[0] < 1  # rounded to bytes on the way
    assert differences[1] > 2
    assert "another --coherence" in nst(*line, "-o", tmp_path / "0.mkv", *how).error
