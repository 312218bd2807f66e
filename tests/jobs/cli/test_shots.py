"""`nst stylize video --shots`: what it lists, and that it makes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from jobs.cli.registry import app_for
from tests.kit.media import make_clip


def _run(*arguments: str) -> int:
    line = ["stylize", "video", *arguments, "--shots"]
    return app_for(line)(line, prog_name="nst", standalone_mode=False) or 0


def test_shots_are_listed_and_nothing_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_clip(tmp_path / "film.mp4")
    assert _run(str(tmp_path / "film.mp4")) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'film.mp4'}: 1 shot",
        "  1  0:00.000 to 0:02.000  48 frames  2.000 s",
    ]
    assert [each.name for each in tmp_path.iterdir()] == ["film.mp4"]


def test_shots_are_told_as_json_and_what_is_no_film_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_clip(tmp_path / "film.mp4")
    (tmp_path / "text.mp4").write_text("no film")
    assert _run(str(tmp_path), "--json") == 1
    output = capsys.readouterr()
    film, text = json.loads(output.out)["inputs"]
    shot = {"number": 1, "start": 0.0, "end": 2.0, "first_frame": 0, "frames": 48, "seconds": 2.0}
    assert (film["error"], film["shots"]) == (None, [shot])
    assert text["shots"] == []
    assert f"error: {text['error']}" in output.err
    assert _run(str(tmp_path / "text.mp4")) == 2


def test_numbered_pictures_have_shots_at_the_rate_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        Image.new("RGB", (64, 48), (40 * number, 90, 20)).save(tmp_path / f"{number:04d}.png")
    assert _run(str(tmp_path / "%04d.png"), "--fps", "12", "-q") == 0
    assert "0:00.000 to 0:00.500  6 frames  0.500 s" in capsys.readouterr().out


def test_shots_of_a_part_are_refused(tmp_path: Path) -> None:
    from nst_core.errors import InputError

    with pytest.raises(InputError, match="whole films"):
        _run(str(tmp_path / "film.mp4"), "--start", "1")
