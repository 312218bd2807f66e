"""GIFs that play as often, and stay as long, as they did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

from jobs.applying.stylize_video import stylize_videos
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec

_DELAYS = [20, 500, 30, 40, 1000]


def _write(path: Path, loop: int | None) -> None:
    random = np.random.default_rng(0)
    pictures = [
        Image.fromarray(random.integers(0, 255, (24, 32, 3)).astype(np.uint8)) for _ in _DELAYS
    ]
    repeated: dict[str, Any] = {} if loop is None else {"loop": loop}
    first, *others = pictures
    first.save(path, save_all=True, append_images=others, duration=_DELAYS, **repeated)


def _stylized(path: Path, output: Path) -> None:
    job = StylizeVideo((path,), output, StyleSpec("identity"), PoolSpec(workers=0))
    (report,) = stylize_videos(job).inputs
    assert (report.status, report.frames_out) == ("done", len(_DELAYS)), report.error


@pytest.mark.parametrize(
    ("name", "loop", "expected"),
    [
        ("once.gif", None, None),
        ("three-times-more.gif", 3, 3),
        ("for-ever.gif", 0, 0),
        ("for-ever.png", 0, 0),
        ("once.png", 1, None),
        ("three-times.png", 3, 2),
    ],
)
def test_a_gif_plays_as_often_as_its_source(
    tmp_path: Path, name: str, loop: int | None, expected: int | None
) -> None:
    _write(tmp_path / name, loop)
    _stylized(tmp_path / name, tmp_path / "out.gif")
    with Image.open(tmp_path / "out.gif") as picture:
        assert picture.info.get("loop") == expected
        delays = [frame.info["duration"] for frame in ImageSequence.Iterator(picture)]
    assert delays == _DELAYS


def test_the_last_picture_of_a_film_stays_as_long_too(tmp_path: Path) -> None:
    _write(tmp_path / "in.gif", 0)
    _stylized(tmp_path / "in.gif", tmp_path / "film.mp4")
    _stylized(tmp_path / "film.mp4", tmp_path / "out.gif")
    with Image.open(tmp_path / "out.gif") as picture:
        delays = [frame.info["duration"] for frame in ImageSequence.Iterator(picture)]
    assert delays[-1] == _DELAYS[-1]
