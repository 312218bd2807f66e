"""The start of a node on a busy machine, with a process in the place of Ray's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cluster.nodes import start as local_nodes
from cluster.nodes.records import MARK, read_records
from cluster.nodes.start import NodeSpec
from tests.kit.command_line import nst

_INFO = "\\x1b[37m2026-07-01 10:00:00,000\\tINFO usage_lib.py:447 -- statistics are off\\x1b[39m"


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NST_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(local_nodes, "_prepare_token", lambda spec: None)
    monkeypatch.setattr(local_nodes, "prepare_environment", lambda address: None)


def _ray_that(does: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def launch(spec: NodeSpec, name: str, folder: Path, arguments: list[str]) -> Any:
        environment = {"PATH": "/usr/bin:/bin", MARK: name}
        with (folder / "start.log").open("wb") as log:
            command = [sys.executable, "-c", does]
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    monkeypatch.setattr(local_nodes, "_launch", launch)


def test_a_node_that_is_not_up_in_time_is_told_with_its_seconds_and_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _ray_that(f"print('{_INFO}'); import time; time.sleep(600)", monkeypatch)
    monkeypatch.setattr(local_nodes, "_is_up", lambda record: False)
    monkeypatch.setattr(local_nodes, "_START_SECONDS", 1.5)
    monkeypatch.setattr(local_nodes, "_SECONDS_BETWEEN_SIGNS", 1.0)
    told = nst("cluster", "up", "--port", "0", "--dashboard-port", "0")
    assert told.code == 2
    *lines, error = told.error.splitlines()
    busy = r"the machine is busy: the head is not up after [1-9]\d* s"
    assert re.fullmatch(f"error: {busy}, in the last of 3 attempts; try again .*", error)
    again = [line for line in lines if "attempt" in line]
    assert re.fullmatch(f"{busy}: attempt 2 of 3\n{busy}: attempt 3 of 3", "\n".join(again))
    assert re.fullmatch(r"the head is starting, [1-9]\d* s so far", lines[0])
    assert "INFO" not in told.error
    assert "\x1b" not in told.error
    assert list(read_records()) == []


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        (f"print('{_INFO}')", ""),
        (f"print('\\x1b[31mError: no disk\\x1b[0m'); print('{_INFO}')", " (Error: no disk)"),
    ],
)
def test_a_node_that_ends_by_itself_is_told_with_rays_reason_if_there_is_one(
    does: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ray_that(does, monkeypatch)
    monkeypatch.setattr(local_nodes, "_is_up", lambda record: False)
    told = nst("cluster", "up", "--port", "0", "--dashboard-port", "0")
    assert told.code == 2
    words = r"the head ended after \d+ s, before it was up" + re.escape(reason)
    assert re.fullmatch(
        f"{words}: attempt 2 of 3\n{words}: attempt 3 of 3\n"
        f"error: {words}, in the last of 3 attempts; .*\n",
        told.error,
    )


def test_a_node_that_is_up_at_the_second_attempt_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def is_up(record: Any) -> bool:
        asked.append(record.name)
        return len(set(asked)) == 2

    _ray_that("import time; time.sleep(600)", monkeypatch)
    monkeypatch.setattr(local_nodes, "_is_up", is_up)
    monkeypatch.setattr(local_nodes, "_START_SECONDS", 1.0)
    told = nst("cluster", "up", "--port", "0", "--dashboard-port", "0")
    try:
        assert told.code == 0, told.error
        assert [line.split(": ")[-1] for line in told.error.splitlines()] == ["attempt 2 of 3"]
        assert told.out.startswith("up         head 127.0.0.1:")
    finally:
        for record in read_records():
            local_nodes.end_node(record)
