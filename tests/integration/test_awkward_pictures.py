"""Three hundred awkward files through the command line: every one accounted for."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.kit.awkward_pictures import NUMBER_OF_FILES, make_awkward_folder
from tests.kit.command_line import Ended, nst
from tests.kit.expected_pictures import Expected, mistake


def _stylize(source: Path, output: Path, workers: int) -> Ended:
    command = ("stylize", "images", source, "-o", output, "--style", "identity", "--json")
    return nst(*command, "--workers", str(workers))


def _fails(expected: Expected) -> bool:
    return expected.fails or (expected.is_unreadable and os.geteuid() != 0)


def _assert_all_is_right(
    source: Path, output: Path, report: dict[str, Any], expected: dict[str, Expected]
) -> None:
    reasons = {failure["path"]: failure["error"] for failure in report["failures"]}
    for name, file in expected.items():
        if _fails(file):
            assert file.reason in reasons.pop(f"{source}/{name}"), name
        else:
            assert mistake(output / name, source / name, file) == "", name
    assert reasons == {}


def _pictures_of(line: str) -> int:
    """How many pictures a line tells of: one, but for lines that sum up those with one reason."""
    others = re.search(r"; and (\d+) pictures? more for the same reason", line)
    unlike = re.match(r"error: the like of (\d+) pictures? more", line)
    return int(unlike[1]) if unlike else 1 + (int(others[1]) if others else 0)


@pytest.mark.parametrize("big", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_one_of_three_hundred_awkward_files_is_right_or_named_with_its_reason(
    tmp_path: Path, big: bool, ray_here: None
) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    expected = make_awkward_folder(source, big=big)
    ended = _stylize(source, output, workers=2)
    report = json.loads(ended.out)
    assert ended.code == 1
    assert report["total"] == len(expected) == NUMBER_OF_FILES
    assert report["done"] + report["reused"] + report["failed"] == NUMBER_OF_FILES
    assert report["failed"] == sum(map(_fails, expected.values()))
    _assert_all_is_right(source, output, report, expected)
    assert json.loads((output / "report.json").read_text()) == report
    assert "Traceback" not in ended.error
    errors = [line for line in ended.error.splitlines() if line.startswith("error: ")]
    assert sum(map(_pictures_of, errors)) == report["failed"]

    again = json.loads(_stylize(source, output, workers=0).out)
    assert (again["done"], again["reused"]) == (0, report["done"])
    assert again["failures"] == report["failures"]
