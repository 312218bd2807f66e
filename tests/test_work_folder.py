from __future__ import annotations

from pathlib import Path

import pytest

from nst_core.errors import InputError
from pipeline.segment_worker import StylizedSegment
from pipeline.segments import Segment
from pipeline.work_folder import HIDDEN_PARENT, WorkFolder

SEGMENT = Segment(2, 0, 5, (10, 20, 30))
RESULT = StylizedSegment(2, b"piece" * 99, (10, 30), (20,), 1, ("invalid data",))


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


def test_a_piece_with_other_bytes_is_not_used(folder: WorkFolder) -> None:
    piece = folder.record(RESULT).piece
    assert piece is not None
    piece.write_bytes(piece.read_bytes()[:-1])
    assert folder.finished(SEGMENT) is None
    piece.unlink()
    assert folder.finished(SEGMENT) is None


def test_a_piece_without_its_record_is_not_used(folder: WorkFolder) -> None:
    folder.record(RESULT)
    (folder.path / "00002.json").write_text('{"number": 2, "pts"')  # cut short
    assert folder.finished(SEGMENT) is None


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
    folder.record(StylizedSegment(2, b"", (), (10, 20, 30), 0, ("x",)))
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
