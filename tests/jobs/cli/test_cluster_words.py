"""What `nst cluster status` says, and what `down` asks before it ends what others wait for."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import head
from cluster.nodes import overview
from cluster.nodes import records as node_records
from cluster.nodes.overview import Node, Overview
from cluster.nodes.records import NodeRecord
from jobs.cli.cluster.words import overview_lines
from nst_core.errors import EnvironmentProblem
from tests.kit.command_line import nst

_ADDRESS = "127.0.0.1:6399"
_HEAD = NodeRecord("x", _ADDRESS, True, None, "/nowhere", os.getpid(), time.time())
_JOB = {"id": "stylize-video-1a", "status": "RUNNING", "command": "nst stylize video film.mp4"}
_DONE = {"id": "stylize-video-2b", "status": "SUCCEEDED", "command": "nst stylize video b.mp4"}
_NODE = Node(
    address="127.0.0.1",
    host="here",
    is_head=True,
    alive=True,
    total={"CPU": 1.0, "GPU": 2.0},
    free={"CPU": 0.0, "GPU": 1.5},
    gpu_type="H200",
    temp_folder="/nowhere",
)
_WORKER = {"class": "WorkerHost", "state": "ALIVE", "node": "127.0.0.1", "pid": 7}
_WAITING = {"class": "RayTrainWorker", "state": "PENDING_CREATION", "node": "", "pid": 0}
_RAYS_OWN = {"class": "JobSupervisor", "state": "ALIVE", "node": "127.0.0.1", "pid": 8}

Cluster = Callable[[Overview], list[NodeRecord]]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Makes a head of this machine that consists of what is given; returns those ended so far."""

    def make(found: Overview) -> list[NodeRecord]:
        ended: list[NodeRecord] = []
        record = NodeRecord(**{**vars(_HEAD), "started": _started()})
        monkeypatch.setattr(node_records, "read_records", lambda: iter([record]))
        monkeypatch.setattr(head, "check_head", lambda address: None)
        monkeypatch.setattr(overview, "look_at", lambda address: found)
        monkeypatch.setattr("cluster.connection.prepare_environment", lambda address: None)

        def end(record: NodeRecord) -> list[int]:
            ended.append(record)
            return []

        monkeypatch.setattr("cluster.nodes.start.end_node", end)
        return ended

    return make


def _started() -> float:
    import psutil

    return float(psutil.Process().create_time())


def _at_work(drivers: int = 1) -> Overview:
    return Overview(_ADDRESS, [_NODE], [_WORKER, _WAITING, _RAYS_OWN], [_DONE, _JOB], drivers, 1)


def test_the_state_of_a_cluster_is_in_a_users_words() -> None:
    lines = list(overview_lines(_at_work()))
    assert [" ".join(line.split()) for line in lines] == [
        f"cluster {_ADDRESS}: 1 node, 1 command at work",
        "node head 127.0.0.1 here 0 of 1 CPU free, 1.5 of 2 GPUs free (H200)",
        "worker at work pictures or films on 127.0.0.1, process 7",
        "worker starting training",
        "job done stylize-video-2b nst stylize video b.mp4",
        "job at work stylize-video-1a nst stylize video film.mp4",
    ]
    for rays in ("actor", "driver", "ALIVE", "WorkerHost", "pid", "RUNNING"):
        assert not any(rays in line for line in lines)


def test_without_a_terminal_down_says_what_ends_and_ends_it(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = cluster(_at_work(drivers=3))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    told = nst("cluster", "down")
    assert told.code == 0
    assert told.error.splitlines() == [
        "still at work: job stylize-video-1a  nst stylize video film.mp4",
        f"still at work: 2 commands on {_ADDRESS}",
    ]
    assert told.out == f"ended  head {_ADDRESS}\n"
    assert len(ended) == 1
    assert len(json.loads(nst("cluster", "down", "--json").out)["at_work"]) == 2


@pytest.mark.parametrize(("answer", "ends"), [("y", True), ("n", False), ("", False)])
def test_on_a_terminal_down_asks_first(
    answer: str, ends: bool, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = cluster(_at_work())
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: answer == "y")
    told = nst("cluster", "down")
    assert told.code == (0 if ends else 1)
    assert bool(ended) == ends
    assert ("nothing is ended" in told.error) != ends


@pytest.mark.parametrize("options", [("--yes",), ("-y",)])
def test_down_does_not_ask_where_that_is_said_or_nothing_is_at_work(
    options: tuple[str, ...], cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> bool:
        raise AssertionError

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", never)
    ended = cluster(_at_work())
    assert nst("cluster", "down", *options).code == 0
    assert len(ended) == 1
    ended = cluster(Overview(_ADDRESS, [_NODE], [], [_DONE], 0, 0))
    told = nst("cluster", "down")
    assert (told.code, told.error) == (0, "")
    assert len(ended) == 1


def test_a_head_that_does_not_answer_is_ended_all_the_same(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(address: str) -> None:
        raise EnvironmentProblem("silent")

    ended = cluster(_at_work())
    monkeypatch.setattr(head, "check_head", silent)
    told = nst("cluster", "down")
    assert (told.code, told.error) == (0, "")
    assert len(ended) == 1


@pytest.mark.parametrize(
    "line",
    [
        "cluster status",
        "cluster status --address 127.0.0.1:9",
        "jobs list --address http://127.0.0.1:9",
        "jobs status x --address http://127.0.0.1:9",
        "jobs logs x --address http://127.0.0.1:9",
        "jobs stop x --address http://127.0.0.1:9",
        "jobs submit --address http://127.0.0.1:9 -- doctor",
    ],
)
def test_without_a_cluster_one_line_says_how_to_start_one(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NST_STATE_DIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for module in ("connection", "submission.client"):
        monkeypatch.setattr(f"cluster.{module}.prepare_environment", lambda address: None)
    told = nst(*line.split())
    assert told.code == 2
    assert "`nst cluster up`" in told.error_line
    assert "--address" in told.error_line
