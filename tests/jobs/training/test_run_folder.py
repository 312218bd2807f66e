from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from jobs.training import run_folder
from jobs.training.run_folder import RunFolder
from jobs.training.states import State, adopt_newest_state, read_state, write_state
from nst_core.errors import InputError


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path)
    lines = [f'{{"step": {step}, "total": {step / 7}}}' for step in range(500)]
    folder.metrics.write_text("\n".join(lines) + "\n")
    return folder


# Records


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


def test_steps_that_will_be_done_again_are_forgotten_and_the_rollbacks_to_them(
    run: RunFolder,
) -> None:
    for event, step in (("start", 0), ("rollback", 10), ("rollback", 20), ("start", 30)):
        run.note_event({"event": event, "step": step})
    run.forget_from(20)
    assert [line["step"] for line in run.read_metrics()] == list(range(20))
    assert [(e["event"], e["step"]) for e in run.read_events()] == [
        ("start", 0),
        ("rollback", 10),
        ("start", 30),
    ]


def test_a_line_cut_short_by_a_kill_costs_that_line_alone(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.note_unreadable(0, {"a.jpg": "no picture"})
    run.note_event({"event": "start", "step": 0})
    for file in (run.events, tmp_path / "unreadable-0.jsonl"):
        with file.open("a") as lines:
            lines.write('{"event": "st')
    run.note_unreadable(0, {"b.jpg": "cut short"})
    run.note_unreadable(1, {"a.jpg": "no picture"})
    run.note_event({"event": "start", "step": 9})
    assert run.unreadable() == {"a.jpg": "no picture", "b.jpg": "cut short"}
    assert [event["step"] for event in run.read_events()] == [0, 9]
    assert len({event["time"] for event in run.read_events()}) == 2


def test_what_is_written_whole_is_never_half_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path)
    run.write_settings({"steps": 3})

    def full(path: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        run.write_settings({"steps": 4})
    assert run.read_settings() == {"steps": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]


def test_settings_that_cannot_be_read_are_told_of(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.settings.write_text('{"steps"')
    with pytest.raises(InputError, match="--overwrite"):
        run.read_settings()


def test_a_failure_is_known_until_the_next_command(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.failure() is None
    run.note_failure("out of memory")
    assert run.failure() == "out of memory"
    run.forget_failure()
    run.forget_failure()
    assert run.failure() is None


# Locks


def test_a_run_folder_has_one_command_at_a_time(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "new" / "run")
    with run.reserved(), pytest.raises(InputError, match="another nst train"), run.reserved():
        pass
    with run.reserved():
        pass


def test_a_run_folder_that_cannot_be_is_told_of_and_errors_of_the_training_pass_through(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="--run-dir"), RunFolder(tmp_path / "file").reserved():
        pass
    with pytest.raises(TimeoutError), RunFolder(tmp_path / "run").reserved():
        raise TimeoutError


def _hold(path: Path, held: multiprocessing.synchronize.Event) -> None:
    with RunFolder(path).writing():
        held.set()
        signal.pause()


def test_a_worker_waits_for_the_end_of_an_earlier_one_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folder, "_SECONDS_FOR_ORPHANS", 0.3)
    spawning = multiprocessing.get_context("spawn")
    held = spawning.Event()
    orphan = spawning.Process(target=_hold, args=(tmp_path, held), daemon=True)
    orphan.start()
    assert held.wait(60)
    with pytest.raises(TimeoutError, match="held by another"), RunFolder(tmp_path).writing():
        pass
    orphan.kill()
    orphan.join()
    with RunFolder(tmp_path).writing():
        pass


# Checkpoints


def _state(steps_done: int) -> State:
    return {"steps_done": steps_done, "generator": {"weight": torch.full((8,), steps_done)}}


def _written(folder: Path, steps_done: int) -> Path:
    folder.mkdir(parents=True)
    write_state(folder, _state(steps_done))
    return folder


def test_workers_begin_at_the_newest_whole_state_and_the_others_are_gone(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    _written(run.checkpoint, 10)
    # By its name the newest, by its content not: clocks of machines differ.
    _written(run.ray / "beef" / "checkpoint_2", 20)
    _written(run.ray / "beef" / "checkpoint_1", 30)
    cut = _written(run.ray / "cafe" / "checkpoint_3", 40) / "trainer.pt"
    os.truncate(cut, cut.stat().st_size // 2)
    (_written(run.ray / "cafe" / "checkpoint_4", 50) / "trainer.pt").write_bytes(b"")
    (run.ray / "cafe" / "checkpoint_5").mkdir()
    (run.ray / "cafe" / "checkpoint_manager_snapshot.json").write_text("{")
    state = adopt_newest_state(run)
    assert state is not None
    assert state["steps_done"] == 30
    assert not run.ray.exists()
    kept = read_state(run.checkpoint)
    assert kept is not None
    assert torch.equal(kept["generator"]["weight"], _state(30)["generator"]["weight"])
    again = adopt_newest_state(run)
    assert again is not None
    assert again["steps_done"] == 30


def test_a_run_without_any_checkpoint_begins_at_its_first_step(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    (run.ray / "beef").mkdir(parents=True)
    assert adopt_newest_state(run) is None
    assert not run.ray.exists()


def test_a_state_that_the_disk_does_not_give_is_not_taken_for_none(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    (run.checkpoint / "trainer.pt").mkdir(parents=True)
    with pytest.raises(OSError, match=r"trainer\.pt"):
        adopt_newest_state(run)


def test_a_step_is_recorded_also_behind_one_that_a_kill_has_cut_short(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.note_step({"step": 0})
    with run.metrics.open("a") as lines:
        lines.write('{"step": 1, "tot')
    run.note_step({"step": 1})
    assert run.read_metrics() == [{"step": 0}, {"step": 1}]


def test_folders_that_vanish_meanwhile_do_not_keep_a_run_from_going_on(tmp_path: Path) -> None:
    """As the last of a killed command's processes remove checkpoints of theirs."""
    run = RunFolder(tmp_path)
    write_state(_folder(run.checkpoint), {"steps_done": 5})
    ended = threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            for number in range(20):
                with suppress(FileNotFoundError):  # what is adopted is removed meanwhile
                    _folder(run.ray / "beef" / f"checkpoint_{number}" / "part")
            shutil.rmtree(run.ray, ignore_errors=True)

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(300):
            state = adopt_newest_state(run)
            assert state is not None
            assert state["steps_done"] == 5
    finally:
        ended.set()
        thread.join()


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
