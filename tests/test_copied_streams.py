"""What is planned for the streams beside the film."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.copied_streams import plan_copies
from pipeline.source_video import probe


@pytest.mark.parametrize(
    ("name", "ending", "advice"),
    [
        ("10_multi.mkv", ".mp4", "an output named .mkv keeps it"),
        ("10b_multi.mp4", ".mkv", "an output named .mp4 keeps it"),
    ],
)
def test_subtitles_that_do_not_fit_are_told_with_the_name_that_keeps_them(
    data: Path, tmp_path: Path, name: str, ending: str, advice: str
) -> None:
    plan = plan_copies(probe(data / "hostile" / name), tmp_path / f"film{ending}")
    told = [line for line in plan.warnings if "subtitle" in line]
    assert told
    assert all(line.endswith(advice) for line in told)
