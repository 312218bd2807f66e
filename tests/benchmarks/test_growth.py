from __future__ import annotations

import pytest

from jobs.demo.clip import RATE, SECONDS
from tests.benchmarks.growth import film_growth, folder_growth


@pytest.mark.usefixtures("ray_here")
@pytest.mark.slow
def test_films_are_measured_whole_and_with_the_workers_memory() -> None:
    section = film_growth(times=(1, 3))
    cells = [dict(zip(section.columns, row, strict=True)) for row in section.rows]
    assert [of_one["frames"] for of_one in cells] == [RATE * SECONDS, 3 * RATE * SECONDS]
    for of_one in cells:
        worker, cpu = of_one["largest worker, MB at 100 %"], of_one["driver CPU ms a frame"]
        assert isinstance(worker, int)
        assert worker > 50
        assert isinstance(cpu, float)
        assert cpu > 0


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_folders_are_measured_twice() -> None:
    section = folder_growth(files=(30,))
    cells = dict(zip(section.columns, section.rows[0], strict=True))
    assert cells["files"] == 30
    again, first = cells["run again, ms a file"], cells["ms a file"]
    assert isinstance(again, float)
    assert isinstance(first, float)
    assert again < first  # nothing is done again
