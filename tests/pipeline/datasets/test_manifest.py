"""Manifests: a row for each output, and nothing but what is there."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from jobs.applying.stylize_images import stylize_images
from nst_core.errors import InputError, MediaError
from pipeline.datasets.manifest import Splits, read_manifest
from pipeline.pictures.records import ImageRecord, ImageRecords
from pipeline.storage.local import LocalStorage
from pipeline.work.progress import Progress
from tests.kit.image_jobs import counts, images_job, save_pictures

NAMES = ("train/a.jpg", "train/x/b.png", "val/c.webp", "test/d.png")


def _sha256(path: Path | str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _rows(folder: Path, name: str = "manifest.jsonl") -> list[dict[str, Any]]:
    return [vars(row) for row in read_manifest(LocalStorage(), str(folder / name))]


def test_each_output_has_a_row_with_its_source_and_the_hashes_of_both(tmp_path: Path) -> None:
    source, output = save_pictures(tmp_path / "in", *NAMES), tmp_path / "out"
    (source / "train" / "broken.jpg").write_bytes(b"no picture")
    stylize_images(images_job(source, output, seed=5))
    rows = _rows(output)
    assert [row["output"] for row in rows] == sorted(NAMES)
    for row in rows:
        assert row["source"] == str(source / row["output"])
        assert row["split"] == row["output"].partition("/")[0]
        assert (row["style"], row["seed"]) == ("identity", 5)
        assert row["source_sha256"] == _sha256(row["source"])
        assert row["sha256"] == _sha256(output / row["output"])
        assert row["size"] == (output / row["output"]).stat().st_size


def test_the_manifest_is_of_all_that_is_there_whichever_run_made_it(tmp_path: Path) -> None:
    source, output = save_pictures(tmp_path / "in", *NAMES), tmp_path / "out"
    stylize_images(images_job(source / "train", output))
    both = [*_rows(output)]
    assert [(row["output"], row["split"]) for row in both] == [
        ("a.jpg", "train"),  # of the folder's own name
        ("x/b.png", "train"),
    ]
    other = save_pictures(tmp_path / "other", "a2.jpg")
    assert counts(stylize_images(images_job(other, output, split="b=1"))) == (1, 1, 0, 0)
    assert [(row["output"], row["split"]) for row in _rows(output)] == [
        ("a.jpg", "train"),
        ("a2.jpg", "b"),
        ("x/b.png", "train"),
    ]
    (output / "a.jpg").unlink()
    stylize_images(images_job(other, output))
    assert [row["output"] for row in _rows(output)] == ["a2.jpg", "x/b.png"]


def test_outputs_that_a_later_run_may_not_replace_stay_in_the_manifest(tmp_path: Path) -> None:
    source, output = save_pictures(tmp_path / "in", *NAMES), tmp_path / "out"
    stylize_images(images_job(source, output))
    before = _rows(output)
    save_pictures(source, "new.png")
    assert counts(stylize_images(images_job(source, output, max_side=20))) == (5, 1, 0, 4)
    assert [row for row in _rows(output) if row["output"] != "new.png"] == before


def test_a_run_that_begins_nothing_leaves_the_manifest_of_a_copy(tmp_path: Path) -> None:
    source, output = save_pictures(tmp_path / "in", *NAMES), tmp_path / "out"
    job = images_job(source, output / "%d.tar")
    stylize_images(job)
    before = _rows(output)
    (output / "progress.jsonl").unlink()  # shards and manifest were copied
    assert counts(stylize_images(job)) == (4, 0, 0, 4)
    assert _rows(output) == before


@pytest.mark.parametrize("choice", ["jsonl", "csv"])
def test_a_manifest_that_other_programs_have_saved_is_read(tmp_path: Path, choice: str) -> None:
    source, output = save_pictures(tmp_path / "in", *NAMES), tmp_path / "out"
    stylize_images(images_job(source, output, manifest=choice))
    path = output / f"manifest.{choice}"
    expected = _rows(output, path.name)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert _rows(output, path.name) == expected


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("manifest.csv", b"\x00\xff\r\x80", "new-line character"),
        ("manifest.csv", b"output,mine\na,b\n", r"its fields are output, mine"),
        ("manifest.jsonl", b'{"mine": 1}', r"its fields are mine"),
        ("manifest.jsonl", b"[1]", r"its fields are 1"),
    ],
)
def test_what_is_no_manifest_is_refused_and_said_why(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MediaError, match=rf"no manifest of ours \({words}"):
        _rows(tmp_path, name)


def test_a_run_that_was_interrupted_ends_with_the_manifest_of_an_undisturbed_one(
    tmp_path: Path,
) -> None:
    source = save_pictures(tmp_path / "in", *(f"{number:02}.jpg" for number in range(40)))
    job = images_job(source, tmp_path / "out")

    def interrupt(progress: Progress) -> None:
        if progress.done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylize_images(job, interrupt)
    stylize_images(job)
    stylize_images(images_job(source, tmp_path / "undisturbed"))
    of_both = [(tmp_path / name / "manifest.jsonl").read_text() for name in ("out", "undisturbed")]
    assert of_both[0] == of_both[1]
    assert len(of_both[0].splitlines()) == 40


def test_outputs_recorded_without_hashes_are_read_again_and_not_made_again(tmp_path: Path) -> None:
    source, output = save_pictures(tmp_path / "in", *NAMES), tmp_path / "out"
    stylize_images(images_job(source, output))
    expected = _rows(output)
    record = output / "progress.jsonl"
    new = ("style", "seed", "split", "source_sha256", "sha256")
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    kept = ({key: value for key, value in line.items() if key not in new} for line in lines)
    record.write_text("".join(json.dumps(line) + "\n" for line in kept))
    times = {path: path.stat().st_mtime_ns for path in output.rglob("*.*g")}
    assert counts(stylize_images(images_job(source, output))) == (4, 0, 4, 0)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert _rows(output) == expected


def test_csv_and_parquet_have_the_rows_of_json_lines(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a, b.jpg", 'q"uote.png', "ü\nline.png")
    for choice in ("jsonl", "csv", "parquet"):
        output = tmp_path / "out"
        stylize_images(images_job(source, output, manifest=choice))
    rows = _rows(output)
    assert len(rows) == 3
    assert _rows(output, "manifest.csv") == _rows(output, "manifest.parquet") == rows
    with (output / "manifest.csv").open(newline="") as file:
        assert [row["output"] for row in csv.DictReader(file)] == [row["output"] for row in rows]
    assert parquet.read_table(output / "manifest.parquet").to_pylist() == rows


def test_names_that_are_no_text_come_back_from_json_lines_and_csv(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    name = "odd\udcff.png"
    (source / "a.png").rename(source / name)
    for choice in ("jsonl", "csv"):
        stylize_images(images_job(source, tmp_path / "out", manifest=choice))
        (row,) = _rows(tmp_path / "out", f"manifest.{choice}")
        assert row["output"] == name


def test_a_manifest_that_is_not_ours_is_left_and_none_is_written_unless_wanted(
    tmp_path: Path,
) -> None:
    source, output = save_pictures(tmp_path / "in", "a.png"), tmp_path / "out"
    output.mkdir()
    (output / "manifest.jsonl").write_text('{"mine": 1}\n')
    with pytest.raises(InputError, match=r"no manifest of ours.*--manifest none"):
        stylize_images(images_job(source, output))
    assert counts(stylize_images(images_job(source, output, manifest="none"))) == (1, 1, 0, 0)
    assert (output / "manifest.jsonl").read_text() == '{"mine": 1}\n'
    with pytest.raises(InputError, match=r"--manifest.*name a folder"):
        stylize_images(images_job(source / "a.png", tmp_path / "b.png", manifest="csv"))


@pytest.mark.parametrize(
    ("name", "source", "split"),
    [
        ("train2017/a.jpg", "/coco/train2017/a.jpg", "train"),
        ("a.jpg", "/imagenet/val/a.jpg", "val"),
        ("Validation/test/a.jpg", "/in/Validation/test/a.jpg", "test"),  # the nearest folder
        ("test-000012/a.jpg", "/in/test-000012.tar/a.jpg", "test"),
        ("trainer/a.jpg", "/in/trainer/a.jpg", ""),
        ("a/b.jpg", "/home/test/in/a/b.jpg", ""),  # what is above the folder named says nothing
    ],
)
def test_splits_are_what_folders_are_called(name: str, source: str, split: str) -> None:
    assert Splits({}, 0).of(name, source) == split


def test_splits_by_chance_have_their_shares_and_depend_on_name_and_seed_alone() -> None:
    parts = {"train": 0.7, "val": 0.2, "test": 0.1}
    names = [f"{number}.jpg" for number in range(5000)]
    of_seed = {seed: [Splits(parts, seed).of(name, "") for name in names] for seed in (0, 1)}
    for chosen in of_seed.values():
        found = Counter(chosen)
        for split, share in parts.items():
            assert abs(found[split] / 5000 - share) < 0.025  # four standard deviations
    alike = sum(a == b for a, b in zip(*of_seed.values(), strict=True)) / 5000
    assert abs(alike - sum(share**2 for share in parts.values())) < 0.03


@pytest.mark.parametrize("split", ["train", "train=x", "a=0", "a=-1,b=2", "a=inf"])
def test_other_words_for_splits_are_refused(tmp_path: Path, split: str) -> None:
    with pytest.raises(InputError, match="--split"):
        images_job(tmp_path, tmp_path, split=split)


@pytest.mark.parametrize("most", [3, "10%", 0])
def test_too_many_failures_end_the_run_in_order_and_the_next_one_goes_on(
    tmp_path: Path, most: int | str
) -> None:
    names = [f"{number:02}.png" for number in range(40)]
    source, output = save_pictures(tmp_path / "in", *names), tmp_path / "out"
    for name in names[5:25]:
        (source / name).write_bytes(b"no picture")
    report = stylize_images(images_job(source, output, max_failures=most))
    allowed = 4 if most == "10%" else int(most)
    assert allowed < report.failed <= allowed + 4  # as many as the last unit has
    assert report.total == report.done + report.failed + report.untried == 40
    assert report.done == 5
    assert json.loads((output / "report.json").read_text())["untried"] == report.untried
    assert len(_rows(output)) == 5
    for name in names[5:25]:
        save_pictures(source, name)
    assert counts(stylize_images(images_job(source, output, max_failures=most)))[1:] == (35, 5, 0)


@pytest.mark.parametrize("most", ["x", "-1", "101%", "5%%", "1.5"])
def test_other_words_for_failures_are_refused(tmp_path: Path, most: str) -> None:
    with pytest.raises(InputError, match="--max-failures"):
        images_job(tmp_path, tmp_path, max_failures=most)


def test_where_the_disk_holds_no_records_the_manifest_does_not_claim_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: ImageRecords, records: list[ImageRecord]) -> None:
        raise OSError(28, "No space left on device")

    source, output = save_pictures(tmp_path / "in", *NAMES), tmp_path / "out"
    monkeypatch.setattr(ImageRecords, "add", full)
    assert counts(stylize_images(images_job(source, output))) == (4, 0, 0, 4)
    assert _rows(output) == []
