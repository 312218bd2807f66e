"""The simulated device lets no frame through early, and all ways do the whole film."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.kept_busy import SimulatedDevice, alone, at_once, make_film, tasks_of

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
