"""A node in the foreground, stopped as early as its user can stop it."""

import os
import time
from typing import Any

import pytest
from typer.testing import CliRunner

from cluster.nodes.records import NodeRecord
from jobs.cli.cluster.cluster import app

_RECORD = NodeRecord(
    name="node-x",
    address="127.0.0.1:1",
    is_head=True,
    dashboard="http://127.0.0.1:2",
    folder="/nowhere",
    pid=os.getpid(),
    started=time.time(),
)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_node_stopped_while_its_start_is_told_is_ended(
    options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[NodeRecord] = []

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cluster.nodes.start.start_node", lambda *_: _RECORD)
    monkeypatch.setattr("cluster.nodes.start.end_node", ended.append)
    monkeypatch.setattr("jobs.cli.console.say", interrupted)
    result = CliRunner().invoke(app, ["up", "--block", *options])
    assert result.exit_code == 0, result.output
    assert result.stderr == f"ended  head {_RECORD.address}\n"
    assert ended == [_RECORD]
