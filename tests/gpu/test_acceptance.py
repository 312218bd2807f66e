"""The acceptance script for GPUs, as far as a CPU goes, and what it does with checks that fail."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace

import pytest

from tests.gpu import film_checks
from tests.gpu.acceptance import CHECKS
from tests.gpu.check import Check, CheckError, Figures, Machine
from tests.gpu.runner import Line, print_line, run_checks
from tests.kit.fake_card import FakeCard


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("NST_REQUIRE_GPU", raising=False)


def test_every_check_passes_as_far_as_a_cpu_goes(capsys: pytest.CaptureFixture[str]) -> None:
    patient = [replace(check, budget_seconds=600) for check in CHECKS]  # beside other work
    assert run_checks(patient, print_line, seconds=3600)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["check"] for line in lines] == [check.name for check in CHECKS]
    assert {line["ran_on"] for line in lines} == {"cpu"}
    for check, line in zip(CHECKS, lines, strict=True):
        assert line["ok"] is (None if check.needs_cuda else True)
        assert line["skipped"] == ("needs a CUDA device" if check.needs_cuda else None)


def test_the_check_of_a_cards_decoder_decodes_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    card = FakeCard(monkeypatch)
    figures = film_checks.nvdec(Machine("cpu"))
    assert len(figures) == 2 * len(film_checks._DECODED)
    assert card.frames == len(film_checks._DECODED) * (1 + 1 + 8) * 6


def test_all_checks_together_take_less_than_ten_minutes() -> None:
    assert sum(check.budget_seconds for check in CHECKS) <= 9.6 * 60


def _hangs(_: Machine) -> Figures:
    time.sleep(600)
    return {}


def _crashes(_: Machine) -> Figures:
    os._exit(3)


def _is_wrong(_: Machine) -> Figures:
    raise CheckError("too slow", {"frames_per_second": 3})


def _tells_its_process(_: Machine) -> Figures:
    return {"process": os.getpid()}


@pytest.mark.slow
def test_a_check_that_hangs_crashes_or_fails_costs_itself_alone() -> None:
    lines: list[Line] = []
    checks = [
        Check("crashing", _crashes, 60),
        Check("first", _tells_its_process, 60),
        Check("hanging", _hangs, 1),
        Check("wrong", _is_wrong, 60),
        Check("lacking", _tells_its_process, 60, needs=("no_such_package",)),
        Check("last", _tells_its_process, 60),
    ]
    assert not run_checks(checks, lines.append)
    told = [(line["ok"], line["skipped"], line["error"]) for line in lines]
    assert told == [
        (False, None, "its process ended with 3"),
        (True, None, None),
        (False, None, "it took longer than its 1 s"),
        (False, None, "too slow"),
        (None, "needs no_such_package, not installed here", None),
        (True, None, None),
    ]
    assert lines[3]["figures"] == {"frames_per_second": 3}
    assert lines[1]["figures"] != lines[5]["figures"]
    assert not run_checks(checks[1:2], lines.append, seconds=0)
    assert "time for all checks is over" in lines[-1]["error"]
