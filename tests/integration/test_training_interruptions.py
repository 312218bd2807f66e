"""A training that is killed, wherever it hurts, ends as an undisturbed one."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from jobs.training.kinds import make_plan
from jobs.training.plan import plan_settings
from jobs.training.run_folder import RunFolder
from nst_core.checkpoints.info import read_info
from tests.kit.training_runs import STEPS, Disturbed, tiny_job, undisturbed, workers_of


@pytest.fixture
def run(photos: Path, vgg19_file: Path, tmp_path: Path) -> Disturbed:
    return Disturbed(tiny_job(tmp_path, photos, vgg19_file))


@pytest.fixture
def family() -> Iterator[list[psutil.Process]]:
    """Processes of killed commands: no worker of theirs may outlive the test."""
    processes: list[psutil.Process] = []
    yield processes
    for process in processes:  # Ray's helpers live on for a minute
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _kill_command(process: subprocess.Popen[str], family: list[psutil.Process]) -> None:
    family += psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()


def _hold_when_it_has_the_folder(process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if any(
            file.path.endswith(".command.lock") for file in psutil.Process(process.pid).open_files()
        ):
            break
        time.sleep(0.05)
    time.sleep(0.5)  # it is opened first, then locked
    process.send_signal(signal.SIGSTOP)
    assert process.poll() is None


def _kill_a_worker(run: Disturbed, process: subprocess.Popen[str]) -> None:
    """Kill one, and wait until others have trained beyond the step that it was at."""
    starts = len(run.folder.read_events())
    os.kill(workers_of(process)[-1].pid, signal.SIGKILL)
    while len(run.folder.read_events()) == starts:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def _cut_everything_short(folder: RunFolder) -> None:
    """What kills in mid write leave behind, all of it at once."""
    for file in (folder.metrics, folder.events):
        with file.open("a") as lines:
            lines.write('{"step": 2')
    checkpoints = sorted(folder.ray.rglob("trainer.pt"), key=lambda path: path.stat().st_mtime)
    half_copied = folder.ray / "beef" / "checkpoint_later"
    half_copied.mkdir(parents=True)
    folder.so_far.with_name(f".{folder.so_far.name}.77.part").write_bytes(b"{")
    whole = checkpoints[-1].read_bytes()
    (half_copied / "trainer.pt").write_bytes(whole[: len(whole) // 2])
    for snapshot in folder.ray.rglob("checkpoint_manager_snapshot.json"):
        snapshot.write_text(snapshot.read_text()[:40])


def _assert_same_weights(ours: Path, theirs: dict[str, Tensor]) -> None:
    weights = load_file(ours)
    assert weights.keys() == theirs.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=1e-6)


def _assert_in_one_line(stderr: str, *words: str) -> None:
    errors = [line for line in stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, stderr
    assert "Traceback" not in stderr
    for word in words:
        assert word in errors[0]


@pytest.mark.timeout(1200)  # three starts of Ray, on a machine that may be busy
@pytest.mark.slow
def test_a_killed_worker_and_a_killed_command_leave_no_trace_in_the_result(
    run: Disturbed, family: list[psutil.Process]
) -> None:
    plan = make_plan(run.job)
    weights, losses = undisturbed(plan)
    process = run.start()
    run.wait_for_step(14, process)
    _kill_a_worker(run, process)
    run.wait_for_step(23, process)
    _kill_command(process, family)
    assert read_info(run.folder.so_far).training["steps_done"] in (20, 30)
    _cut_everything_short(run.folder)

    process = run.start("--resume")
    _hold_when_it_has_the_folder(process)
    other = run.start("--resume")
    _, others_stderr = other.communicate(timeout=600)
    process.send_signal(signal.SIGCONT)
    stdout, stderr = process.communicate(timeout=600)
    assert process.returncode == 0, stderr
    assert other.returncode == 2
    _assert_in_one_line(others_stderr, "another nst train", "--run-dir")
    report = json.loads(stdout)
    assert run.folder.read_settings() == json.loads(json.dumps(plan_settings(plan)))
    assert run.steps_recorded() == list(range(STEPS))
    recorded = [line["total"] for line in run.folder.read_metrics()]
    assert recorded == pytest.approx([loss["total"] for loss in losses], abs=1e-6)
    _assert_same_weights(run.job.output, weights)
    starts = [e["step"] for e in run.folder.read_events() if e["event"] == "start"]
    assert len(starts) == 3
    # A worker goes on from its last checkpoint, or from the next if it came to it before it died.
    assert starts[1] in (10, 20)
    assert report["resumed_from_step"] == starts[2] in (20, 30)
    assert not list(run.folder.path.glob(".*.part"))
    assert not run.folder.ray.exists()  # nor a checkpoint that nobody knows of


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_training_keeps_the_step_it_was_at(
    run: Disturbed, number: signal.Signals
) -> None:
    plan = make_plan(run.job)
    weights, _ = undisturbed(plan)
    process = run.start()
    run.wait_for_step(13, process)
    if number != signal.SIGTERM:
        os.killpg(process.pid, number)  # as a terminal does: to Ray's processes, too
    else:
        process.send_signal(number)
    _, stderr = process.communicate(timeout=200)
    assert process.returncode == 130, stderr
    reached = run.folder.last_metrics()
    assert reached is not None
    assert reached["step"] < STEPS - 1
    so_far = run.folder.so_far
    assert read_info(so_far).training["steps_done"] == reached["step"] + 1
    (line,) = [line for line in stderr.splitlines() if str(so_far) in line]
    assert f"after {reached['step'] + 1} of {STEPS} steps" in line
    assert line.endswith("--resume")

    report = run.end("--resume")
    assert not so_far.exists()
    assert report["resumed_from_step"] == reached["step"] + 1
    assert run.steps_recorded() == list(range(STEPS))
    _assert_same_weights(run.job.output, weights)


@pytest.mark.slow
def test_two_workers_one_killed_and_then_the_command_end_as_two_undisturbed_ones(
    run: Disturbed, family: list[psutil.Process], tmp_path: Path
) -> None:
    two = dataclasses.replace(run.job, workers=(2, 2))
    left_alone = Disturbed(dataclasses.replace(two, output=tmp_path / "left_alone.safetensors"))
    left_alone.end()
    run = Disturbed(two)
    process = run.start()
    run.wait_for_step(13, process)
    _kill_a_worker(run, process)
    run.wait_for_step(26, process)
    _kill_command(process, family)
    report = run.end("--resume")
    assert report["workers"] == 2
    assert report["resumed_from_step"] in (20, 30)
    assert run.steps_recorded() == list(range(STEPS))
    assert [line["total"] for line in run.folder.read_metrics()] == pytest.approx(
        [line["total"] for line in left_alone.folder.read_metrics()], abs=1e-6
    )
    _assert_same_weights(run.job.output, load_file(left_alone.job.output))


@pytest.mark.slow
def test_ctrl_c_twice_and_sigterm_end_the_command_in_one_line_and_cost_nothing(
    run: Disturbed,
) -> None:
    process = run.start()
    run.wait_for_step(12, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: Ray's processes get it too
    time.sleep(1)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    _assert_interrupted(process)
    process = run.start("--resume")
    run.wait_for_step(22, process)
    process.terminate()
    _assert_interrupted(process)
    assert not run.job.output.exists()
    run.end("--resume")
    assert run.steps_recorded() == list(range(STEPS))
    _assert_same_weights(run.job.output, undisturbed(make_plan(run.job))[0])


def _assert_interrupted(process: subprocess.Popen[str]) -> None:
    stdout, stderr = process.communicate(timeout=600)
    assert process.returncode == 130, stderr
    assert stdout == ""
    assert stderr.count("interrupted") == 1
    assert "Traceback" not in stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("when", ["while they train", "while they start"])
def test_workers_that_die_again_and_again_end_the_run_and_keep_what_was_reached(
    when: str, run: Disturbed
) -> None:
    process = run.start()
    run.wait_for_step(11, process)
    stop = threading.Event()

    def murder() -> None:
        starts = 0
        while not stop.wait(0.1) and process.poll() is None:
            if when == "while they train":
                if len(run.folder.read_events()) == starts:
                    continue
                starts += 1
            for worker in workers_of(process):
                with suppress(psutil.NoSuchProcess):
                    worker.kill()

    murderer = threading.Thread(target=murder)
    murderer.start()
    try:
        _, stderr = process.communicate(timeout=400)
    finally:
        stop.set()
        murderer.join()
        process.terminate()
    assert process.returncode == 1
    cause = "the last: a worker died" if "train" in when else "do not start"
    _assert_in_one_line(stderr, "training stopped", cause, "--resume")
    assert run.end("--resume")["resumed_from_step"] in (10, 20)
    assert run.steps_recorded() == list(range(STEPS))
