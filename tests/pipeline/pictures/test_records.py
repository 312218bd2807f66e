"""The record of an output folder: what earlier runs have done, here and behind a URI."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from nst_core.errors import InputError, MediaError
from pipeline.pictures.records import FILE_NAME, ImageRecord, ImageRecords
from pipeline.storage.files import Storage
from pipeline.storage.local import LocalStorage
from pipeline.storage.open import storage_for
from pipeline.storage.remote import RemoteStorage

RECORD = ImageRecord("x/a.jpg", "/in/a.jpg", "version", "identity", "digest", 5, "done")
BUCKET = "memory://bucket/out"


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "disk" else BUCKET


@pytest.fixture(autouse=True)
def _empty_memory() -> Iterator[None]:
    yield
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def _records(folder: str) -> ImageRecords:
    return ImageRecords(storage_for(folder), folder)


def _known(folder: str) -> list[ImageRecord]:
    records = _records(folder)
    known = list(records.known())
    records.close()
    return known


def _parts(storage: Storage) -> list[str]:
    return sorted(found.name for found in storage.walk(f"{BUCKET}/progress"))


def _number(number: int) -> ImageRecord:
    return replace(RECORD, output=f"{number}.jpg", size=number)


def _runs(count: int) -> list[ImageRecord]:
    """As many runs, each of which writes a part of one record behind a URI."""
    for number in range(count):
        records = _records(BUCKET)
        records.add([_number(number)])
        records.close()
    return [_number(number) for number in range(count)]


def test_records_are_known_to_the_next_run_in_their_order(folder: str) -> None:
    name = os.fsdecode(b"caf\xe9 \xc3\xbc\n.jpg")
    runs = [
        [replace(RECORD, status="begun", digest="", size=0), replace(RECORD, output=name)],
        [RECORD, replace(RECORD, status="failed", error="a.jpg: no picture")],
    ]
    for run in runs:
        records = _records(folder)
        records.begin(run[:1])
        records.add(run[1:])
        records.close()
    assert _known(folder) == runs[0] + runs[1]


def test_what_identities_stand_for_is_kept_once_and_known_to_the_next_run(folder: str) -> None:
    first, second = {"--strength": 0.5}, {"--strength": 1.0}
    runs: list[dict[str, dict[str, float]]] = [
        {"one": first},
        {"one": first},
        {"one": {"changed": 0}, "two": second},
    ]
    for new in runs:
        run = _records(folder)
        known = list(run.known())
        run.explain(new)
        run.add([RECORD])
        run.close()
    assert known == [RECORD] * 2
    last = _records(folder)
    assert list(last.known()) == [RECORD] * 3
    last.close()
    assert last.made_with == {"one": first, "two": second}


def test_a_folder_without_records_knows_nothing(folder: str) -> None:
    assert _known(folder) == []


def test_what_is_begun_is_written_before_the_work_begins(folder: str) -> None:
    records = _records(folder)
    records.begin([RECORD])
    if folder == BUCKET:
        assert _known(folder) == [RECORD]
    else:  # another run may not look: it is locked
        assert len(Path(folder, FILE_NAME).read_text().splitlines()) == 1
    records.close()


def test_what_ended_is_on_the_disk_at_once(tmp_path: Path) -> None:
    records = _records(str(tmp_path))
    for number in range(3):
        records.add([_number(number)])
        assert len((tmp_path / FILE_NAME).read_text().splitlines()) == number + 1
    records.close()


def test_a_line_cut_short_by_a_kill_costs_that_record_alone(tmp_path: Path) -> None:
    for records in ([_number(0), _number(1)], [_number(2)]):
        run = _records(str(tmp_path))
        run.add(records)
        run.close()
        content = (tmp_path / FILE_NAME).read_bytes()
        (tmp_path / FILE_NAME).write_bytes(content[:-9])
    run = _records(str(tmp_path))
    run.add([_number(3)])
    run.close()
    assert _known(str(tmp_path)) == [_number(0), _number(3)]


@pytest.mark.parametrize(
    "line",
    [
        *(b"\xff\xfe\n", b"[]\n", b'{"output": 1}\n', b'{"other": "field"}\n', b"\n", b"null\n"),
        b'{"made_with": {}}\n',
    ],
)
def test_lines_of_others_are_passed_over(tmp_path: Path, line: bytes) -> None:
    run = _records(str(tmp_path))
    run.add([_number(0)])
    run.close()
    with (tmp_path / FILE_NAME).open("ab") as file:
        file.write(line)
    run = _records(str(tmp_path))
    run.add([_number(1)])
    run.close()
    assert _known(str(tmp_path)) == [_number(0), _number(1)]


def test_a_second_run_in_the_same_folder_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    first = _records(str(tmp_path))
    with pytest.raises(InputError, match="another run is writing into this folder; wait"):
        _records(str(tmp_path))
    first.close()
    _records(str(tmp_path)).close()


def test_behind_a_uri_records_gather_for_seconds_and_then_become_a_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    storage, records = storage_for(BUCKET), _records(BUCKET)
    records.add([_number(0)])
    records.add([_number(1)])
    assert _parts(storage) == []
    now += 6
    records.add([_number(2)])
    assert _parts(storage) == ["00000.jsonl"]
    assert storage.read(f"{BUCKET}/progress/00000.jsonl").count(b"\n") == 3
    records.add([_number(3)])
    records.begin([])  # nothing begins: no reason for a part
    assert _parts(storage) == ["00000.jsonl"]
    records.begin([_number(4)])
    assert _parts(storage) == ["00000.jsonl", "00001.jsonl"]
    records.close()
    assert _known(BUCKET) == [_number(number) for number in range(5)]


def test_more_than_a_hundred_parts_are_gathered_and_numbers_go_on() -> None:
    storage = storage_for(BUCKET)
    expected = _runs(101)
    assert len(_parts(storage)) == 101
    assert _known(BUCKET) == expected
    assert _parts(storage) == ["00000.jsonl"]
    records = _records(BUCKET)
    records.add([_number(101)])
    records.close()
    assert _known(BUCKET) == [*expected, _number(101)]


def test_parts_are_gathered_in_pieces_that_fit_into_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = _runs(101)
    storage = storage_for(BUCKET)
    line = storage.size(f"{BUCKET}/progress/00050.jsonl")
    assert line
    monkeypatch.setattr("pipeline.pictures.records._LARGEST_MERGED", 60 * line)
    assert _known(BUCKET) == expected
    assert len(_parts(storage)) == 2


@pytest.mark.parametrize("removed", [0, 1, 50])
def test_a_kill_while_parts_are_gathered_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, removed: int
) -> None:
    expected = _runs(101)
    left = iter(range(removed))
    remove = RemoteStorage.remove

    def remove_some(self: RemoteStorage, path: str) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        remove(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(RemoteStorage, "remove", remove_some)
        with pytest.raises(KeyboardInterrupt):
            _records(BUCKET)
    last = {record.output: record for record in _known(BUCKET)}
    assert list(last.values()) == expected


def test_pictures_of_a_folder_called_like_that_of_the_parts_are_left_alone() -> None:
    storage = storage_for(BUCKET)
    pictures = ("00000.jpg", "12345.png", "deep/00000.jsonl", "x.jsonl")
    for name in pictures:
        storage.write(f"{BUCKET}/progress/{name}", b"a picture")
    expected = _runs(101)
    assert _known(BUCKET) == expected
    assert _parts(storage) == ["00000.jpg", "00000.jsonl", *pictures[1:]]


def test_parts_are_read_by_number_when_five_digits_do_not_do() -> None:
    storage = storage_for(BUCKET)
    for number, status in (("99999", "begun"), ("100000", "done")):
        run = _records(BUCKET)
        run.add([replace(RECORD, status=status)])
        run.close()
        (part,) = [name for name in _parts(storage) if name not in ("99999.jsonl",)]
        content = storage.read(f"{BUCKET}/progress/{part}")
        storage.remove(f"{BUCKET}/progress/{part}")
        storage.write(f"{BUCKET}/progress/{number}.jsonl", content)
    assert [record.status for record in _known(BUCKET)] == ["begun", "done"]
    run = _records(BUCKET)
    run.add([RECORD])
    run.close()
    assert "100001.jsonl" in _parts(storage)


def test_records_that_could_not_be_written_are_written_with_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    records = _records(BUCKET)
    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "pipe_file", _no_answer)
        with pytest.raises(MediaError, match=r"00000\.jsonl: cannot be written \(no answer\)"):
            records.begin([_number(0)])
    records.add([_number(1)])
    records.close()
    assert _known(BUCKET) == [_number(0), _number(1)]


def _no_answer(*_: object, **__: object) -> None:
    raise OSError("no answer")


def test_a_folder_that_is_not_there_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ImageRecords(LocalStorage(), str(tmp_path / "none"))
