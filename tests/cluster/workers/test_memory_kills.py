"""What is told of workers that Ray has ended, or that died: in one line, in our words."""

from __future__ import annotations

import pytest
from ray.exceptions import OutOfMemoryError, RayActorError, WorkerCrashedError
from ray.train import WorkerGroupError

from cluster.workers.actor_pool import _words as words_of_the_pool
from cluster.workers.memory_kills import lacked_memory, memory_used
from jobs.training.on_ray import _words

_FULL = (
    "1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: "
    "127.0.0.1, ID: 668a) was 22.41GB used / 23.59GB limit (0.95)\nOOM kill reason: ...\n"
    "Refer to the documentation on how to address the out of memory issue: https://docs.ray.io"
)


def test_a_worker_ended_by_rays_memory_monitor_is_told_with_the_memory() -> None:
    of_a_group = WorkerGroupError(
        "failed", {0: RuntimeError("silence"), 1: RayActorError(error_msg=_FULL)}
    )
    for error in (OutOfMemoryError(_FULL), RayActorError(error_msg=_FULL), of_a_group):
        assert _words(error) == (
            "Ray has ended a worker, as the memory was full (22.4 of 23.6 GB used): try a lower "
            "--batch-size, or end other work"
        )
    assert words_of_the_pool(OutOfMemoryError(_FULL)) == (
        "the memory is full (22.4 of 23.6 GB used); try fewer --workers, or end other work"
    )


@pytest.mark.parametrize("error", [RayActorError(), WorkerCrashedError()])
def test_a_worker_that_died_by_itself_is_told_as_such(error: Exception) -> None:
    told = "a worker died without a word, such as for want of memory: try a lower --batch-size"
    assert _words(error).startswith(told)
    assert _words(WorkerGroupError("failed", {0: error})).startswith(told)
    assert not lacked_memory(error)


def test_an_error_without_amounts_has_none() -> None:
    assert memory_used(OutOfMemoryError("the node running low on memory")) == ""
    assert _words(RuntimeError("a\nb.InputError: no photographs")) == "no photographs"
