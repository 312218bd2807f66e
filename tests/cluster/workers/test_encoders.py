"""Encoders in processes of Ray: the same pieces, and nothing lost with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import psutil
import pytest
import ray

from cluster.workers.encoders import hire_encoder, processors_for_encoders
from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.stylizer import Stylizer
from pipeline.encoding.encoder_elsewhere import HiredEncoders
from pipeline.looks.look import Look
from pipeline.segments.many_segments import ManySegments
from pipeline.segments.task import SegmentResult, SegmentTask
from pipeline.segments.worker import SegmentWorker
from tests.kit.processes import command_of
from tests.kit.segments import segment_tasks

pytestmark = pytest.mark.usefixtures("ray_here")


def _worker(stylizer: Stylizer, encoders: int) -> ManySegments:
    """A worker of one processor, whose encoders are on its own node here."""
    hired = HiredEncoders(hire_encoder, encoders, wanted=encoders)
    look = Look(StyleSpec("identity"))
    worker = ManySegments(lambda _: stylizer, look, at_once=1, encoders=hired)
    end = time.monotonic() + 120
    while worker.places() < 1 + encoders:
        assert time.monotonic() < end
        time.sleep(0.05)
    return worker


def _at_once(worker: ManySegments, tasks: list[SegmentTask]) -> list[SegmentResult[bytes]]:
    with ThreadPoolExecutor(len(tasks)) as threads:
        return [*threads.map(worker.process, tasks)]


def _encoders() -> Iterator[psutil.Process]:
    for process in psutil.Process().children(recursive=True):
        if "ray::EncoderHost" in command_of(process):
            yield process


@pytest.mark.parametrize("encoders", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_pieces_are_the_same_with_encoders_and_these_end_with_their_worker(
    encoders: int, style: Style, tmp_path: Path
) -> None:
    assert processors_for_encoders() >= 2
    tasks = segment_tasks(tmp_path)
    stylizer = Stylizer(style, device="cpu", threads=1)
    alone = [SegmentWorker(stylizer).process(task) for task in tasks]
    worker = _worker(stylizer, encoders)
    assert len([*_encoders()]) == encoders
    assert _at_once(worker, tasks) == alone
    del worker
    end = time.monotonic() + 30
    while any(_encoders()):
        assert time.monotonic() < end
        time.sleep(0.05)


_ON_FULL_NODES = """
import time
import ray
from ray.cluster_utils import Cluster
from cluster.workers.encoders import hire_encoder

def wait_for(encoder):
    end = time.monotonic() + 120
    while not encoder.is_ready():
        assert time.monotonic() < end
        time.sleep(0.1)

gpus_node = {"num_cpus": 2, "num_gpus": 1}
cluster = Cluster(initialize_head=True, connect=True, head_node_args=gpus_node)
cluster.add_node(num_cpus=1)
first, second = hire_encoder(), hire_encoder()
wait_for(first)
time.sleep(3)
assert ray.available_resources()["CPU"] == 2, "one is on the GPU's node"
cluster.add_node(num_cpus=1)
wait_for(second)
assert ray.available_resources()["CPU"] == 2, "one is on the GPU's node"
ray.shutdown()
cluster.shutdown()
"""


def test_an_encoder_is_kept_off_nodes_with_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        {"NodeID": "with", "Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}},
        {"NodeID": "without", "Alive": True, "Resources": {"CPU": 4.0}},
    ]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    options: list[dict[str, Any]] = []

    def remote(**given: Any) -> Any:
        options.append(given)
        return lambda _: SimpleNamespace(remote=lambda: MagicMock())

    monkeypatch.setattr(ray, "remote", remote)
    assert hire_encoder() is not None
    assert options[0]["label_selector"] == {"ray.io/node-id": "!in(with)"}
    del nodes[1]
    assert hire_encoder() is None


@pytest.mark.slow
def test_an_encoder_without_room_waits_for_a_node_without_a_gpu() -> None:
    """Ray by itself would have it on the GPU's node, where the others are full."""
    command = [sys.executable, "-c", _ON_FULL_NODES]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr


def test_a_killed_encoder_costs_its_segment_and_another_is_started(
    style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = segment_tasks(tmp_path)
    stylizer = Stylizer(style, device="cpu", threads=1)
    alone = [SegmentWorker(stylizer).process(task) for task in tasks]
    worker = _worker(stylizer, 1)
    (killed,) = _encoders()
    os.kill(killed.pid, signal.SIGKILL)
    results = _at_once(worker, tasks)
    assert [result.piece for result in results] == [result.piece for result in alone]
    notes = [result.notes for result in results if result.notes]
    assert notes == [("an encoder on another node was lost; what it had was done anew",)]
    end = time.monotonic() + 120
    while worker.places() < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert killed.pid not in [process.pid for process in _encoders()]
    assert _at_once(worker, tasks) == alone
