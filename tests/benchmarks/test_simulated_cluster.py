from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jobs.benchmark.material.repeated_film import repeat
from jobs.demo.clip import RATE
from tests.benchmarks.simulated_cluster import make_second, simulated_cluster
from tests.kit.media import decoded_frames


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_no_worker_is_faster_than_it_sleeps_and_the_driver_is_seen_at_work() -> None:
    section = simulated_cluster(
        workers=(1, 2), seconds_a_segment=0.2, segments_a_worker=3, rounds=1, piece_bytes=200_000
    )
    for count, row in zip((1, 2), section.rows, strict=True):
        cells = dict(zip(section.columns, row, strict=True))
        assert cells["workers"] == count
        segments, of_ideal, cpu_ms = (
            cells[name] for name in ("segments", "of ideal", "driver CPU ms a segment")
        )
        assert isinstance(segments, int)
        assert 3 * count < segments <= 6 * count  # seconds, and halves of them near the end
        assert isinstance(of_ideal, float)
        assert 0 < of_ideal <= 1
        assert isinstance(cpu_ms, float)
        assert cpu_ms > 0


def test_a_sleeping_workers_process_does_without_torch() -> None:
    code = (
        "import sys, tests.benchmarks.sleeping_worker, cluster.workers.actor_pool; "
        "sys.exit('torch' in sys.modules or 'av' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_repeated_film_shows_the_same_pictures_at_times_that_go_on(tmp_path: Path) -> None:
    second, film = tmp_path / "second.mp4", tmp_path / "film.mp4"
    make_second(second)
    repeat(second, film, 3)
    once, thrice = decoded_frames(second), decoded_frames(film)
    assert [round(at * RATE) for at, _ in thrice] == list(range(3 * RATE))
    assert all((thrice[n][1] == once[n % RATE][1]).all() for n in range(3 * RATE))
