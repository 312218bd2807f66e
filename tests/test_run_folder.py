from __future__ import annotations

from pathlib import Path

import pytest

from jobs.run_folder import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path)
    lines = [f'{{"step": {step}, "total": {step / 7}}}' for step in range(500)]
    folder.metrics.write_text("\n".join(lines) + "\n")
    return folder


def test_the_last_line_is_the_last_whole_line(run: RunFolder) -> None:
    assert run.last_metrics() == run.read_metrics()[-1]
    with run.metrics.open("a") as file:
        file.write('{"step": 500, "tot')  # a kill in mid line
    last = run.last_metrics()
    assert last is not None
    assert last["step"] == 499
    assert len(run.read_metrics()) == 500


def test_a_run_that_has_not_begun_has_no_last_line(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.last_metrics() is None
    run.metrics.write_text("")
    assert run.last_metrics() is None


def test_steps_that_will_be_done_again_are_forgotten(run: RunFolder) -> None:
    run.forget_metrics_from(20)
    assert [line["step"] for line in run.read_metrics()] == list(range(20))
