"""The proof of datasets: what is missing, changed or added is found, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.applying.stylize_images import stylize_images
from jobs.applying.verify import verify_output
from nst_core.errors import InputError
from pipeline.work.progress import OnProgress, Progress
from tests.kit.command_line import nst
from tests.kit.image_jobs import images_job, save_pictures
from tests.kit.shards import make_shard, make_shards, picture

NAMES = ("a.png", "x/b.png", "x/y/c.png", "d.png")


def _dataset(tmp_path: Path, **options: object) -> tuple[Path, Path]:
    source, output = save_pictures(tmp_path / "in", *NAMES), tmp_path / "out"
    stylize_images(images_job(source, output, sheet=True, **options))
    return source, output


def _found(output: Path, source: Path | None = None) -> dict[str, list[str]]:
    """Names of the files that are told, by what is wrong with them."""
    report = verify_output(str(output), str(source) if source else None)
    found: dict[str, list[str]] = {}
    for each in report.findings:
        found.setdefault(each["kind"], []).append(each["path"])
    assert report.verified == (not found)
    assert report.counts == {kind: len(paths) for kind, paths in found.items()}
    return found


@pytest.mark.parametrize("choice", ["jsonl", "csv", "parquet", "none"])
def test_what_is_as_it_was_made_is_proved_by_any_manifest_or_the_records(
    tmp_path: Path, choice: str
) -> None:
    _, output = _dataset(tmp_path, manifest=choice)
    report = verify_output(str(output))
    assert (report.verified, report.pictures, report.sources, report.notes) == (True, 4, 4, [])


@pytest.mark.parametrize("choice", ["jsonl", "none"])
def test_missing_changed_and_added_files_are_told_apart(tmp_path: Path, choice: str) -> None:
    source, output = _dataset(tmp_path, manifest=choice)
    (output / "a.png").unlink()
    content = bytearray((output / "x" / "b.png").read_bytes())
    content[-20] ^= 1  # of the same size
    (output / "x" / "b.png").write_bytes(content)
    (output / "x" / "new.jpg").write_bytes(b"")
    (source / "d.png").write_bytes(picture(9))
    assert _found(output) == {
        "missing": [str(output / "a.png")],
        "changed": [str(output / "x/b.png")],
        "source changed": [str(source / "d.png")],
        "added": [str(output / "x/new.jpg")],
    }


def test_on_another_machine_the_sources_are_named_or_only_outputs_compared(tmp_path: Path) -> None:
    source, output = _dataset(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(source, elsewhere / "originals")
    shutil.copytree(output, elsewhere / "results")
    (elsewhere / "results" / "progress.jsonl").unlink()  # the manifest is enough
    shutil.rmtree(source)
    shutil.rmtree(output)
    report = verify_output(str(elsewhere / "results"))
    assert (report.verified, report.pictures, report.sources) == (True, 4, 0)
    assert report.notes == ["4 sources not at hand and not compared; --source names their folder"]
    report = verify_output(str(elsewhere / "results"), str(elsewhere / "originals"))
    assert (report.verified, report.pictures, report.sources) == (True, 4, 4)
    (elsewhere / "originals" / "x" / "b.png").unlink()
    (elsewhere / "originals" / "x" / "y" / "c.png").write_bytes(picture(5))
    assert _found(elsewhere / "results", elsewhere / "originals") == {
        "source missing": [str(elsewhere / "originals" / "x/b.png")],
        "source changed": [str(elsewhere / "originals" / "x/y/c.png")],
    }


def test_shards_are_proved_with_what_goes_along_and_their_sources(tmp_path: Path) -> None:
    shards, output = make_shards(tmp_path / "in"), tmp_path / "out"
    stylize_images(images_job(f"{shards}/*.tar", output / "d-%d.tar", shard_pictures=5))
    report = verify_output(str(output))
    assert (report.verified, report.pictures, report.sources) == (True, 10, 10)
    first = (output / "d-0.tar").read_bytes()
    place = first.index(b'{"number": 0}')
    (output / "d-0.tar").write_bytes(first[:place] + b'{"number": 9}' + first[place + 13 :])
    shutil.copy(output / "d-1.tar", output / "d-2.tar")
    assert _found(output) == {
        "changed": [str(output / "d-0.tar")],
        "added": [str(output / "d-2.tar")],
    }
    (output / "d-2.tar").unlink()
    (output / "d-0.tar").write_bytes(first)
    (output / "d-1.tar").unlink()
    assert _found(output)["missing"] == [
        *(str(output / "d-1.tar" / f"{number:04}.jpg") for number in range(5, 10)),
        str(output / "d-1.tar"),
    ]


def _stop_after(pictures: int) -> OnProgress:
    def stop(progress: Progress) -> None:
        if progress.done == pictures:
            raise KeyboardInterrupt

    return stop


def test_outputs_of_a_later_run_that_was_stopped_are_proved_by_what_it_recorded(
    tmp_path: Path,
) -> None:
    source, output = _dataset(tmp_path)
    before = (output / "manifest.jsonl").read_bytes()
    save_pictures(source, "0.png")
    again = images_job(source, output, overwrite=True, max_side=20)
    with pytest.raises(KeyboardInterrupt):
        stylize_images(again, _stop_after(3))
    assert (output / "manifest.jsonl").read_bytes() == before
    report = verify_output(str(output))  # 0.png is new, a.png and d.png are others
    assert (report.verified, report.pictures) == (True, 5)
    (note,) = report.notes
    assert note.startswith("3 outputs made after ")
    record = output / "progress.jsonl"
    *lines, _ = record.read_bytes().splitlines(keepends=True)
    record.write_bytes(b"".join(lines))  # as if it had been killed before
    (output / "0.png").write_bytes(b"")
    assert _found(output) == {
        "changed": [str(output / "0.png")],
        "unfinished": [str(output / "d.png")],
    }
    stylize_images(again)
    assert _found(output) == {}


def test_shards_of_a_later_run_that_was_stopped_are_proved_by_what_it_recorded(
    tmp_path: Path,
) -> None:
    shards, output = make_shards(tmp_path / "in"), tmp_path / "out"
    job = images_job(f"{shards}/*.tar", output / "d-%d.tar", shard_pictures=5)
    stylize_images(job)
    again = replace(job, overwrite=True, max_side=20)
    with pytest.raises(KeyboardInterrupt):
        stylize_images(again, _stop_after(6))  # the first shard is there
    report = verify_output(str(output))
    assert (report.verified, report.pictures) == (True, 10)
    assert report.notes[0].startswith("5 outputs made after ")
    record = output / "progress.jsonl"
    lines = record.read_bytes().splitlines(keepends=True)
    record.write_bytes(b"".join(lines[:-6]))  # those of a shard and its members
    assert {*_found(output)} == {"unfinished"}


def test_shards_that_a_stopped_run_makes_smaller_lack_nothing(tmp_path: Path) -> None:
    shards, output = make_shards(tmp_path / "in"), tmp_path / "out"
    job = images_job(f"{shards}/*.tar", output / "d-%d.tar", shard_pictures=5)
    stylize_images(job)
    with pytest.raises(KeyboardInterrupt):
        stylize_images(replace(job, overwrite=True, shard_pictures=3), _stop_after(4))
    assert {*_found(output)} <= {"unfinished"}


def test_a_folder_that_cannot_be_written_is_proved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, output = _dataset(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root's own would say yes
    assert verify_output(str(output)).verified


def test_a_file_that_is_there_and_cannot_be_read_is_told_from_one_that_is_not(
    tmp_path: Path,
) -> None:
    _, output = _dataset(tmp_path)
    for name in ("a.png", "d.png"):
        (output / name).unlink()
    os.mkfifo(output / "d.png")
    told = [each["finding"] for each in verify_output(str(output)).findings]
    assert told == [f"{output}/a.png: not there", f"{output}/d.png: cannot be read"]


def test_of_two_members_of_one_name_that_is_compared_which_was_read(tmp_path: Path) -> None:
    twice = make_shard(tmp_path / "a.tar", [("a.png", picture(1)), ("a.png", picture(2))])
    stylize_images(images_job(twice, tmp_path / "out"))
    assert verify_output(str(tmp_path / "out")).verified


def test_shards_may_have_their_ending_in_capitals(tmp_path: Path) -> None:
    shard, output = make_shard(tmp_path / "A.TAR", {"a.png": picture(1)}), tmp_path / "out"
    stylize_images(images_job(shard, output / "%d.TAR"))
    report = verify_output(str(output))
    assert (report.verified, report.pictures, report.sources) == (True, 1, 1)
    (output / "0.TAR").unlink()
    assert {*_found(output)} == {"missing"}


def test_a_folder_may_be_called_as_a_shard_is(tmp_path: Path) -> None:
    source, output = save_pictures(tmp_path / "in", "x.tar/a.png", "b.png"), tmp_path / "out"
    stylize_images(images_job(source, output))
    assert verify_output(str(output)).verified
    save_pictures(tmp_path / "in", "x.tar/0.png")
    with pytest.raises(KeyboardInterrupt):
        stylize_images(images_job(source, output), _stop_after(3))
    assert verify_output(str(output)).verified


def test_the_users_own_pictures_beside_outputs_are_none_of_them(tmp_path: Path) -> None:
    mine = save_pictures(tmp_path / "mine", "m.png")
    source = save_pictures(tmp_path / "in", "a.png")
    stylize_images(images_job(source, mine))
    assert verify_output(str(mine)).verified
    (mine / "a.png").write_bytes(b"")
    assert not verify_output(str(mine)).verified


def test_what_nothing_is_recorded_of_is_refused(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    for each in (source, source / "a.png", tmp_path / "nothing"):
        with pytest.raises(InputError, match="nothing is recorded of it"):
            verify_output(str(each))


def test_the_command_says_in_lines_and_in_json_and_by_its_code_what_it_found(
    tmp_path: Path,
) -> None:
    _, output = _dataset(tmp_path)
    good = nst("verify", str(output))
    assert (good.code, good.error) == (0, "comparing pictures\n")
    assert good.out.startswith(f"{output}: 4 pictures, 4 sources compared, as made, ")
    (output / "a.png").unlink()
    bad = nst("verify", str(output))
    assert bad.code == 1
    assert bad.error.splitlines()[-1] == f"error: missing: {output}/a.png: not there"
    assert "1 missing" in bad.out
    told = nst("verify", str(output), "--json")
    assert told.code == 1
    report = json.loads(told.out)
    assert (report["verified"], report["counts"]) == (False, {"missing": 1})
    assert nst("verify", str(tmp_path)).code == 2
