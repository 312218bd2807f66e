from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from cluster.nodes.overview import Amounts
from cluster.workers import room as cluster_room
from cluster.workers.room import Resources, RoomNews, nodes_to_come
from nst_core.errors import EnvironmentProblem

SetNodes = Callable[..., None]


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> SetNodes:
    """Sets what the cluster consists of; nothing of it is free."""

    def set_nodes(*nodes: Amounts) -> None:
        monkeypatch.setattr(cluster_room, "nodes_now", lambda: list(nodes))

    monkeypatch.setattr(Resources, "are_free", lambda self: False)
    monkeypatch.delenv("NST_AUTOSCALES_TO", raising=False)
    return set_nodes


def test_workers_are_as_many_as_each_node_holds_by_itself(nodes: SetNodes) -> None:
    nodes({"CPU": 3}, {"CPU": 3})
    assert Resources(2).workers_to_start(None) == 2
    with pytest.raises(EnvironmentProblem, match=r"there is room for 2 \(6 CPUs, 0 GPUs\)"):
        Resources(2).workers_to_start(3)


def test_an_autoscaler_may_make_room(nodes: SetNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes({"CPU": 0})
    monkeypatch.setenv("NST_AUTOSCALES_TO", '[{"CPU": 8, "GPU": 1, "nodes": 4}]')
    assert nodes_to_come() == 4 * [{"CPU": 8, "GPU": 1}]
    assert Resources(8, 1).workers_to_start(None) == 4
    assert Resources(8, 1).workers_to_start(2) == 2
    with pytest.raises(EnvironmentProblem, match="NST_AUTOSCALES_TO"):
        Resources(8, 1).workers_to_start(5)
    with pytest.raises(EnvironmentProblem, match="room for 0"):
        Resources(8, 2).workers_to_start(1)


@pytest.mark.parametrize("text", ["8", "{}x", '[{"CPU": 8}]', '["a"]', '[{"nodes": "many"}]'])
def test_an_autoscalers_room_that_cannot_be_read_is_one_line(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NST_AUTOSCALES_TO", text)
    with pytest.raises(EnvironmentProblem, match="such as") as caught:
        nodes_to_come()
    assert "\n" not in str(caught.value)


def test_who_waits_says_for_what(
    nodes: SetNodes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nodes({"CPU": 1})
    with caplog.at_level(logging.WARNING):
        RoomNews(Resources(1)).tell([3.0], none_works=True)
        assert not caplog.records  # not yet
        news = RoomNews(Resources(1))
        for _ in range(3):  # once a minute
            news.tell([11.0, 12.0], none_works=False)
        monkeypatch.setenv("NST_AUTOSCALES_TO", '[{"CPU": 8, "nodes": 4}]')
        RoomNews(Resources(1)).tell([11.0], none_works=True)
        RoomNews(Resources(1), is_shared=False).tell([11.0], none_works=True)  # nobody to blame
    assert [record.message for record in caplog.records] == [
        "2 workers wait for 1 CPU each: other work has the cluster's room",
        "1 worker waits for 1 CPU each: the cluster's autoscaler adds nodes "
        "(minutes, where machines are to be had)",
    ]


def test_it_is_given_up_when_all_nodes_are_lost(
    nodes: SetNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes()
    monkeypatch.setattr(cluster_room, "_SECONDS_WITHOUT_NODES", 0.0)
    news = RoomNews(Resources(1))
    news.tell([11.0], none_works=False)  # one still works
    with pytest.raises(EnvironmentProblem, match="no node is left"):
        news.tell([11.0], none_works=True)
