"""How many encoders each worker gets on other nodes, and the line where there are none."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import ray

from cluster.workers.room import Resources
from jobs.applying.encoders import Encoders, encoders_of, encoders_of_each_worker
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import EnvironmentProblem, InputError

_ON_CLUSTER = PoolSpec(address="auto")


def _job(**options: Any) -> StylizeVideo:
    return StylizeVideo((Path("film.mp4"),), "out.mp4", StyleSpec("identity"), **options)


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, float]]:
    """Two nodes with a GPU, one without."""
    nodes = [{"CPU": 16.0, "GPU": 1.0}, {"CPU": 16.0, "GPU": 1.0}, {"CPU": 5.0}]
    monkeypatch.setattr("cluster.workers.room.nodes_now", lambda: nodes)

    def there() -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": node} for node in nodes]

    monkeypatch.setattr(ray, "nodes", there)
    return nodes


def test_auto_is_told_where_it_has_nothing_to_decide(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert encoders_of(_job(encoders="auto")) == 0
    assert "--encoders auto: none, for this runs on one machine" in caplog.text
    caplog.clear()
    assert encoders_of(_job(encoders="auto", pool=_ON_CLUSTER)) == "auto"
    assert encoders_of(_job(encoders=3, pool=_ON_CLUSTER)) == 3
    assert not caplog.text


@pytest.mark.parametrize(
    ("encoders", "workers", "each"),
    [(0, None, 0), (3, None, 2), (5, 2, 2), (5, 1, 5), ("auto", None, 3), ("auto", 1, 5)],
)
def test_workers_have_as_many_each_and_as_there_is_room_for(
    encoders: Encoders, workers: int | None, each: int, nodes: list[dict[str, float]]
) -> None:
    assert encoders_of_each_worker(encoders, Resources(16.0, 1.0), workers) == each


@pytest.mark.usefixtures("nodes")
def test_encoders_without_room_or_use_are_refused_or_left_out_with_a_line(
    nodes: list[dict[str, float]], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(EnvironmentProblem, match=r"6 encoders of one CPU each: .* have 5 CPUs"):
        encoders_of_each_worker(6, Resources(16.0, 1.0), None)
    with pytest.raises(InputError, match="for workers with a GPU"):
        encoders_of_each_worker(2, Resources(1.0), None)
    assert encoders_of_each_worker("auto", Resources(1.0), None) == 0
    nodes[2]["CPU"] = 1.0
    assert encoders_of_each_worker(1, Resources(16.0, 1.0), None) == 1
    nodes.pop()
    assert encoders_of_each_worker("auto", Resources(16.0, 1.0), None) == 0
    assert [record.getMessage() for record in caplog.records] == [
        "--encoders auto: none, for workers without a GPU need no more than their own processors",
        "--encoders auto: none, for no node without a GPU has CPUs",
    ]
