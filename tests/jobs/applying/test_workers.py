"""What a worker is given where it lives."""

from __future__ import annotations

from typing import Any, cast

import pytest

from jobs.applying.workers import _with_share_of_gpu


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
