"""The simulated device lets no frame through early, and all ways do the whole film."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from tests.benchmarks.kept_busy import (
    SimulatedDevice,
    alone,
    at_once,
    frame_costs,
    make_film,
    model,
    tasks_of,
)

_FRAMES = 96


def test_a_device_is_never_faster_than_it_sleeps(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    make_film(film, 128, 96, frames=_FRAMES)
    tasks = tasks_of(film)
    assert len(tasks) >= 4
    device = SimulatedDevice(0.02)
    busy = at_once(tasks, device, 4)
    assert device.busy_seconds == pytest.approx(0.02 * _FRAMES)
    assert busy.frames_a_second <= 50
    assert busy.device <= 1
    free = alone(tasks, 2)
    assert free.frames_a_second > busy.frames_a_second
    assert free.device == 0


def test_the_model_is_made_of_what_a_frame_costs_here(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    make_film(film, 320, 192, frames=48)
    tasks = tasks_of(film)
    costs, frame_bytes = frame_costs(tasks, 0.002)
    assert min(costs.decode, costs.encode, costs.pack, costs.unpack) > 0
    assert 0 < frame_bytes < 1.2 * 320 * 192 * 1.5
    rows = model(tasks).rows
    assert len(rows) >= 2
    for _, *numbers in rows:
        rate, processors, device, sent = (cast("float", number) for number in numbers)
        assert rate > 0
        assert 0 < processors <= 1
        assert 0 < device <= 1.0001
        assert sent >= 0
