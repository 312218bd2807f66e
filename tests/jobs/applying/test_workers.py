"""What a worker is given where it lives."""

from __future__ import annotations

from typing import Any, cast

import pytest

from jobs.applying.workers import _with_share_of_gpu, resources_of_each_worker
from jobs.specs.applying import PoolSpec
from nst_core.checkpoints.style_spec import StyleSpec


@pytest.mark.parametrize(("gpus", "shares"), [(0.0, []), (0.25, [0.25]), (1.0, []), (2.0, [])])
def test_a_worker_with_a_part_of_a_gpu_takes_no_more_of_its_memory(
    gpus: float, shares: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to: list[float] = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.set_per_process_memory_fraction", set_to.append)

    def make_worker(*, threads: int) -> Any:
        assert set_to == shares  # before the network takes any
        return threads

    assert cast("Any", _with_share_of_gpu(make_worker, gpus, threads=3)) == 3


@pytest.mark.parametrize(
    ("device", "gpus_of_ray", "asked"),
    [
        ("cuda", 2, (4, 1)),
        ("rocm", 2, (4, 1)),
        ("xpu", 2, (4, 1)),
        ("auto", 2, (4, 1)),
        ("cpu", 2, (1, 0)),
        ("xpu", 0, (8, 0)),  # one worker has the machine, and the GPU that Ray does not see
        ("mps", 0, (8, 0)),
        ("rocm", 0, (1, 1)),  # there is no room for it, which is told
        ("auto", 0, (1, 0)),
    ],
)
def test_what_a_worker_asks_of_ray_for_its_device(
    device: Any, gpus_of_ray: float, asked: tuple[float, float]
) -> None:
    node = {"CPU": 8.0, "GPU": gpus_of_ray}
    resources = resources_of_each_worker(StyleSpec("wave", device=device), PoolSpec(), [node])
    assert (resources.cpus, resources.gpus) == asked
