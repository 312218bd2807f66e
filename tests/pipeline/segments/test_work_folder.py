from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import pipeline.segments.work_folder
from nst_core.errors import InputError
from nst_core.files import write_whole
from pipeline.segments.plan import Segment
from pipeline.segments.task import BegunPart, SegmentResult
from pipeline.segments.work_folder import HIDDEN_PARENT, PIPELINE_VERSION, WorkFolder
from tests.kit.plans import nothing_written

SEGMENT = Segment(2, 0, 5, (10, 20, 30))
RESULT = SegmentResult(2, b"piece" * 99, (10, 30), (20,), (30,), ("invalid data",))


@pytest.fixture
def folder(tmp_path: Path) -> WorkFolder:
    work = WorkFolder(tmp_path / HIDDEN_PARENT / "film.mp4", {"input": "film.mp4", "crf": 18})
    work.open(resume=True)
    return work


def test_a_recorded_segment_is_found_again(folder: WorkFolder) -> None:
    assert folder.finished(SEGMENT) is None
    recorded = folder.record(RESULT)
    folder.open(resume=True)
    assert folder.finished(SEGMENT) == recorded
    assert recorded.piece is not None
    assert recorded.piece.read_bytes() == RESULT.piece
    assert (recorded.pts, recorded.missing_pts) == ((10, 30), (20,))


def test_a_look_finds_what_a_run_would_use_and_changes_nothing(folder: WorkFolder) -> None:
    recorded = folder.record(RESULT)
    folder.close()
    (folder.path / ".00003.piece.01234567.part").touch()
    for identity, resume, found in (
        ({"input": "film.mp4", "crf": 18}, True, recorded),
        ({"input": "film.mp4", "crf": 18}, False, None),
        ({"input": "film.mp4", "crf": 30}, True, None),
    ):
        look = WorkFolder(folder.path, identity)
        with nothing_written(folder.path.parent):
            look.look(resume=resume)
            assert look.finished(SEGMENT) == found
        assert not look.is_open
    folder.open(resume=True)
    with pytest.raises(InputError, match="another run is at work on the same output"):
        WorkFolder(folder.path, {}).look(resume=True)


def test_a_look_makes_no_folder_and_says_where_none_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with nothing_written(tmp_path):
        WorkFolder(tmp_path / "a" / "b", {}).look(resume=True)
        with pytest.raises(NotADirectoryError):
            WorkFolder(tmp_path / "file" / "a", {}).look(resume=True)


def test_a_piece_with_other_bytes_is_not_used(folder: WorkFolder) -> None:
    piece = folder.record(RESULT).piece
    assert piece is not None
    piece.write_bytes(piece.read_bytes()[:-1])
    assert folder.finished(SEGMENT) is None
    piece.unlink()
    assert folder.finished(SEGMENT) is None


@pytest.mark.parametrize(
    "damage",
    [
        b'{"number": 2, "pts"',  # cut short
        b"",
        b"\xff\xfe",
        b"[]",
        b"7",
        b'{"fields": {"number": 2, "has_piece": true}, "sha256": ""}',
    ],
)
def test_a_piece_without_its_record_is_not_used(folder: WorkFolder, damage: bytes) -> None:
    folder.record(RESULT)
    (folder.path / "00002.json").write_bytes(damage)
    assert folder.finished(SEGMENT) is None


def test_what_a_killed_run_has_half_written_goes_and_its_pieces_stay(folder: WorkFolder) -> None:
    recorded = folder.record(RESULT)
    half = folder.path / ".00003.piece.0123abcd.part"
    half.write_bytes(b"half")
    folder.open(resume=True)
    assert not half.exists()
    assert folder.finished(SEGMENT) == recorded


def test_parts_of_an_unfinished_segment_stay_until_its_piece_is_there(folder: WorkFolder) -> None:
    parts = (BegunPart(0, b"first"), BegunPart(1, b"second"))
    for part in reversed(parts):
        folder.keep_begun(2, part)
    folder.keep_begun(3, parts[0])
    folder.close()
    folder.open(resume=True)
    assert folder.begun(2) == parts
    assert folder.begun(4) == ()
    folder.record(RESULT)
    assert folder.begun(2) == ()
    assert [path.name for path in folder.path.glob("*.begun")] == ["00003-000.begun"]
    folder.close()
    folder.open(resume=False)
    assert folder.begun(3) == ()


def test_parts_of_a_segment_that_has_become_another_are_not_used(folder: WorkFolder) -> None:
    part = BegunPart(0, b"first")
    for own in (("", "aaaaaaaa1", "aaaaaaaa1"), ("", "bbbbbbbb1", "aaaaaaaa1")):
        work = WorkFolder(folder.path, {"input": "film.mp4"}, own)
        folder.close()
        work.open(resume=True)
        if own[1] == "aaaaaaaa1":
            work.keep_begun(1, part)
            work.keep_begun(2, part)
            work.close()
    assert (work.begun(1), work.begun(2)) == ((), (part,))


def test_a_folder_without_room_keeps_no_parts_and_goes_on(
    folder: WorkFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(pipeline.segments.work_folder, "write_whole", full)
    folder.keep_begun(2, BegunPart(0, b"first"))
    assert folder.begun(2) == ()


def test_kept_parts_leave_room_on_the_disk(
    folder: WorkFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearly_full = shutil.disk_usage(folder.path)._replace(free=1 << 30)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: nearly_full)
    folder.keep_begun(2, BegunPart(0, b"first"))
    assert folder.begun(2) == ()


def test_kept_parts_take_no_room_from_their_piece(
    folder: WorkFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.keep_begun(2, BegunPart(0, b"first"))

    def nearly_full(path: Path, data: bytes) -> None:
        if list(folder.path.glob("*.begun")):
            raise OSError("No space left on device")
        write_whole(path, data)

    monkeypatch.setattr(pipeline.segments.work_folder, "write_whole", nearly_full)
    folder.record(RESULT)
    assert folder.finished(SEGMENT) is not None


def test_a_record_with_another_number_in_it_is_not_used(folder: WorkFolder) -> None:
    folder.record(RESULT)
    record = folder.path / "00002.json"
    text = record.read_text()
    for before, after in (("[10, 30]", "[10, 31]"), ('"redone": false', '"redone": true')):
        assert before in text
        record.write_text(text.replace(before, after))
        assert folder.finished(SEGMENT) is None
    record.write_text(text)
    assert folder.finished(SEGMENT) is not None


def test_a_record_of_another_plan_is_not_used(folder: WorkFolder) -> None:
    folder.record(RESULT)
    assert folder.finished(Segment(2, 0, 5, (10, 20, 40))) is None


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b'{"input": "film.mp4", "crf": 18'])
def test_a_damaged_identity_empties_the_folder(folder: WorkFolder, damage: bytes) -> None:
    folder.record(RESULT)
    folder.close()
    (folder.path / "identity.json").write_bytes(damage)
    folder.open(resume=True)
    assert folder.finished(SEGMENT) is None
    assert sorted(path.name for path in folder.path.iterdir()) == ["identity.json", "lock"]


def test_pieces_of_another_version_of_the_pipeline_are_dropped(
    folder: WorkFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.record(RESULT)
    folder.close()
    monkeypatch.setattr(pipeline.segments.work_folder, "PIPELINE_VERSION", PIPELINE_VERSION + 1)
    newer = WorkFolder(folder.path, {"input": "film.mp4", "crf": 18})
    newer.open(resume=True)
    assert newer.finished(SEGMENT) is None


@pytest.mark.parametrize(
    ("second", "kept"),
    [
        (SegmentResult(2, b"whole", (10, 20, 30), (), (), ()), b"whole"),
        (SegmentResult(2, b"sound", (10, 30), (20,), (), ()), b"sound"),  # fewer are corrupt
        (SegmentResult(2, b"worse", (10,), (20, 30), (), ()), RESULT.piece),
        (SegmentResult(2, b"equal", (10, 30), (20,), (10,), ("x",)), RESULT.piece),
        (None, RESULT.piece),
    ],
)
def test_the_better_of_two_results_is_kept_and_not_tried_again(
    folder: WorkFolder, second: SegmentResult[bytes] | None, kept: bytes
) -> None:
    first = folder.record(RESULT)
    assert not first.redone
    better = folder.record_better(first, second)
    assert better.redone
    assert better.piece is not None
    assert better.piece.read_bytes() == kept
    assert folder.finished(SEGMENT) == better


def test_what_cannot_be_written_whole_is_not_there_at_all(
    folder: WorkFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(_: Path, __: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        folder.record(RESULT)
    assert sorted(path.name for path in folder.path.iterdir()) == ["identity.json", "lock"]


def test_an_unfinished_output_has_one_name_for_each_output_and_folder(folder: WorkFolder) -> None:
    output = folder.path.parents[1] / "film.mp4"
    unfinished = folder.unfinished(output)
    assert unfinished.parent == output.parent
    assert unfinished == WorkFolder(folder.path, {}).unfinished(output)
    elsewhere = WorkFolder(folder.path.parent / "other", {})
    others = {elsewhere.unfinished(output), folder.unfinished(output.with_name("b.mp4"))}
    assert len({unfinished, *others}) == 3
    long = output.with_name("ü" * 120 + ".mp4")
    assert len(folder.unfinished(long).name.encode()) < 100


def test_pieces_made_otherwise_are_dropped(folder: WorkFolder) -> None:
    folder.record(RESULT)
    folder.close()
    other = WorkFolder(folder.path, {"input": "film.mp4", "crf": 23})
    other.open(resume=True)
    assert other.finished(SEGMENT) is None


def test_without_resume_everything_is_done_anew(folder: WorkFolder) -> None:
    folder.record(RESULT)
    folder.open(resume=False)
    assert folder.finished(SEGMENT) is None


def test_a_segment_without_any_frame_is_remembered_too(folder: WorkFolder) -> None:
    folder.record(SegmentResult(2, b"", (), (10, 20, 30), (), ("x",)))
    finished = folder.finished(SEGMENT)
    assert finished is not None
    assert finished.piece is None
    assert finished.missing_pts == (10, 20, 30)


def test_removing_leaves_the_folders_of_other_outputs(folder: WorkFolder) -> None:
    other = WorkFolder(folder.path.parent / "other.mp4", {})
    other.open(resume=True)
    folder.remove()
    assert not folder.path.exists()
    assert other.path.exists()
    other.remove()
    assert not other.path.parent.exists()


def test_a_second_run_at_the_same_time_is_refused_and_harms_nothing(folder: WorkFolder) -> None:
    recorded = folder.record(RESULT)
    twin = WorkFolder(folder.path, {"input": "film.mp4", "crf": 23})
    with pytest.raises(InputError, match="another run"):
        twin.open(resume=False)
    assert folder.finished(SEGMENT) == recorded
    folder.close()
    twin.open(resume=False)


def test_a_run_that_came_to_nothing_leaves_no_folder(tmp_path: Path) -> None:
    parent = tmp_path / ".nst-work"
    folder = WorkFolder(parent / "a.work", {"style": "wave"})
    folder.open(resume=True)
    folder.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_cut_short_by_a_kill_is_the_folders_own(folder: WorkFolder) -> None:
    (folder.path / ".00002.piece.0123abcd.part").write_bytes(b"half")
    folder.close()
    folder.remove_leftover(folder.identity_digest, folder.path.parents[1] / "film.mp4")
    assert not folder.path.exists()
