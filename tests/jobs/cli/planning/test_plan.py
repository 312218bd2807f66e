"""`nst plan` and --dry-run, on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.kit.command_line import nst
from tests.kit.image_jobs import save_pictures
from tests.kit.plans import nothing_written


@pytest.fixture(autouse=True)
def _short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.planning.film_rate._SECONDS_OF_A_SAMPLE", 0.01)
    monkeypatch.setattr("jobs.planning.pictures._SECONDS_OF_ROUNDS", 0.05)
    monkeypatch.setattr("jobs.planning.crew.usable_processors", lambda: 1)


def _measures_left_out(text: str) -> str:
    return re.sub(r"\d[\d.,]*", "N", text)


def test_plan_is_the_command_with_dry_run(clip: Path, tmp_path: Path) -> None:
    command = ("stylize", "video", clip, "-o", tmp_path / "out.mp4", "--style", "identity")
    with nothing_written(tmp_path, clip.parent):
        planned, dry = nst("plan", *command), nst(*command, "--dry-run")
    assert planned.code == dry.code == 0
    assert _measures_left_out(planned.out) == _measures_left_out(dry.out)
    first, *rows = planned.out.splitlines()
    assert first.startswith(f"{clip} -> {tmp_path}/out.mp4: 48 frames of 96x64 in 1 segment; about")
    assert [row.split()[0] for row in rows] == ["time", "workers", "encoder", "memory", "disk"]
    assert len({row.index(row.split(maxsplit=1)[1]) for row in rows}) == 1  # below each other


def test_plans_are_one_json_object(clip: Path, tmp_path: Path) -> None:
    save_pictures(tmp_path, "a.png")
    film = nst(
        "plan", "stylize", "video", clip, "-o", tmp_path / "o.mp4", "--style", "identity", "--json"
    )
    pictures = nst(
        "plan",
        "stylize",
        "images",
        tmp_path / "a.png",
        "-o",
        tmp_path / "o.png",
        "--style",
        "identity",
        "--json",
    )
    both = nst("plan", "upscale", tmp_path / "a.png", clip, "-o", tmp_path / "o", "--json")
    fields = [json.loads(each.out) for each in (film, pictures, both)]
    assert [each["kind"] for each in fields] == ["films", "pictures", "enlargements"]
    assert fields[0]["inputs"][0]["frames"] == 48
    assert fields[1]["to_do"] == 1
    assert fields[2]["images"]["to_do"] == len(fields[2]["videos"]["inputs"]) == 1
    assert fields[2]["videos"]["inputs"][0]["width"] == 4 * 96


def test_codes_and_errors_are_those_of_the_run(clip: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    for inputs, code in (((empty,), 2), ((empty, clip), 1), ((clip,), 0)):
        command = ("stylize", "video", *inputs, "-o", f"{tmp_path}/{code}/", "--style", "identity")
        planned, run = nst("plan", *command), nst(*command)
        assert planned.code == run.code == code
        errors = [line for line in run.error.splitlines() if line.startswith("error: ")]
        assert [x for x in planned.error.splitlines() if x.startswith("error: ")] == errors


def test_what_cannot_be_planned_is_told_with_what_can() -> None:
    ended = nst("plan", "doctor")
    assert ended.code == 2
    assert "nst plan doctor: it plans stylize video, " in ended.error_line
    wrong = nst(
        "plan", "stylize", "video", "a.mp4", "-o", "b.mp4", "--style", "wave", "--codex", "x"
    )
    assert wrong.code == 2
    assert "--codex" in wrong.error
