"""A run over pictures that is killed again and again ends as an undisturbed one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
import pytest
from PIL import Image

from pipeline.pictures.records import FILE_NAME
from tests.kit.processes import command_of

_PICTURES = 120
_SUFFIXES = (".jpg", ".png", ".webp")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    numbers = np.random.default_rng(0)
    for number in range(_PICTURES):
        pixels = numbers.integers(0, 256, (96 + number % 3, 128, 3), dtype=np.uint8)
        path = folder / f"class{number % 5}" / f"{number:03}{_SUFFIXES[number % 3]}"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def undisturbed(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("undisturbed")
    report = _run_to_its_end(_command(pictures, output))
    assert (report["done"], report["failed"]) == (_PICTURES, 1)
    return _contents(output)


def _command(source: Path, output: Path, *options: str) -> list[str]:
    return [
        *(sys.executable, "-m", "jobs.cli", "stylize", "images", str(source), "-o", str(output)),
        *("--style", "wave", "--json", *(options or ("--workers", "0"))),
    ]


def _run_to_its_end(command: list[str]) -> dict[str, Any]:
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert result.returncode == 1, result.stderr  # the broken one
    return cast("dict[str, Any]", json.loads(result.stdout))


def _start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def _contents(output: Path) -> dict[str, bytes]:
    """All that lies there but for the accounts, hidden files too: each appears whole."""
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in output.rglob("*")
        if path.is_file() and path.suffix not in (".json", ".jsonl")
    }


def _statuses(output: Path) -> Counter[tuple[str, str]]:
    """How often each output was recorded in each way."""
    try:
        lines = (output / FILE_NAME).read_text().splitlines()
    except FileNotFoundError:
        return Counter()
    found: Counter[tuple[str, str]] = Counter()
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue  # the line that a kill cut short
        found[record["output"], record["status"]] += 1
    return found


def _count_done(output: Path) -> int:
    return sum(status == "done" for _, status in _statuses(output))


def _wait_for(output: Path, count: int, process: subprocess.Popen[str]) -> None:
    while _count_done(output) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def _assert_nothing_was_done_twice(output: Path) -> None:
    done = {name: n for (name, status), n in _statuses(output).items() if status == "done"}
    assert len(done) == _PICTURES
    assert set(done.values()) == {1}


@pytest.mark.slow
def test_three_kills_at_random_cost_nothing_that_was_recorded(
    pictures: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    chance = random.Random(7)  # noqa: S311
    for round_ in range(3):
        process = _start(_command(pictures, tmp_path))
        _wait_for(tmp_path, 35 * round_ + chance.randint(1, 30), process)
        time.sleep(chance.random() / 20)
        process.kill()
        process.communicate()
    written = len(_contents(tmp_path))
    assert 0 < _count_done(tmp_path) <= written < _PICTURES
    report = _run_to_its_end(_command(pictures, tmp_path))
    assert (report["reused"], report["done"]) == (written, _PICTURES - written)
    assert _contents(tmp_path) == undisturbed
    _assert_nothing_was_done_twice(tmp_path)


@pytest.mark.slow
def test_a_killed_worker_costs_nothing_and_a_killed_driver_leaves_no_worker_behind(
    pictures: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    command = _command(pictures, tmp_path, "--workers", "2")
    process = _start(command)
    _wait_for(tmp_path, 8, process)
    os.kill(_workers(process)[0].pid, signal.SIGKILL)
    _wait_for(tmp_path, _count_done(tmp_path) + 16, process)
    workers, family = _workers(process), psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(workers, timeout=600)
    assert alive == []
    _end(family)
    written = len(_contents(tmp_path))
    assert 24 <= _count_done(tmp_path) <= written < _PICTURES
    report = _run_to_its_end(command)
    assert (report["reused"], report["done"]) == (written, _PICTURES - written)
    assert _contents(tmp_path) == undisturbed
    _assert_nothing_was_done_twice(tmp_path)


def _workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    family = psutil.Process(process.pid).children(recursive=True)
    return [child for child in family if "WorkerHost" in command_of(child)]


def _end(family: list[psutil.Process]) -> None:
    """Ray's own helpers outlive a driver that is killed by a while."""
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
