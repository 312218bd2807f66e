"""Films in several styles by a timeline: which frames are whose, and what an edit does again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.kit.command_line import Ended, nst
from tests.kit.media import RATE, decoded_frames

_FRAMES = 48


def _stylize(film: Path, output: Path, *options: str | Path, code: int = 0) -> Ended:
    line = ("stylize", "video", film, "-o", output, "--workers", "0", "--segment-seconds", "0.25")
    ended = nst(*line, "--codec", "ffv1", *options)
    assert ended.code == code, ended.error
    return ended


def _luma(path: Path) -> np.ndarray:
    return np.stack([luma for _, luma in decoded_frames(path)]).astype(np.float64)


def _segments(ended: Ended) -> dict[str, int]:
    (report,) = json.loads(ended.out)["inputs"]
    segments: dict[str, int] = report["segments"]
    return segments


@pytest.fixture
def timeline(tmp_path: Path) -> Path:
    return tmp_path / "timeline.txt"


def test_entries_fade_into_each_other_as_a_blend_of_whole_films(
    clip: Path, tmp_path: Path, timeline: Path
) -> None:
    timeline.write_text(
        "# the command line's style first\n"
        "0:00.5-0:01  style=wave strength=0.5   # and half of the source\n"
        "1-00:01.5    style=pack:wave=0.5,udnie=0.5 fade=0.4\n"
    )
    plain = {
        "identity": ("--style", "identity"),
        "wave": ("--style", "wave", "--strength", "0.5"),
        "mixture": ("--style", "pack:wave=0.5,udnie=0.5"),
        "timeline": ("--timeline", timeline),
    }
    found = {}
    for name, options in plain.items():
        _stylize(clip, tmp_path / f"{name}.mkv", *options)
        found[name] = _luma(tmp_path / f"{name}.mkv")
    times = np.arange(_FRAMES) / RATE
    fade = np.clip((times - 0.8) / 0.4, 0, 1) * (times < 1.3)  # into the mixture
    out = np.clip((times - 1.3) / 0.4, 0, 1)  # back to the source
    of_mixture = np.where(times < 1.3, fade, 1 - out)
    of_wave = np.where((times >= 0.5 - 1e-4) & (times < 1.3), 1 - fade, 0)
    of_source = 1 - of_mixture - of_wave
    parts = zip((of_source, of_wave, of_mixture), list(found.values())[:3], strict=True)
    expected = sum(part[:, None, None] * luma for part, luma in parts)
    assert 0 < of_mixture[20] < 1
    assert of_source[30] == 0 < of_source[33] < 1
    assert np.abs(found["timeline"] - expected).max() <= 0.51


def test_one_entry_over_all_is_what_the_command_line_would_have_made(
    clip: Path, tmp_path: Path, timeline: Path
) -> None:
    mask = np.zeros((64, 96), np.uint8)
    mask[:, 40:] = 255
    Image.fromarray(mask).save(tmp_path / "half mask.png")
    timeline.write_text('0- style=wave stroke=0.7 mask="half mask.png" mask-style=udnie\n')
    _stylize(clip, tmp_path / "a.mkv", "--timeline", timeline, "--coherence", "0.5")
    options = ("--mask", tmp_path / "half mask.png", "--mask-style", "udnie", "--stroke", "0.7")
    _stylize(clip, tmp_path / "b.mkv", "--style", "wave", *options, "--coherence", "0.5")
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()


def test_an_edited_line_redoes_its_segments_alone(
    clip: Path, tmp_path: Path, timeline: Path
) -> None:
    output = tmp_path / "out.mkv"
    lines = ["0:00-0:00.5 style=wave", "0:00.5-0:01 style=udnie", "0:01.5- style=the_scream"]
    options = ("--timeline", timeline, "--json")
    timeline.write_text("\n".join(lines))
    total = _segments(_stylize(clip, output, *options))["total"]
    before = _luma(output)
    assert _segments(_stylize(clip, output, *options))["reused"] == total
    lines[1] = "0:00.5-0:01 style=udnie strength=0.4"
    timeline.write_text("# edited\n" + "\n".join(lines))
    ended = _stylize(clip, output, *options, code=2)
    assert "was made with another --timeline" in ended.error
    segments = _segments(_stylize(clip, output, *options, "--overwrite"))
    assert 2 <= segments["done"] <= 3
    assert segments["reused"] == total - segments["done"]
    changed = (_luma(output) != before).any(axis=(1, 2))
    assert changed[12:24].all()
    assert not changed[:12].any()
    assert not changed[24:].any()


def test_times_are_those_of_the_film_where_a_part_is_taken(
    clip: Path, tmp_path: Path, timeline: Path
) -> None:
    timeline.write_text("0:01.25-0:01.5 style=wave fade=0.2")
    _stylize(clip, tmp_path / "whole.mkv", "--timeline", timeline)
    _stylize(clip, tmp_path / "part.mkv", "--timeline", timeline, "--start", "1")
    np.testing.assert_array_equal(_luma(tmp_path / "whole.mkv")[24:], _luma(tmp_path / "part.mkv"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n00:12 style=wave", "line 2: 00:12: from when to when is needed, such as 00:12-00:31"),
        ("0:75-0:90 style=wave", "line 1: from 0:75: seconds or a timecode are needed"),
        ("3-2 style=wave", "line 1: 3-2: it ends before it begins"),
        ("0-1 stile=wave", "line 1: stile=wave: NAME=VALUE is needed, where NAME is one of style"),
        ("0-1 style=wave style=udnie", "line 1: style=udnie: a second style; leave one out"),
        ("0-1 style=wav", "line 1: style 'wav' is neither a bundled style"),
        ("0-1 strength=much", "line 1: strength=much: a number is needed"),
        ("0-1 strength=7", "line 1: --strength 7: a number from 0 to 1 is needed"),
        ("0-1 style=wave\n0.5-2 style=udnie", "line 2: it begins at 0:00.500, before line 1 has"),
        ("0-1 style=wave\n1-1.2 style=udnie fade=1", "line 2: the fades around"),
        ("0-1 mask='a b", "line 1: No closing quotation"),
        ("# nothing\n", "no entry in it; try 00:12-00:31 style=wave"),
        ("0-1 style=wave mask=no.png", "no.png: no such file"),
    ],
)
def test_what_a_timeline_cannot_mean_is_one_line_with_its_number(
    text: str, words: str, clip: Path, tmp_path: Path, timeline: Path
) -> None:
    timeline.write_text(text)
    ended = _stylize(clip, tmp_path / "out.mkv", "--timeline", timeline, code=2)
    (line,) = [each for each in ended.error.splitlines() if each.startswith("error: ")]
    assert words in line
    assert not (tmp_path / "out.mkv").exists()


def test_an_entry_after_the_last_frame_is_told(clip: Path, tmp_path: Path, timeline: Path) -> None:
    timeline.write_text("0:00.5-12:00 style=wave\n12:00- style=udnie")
    ended = _stylize(clip, tmp_path / "out.mkv", "--timeline", timeline)
    (warning,) = [line for line in ended.error.splitlines() if "timeline" in line]
    words = "line 2 of the timeline begins at 12:00.000, after the last frame (0:01.958)"
    assert warning.endswith(words)
    ended = _stylize(clip, tmp_path / "part.mkv", "--timeline", timeline, "--end", "1")
    assert "of the timeline" not in ended.error


def test_a_remark_does_not_begin_in_quotes(clip: Path, tmp_path: Path, timeline: Path) -> None:
    mask = tmp_path / "take #1 'x.png"
    Image.fromarray(np.full((64, 96), 255, np.uint8)).save(mask)
    timeline.write_text(f'0-1 style=wave mask="{mask}"  # one "remark')
    _stylize(clip, tmp_path / "out.mkv", "--timeline", timeline)


def test_a_plan_knows_the_timeline_and_a_missing_one_is_told(
    clip: Path, tmp_path: Path, timeline: Path
) -> None:
    timeline.write_text("0-1 style=wave")
    plan: dict[str, Any] = json.loads(
        _stylize(clip, tmp_path / "out.mkv", "--timeline", timeline, "--dry-run", "--json").out
    )
    assert plan["inputs"][0]["frames"] == _FRAMES
    ended = _stylize(clip, tmp_path / "out.mkv", "--timeline", "none.txt", code=2)
    assert "--timeline none.txt: cannot be read (No such file or directory)" in ended.error_line
