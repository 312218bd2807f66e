"""Tar shards as outputs: whole or not at all, the same bytes whatever the workers and stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jobs.applying.stylize_images import stylize_images
from jobs.applying.verify import verify_output
from nst_core.checkpoints.library import Style
from nst_core.errors import InputError
from pipeline.datasets.manifest import read_manifest
from pipeline.datasets.shard_writing import ShardWriter
from pipeline.storage.local import LocalStorage
from pipeline.work.progress import Progress
from tests.kit.image_jobs import counts, images_job, save_pictures
from tests.kit.shards import make_shard, make_shards, picture, read_shard

PATTERN = "new-%04d.tar"


def _shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.tar"))}


def _interrupt_after(count: int) -> Any:
    def interrupt(progress: Progress) -> None:
        if progress.done == count:
            raise KeyboardInterrupt

    return interrupt


def test_samples_keep_their_order_their_keys_and_what_goes_along(tmp_path: Path) -> None:
    shards, output = make_shards(tmp_path / "in", shards=2, samples=5), tmp_path / "out"
    job = images_job(f"{shards}/*.tar", output / PATTERN, shard_pictures=4)
    assert counts(stylize_images(job)) == (10, 10, 0, 0)
    before = [read_shard(path) for path in sorted(shards.glob("*.tar"))]
    after = [read_shard(path) for path in sorted(output.glob("*.tar"))]
    names = [name for shard in before for name in shard]
    assert names != sorted(names)  # shuffled: the order is the source's
    assert [name for shard in after for name in shard] == names
    assert [len(shard) for shard in after] == [3 * 4, 3 * 4, 3 * 2]
    originals = {name: content for shard in before for name, content in shard.items()}
    for shard in after:
        for name, content in shard.items():
            assert (content == originals[name]) == (not name.endswith(".jpg"))
    stylize_images(images_job(f"{shards}/*.tar", tmp_path / "loose"))
    for path in (tmp_path / "loose").rglob("*.jpg"):
        assert any(shard.get(path.name) == path.read_bytes() for shard in after)


def test_each_style_of_a_sample_has_a_key_and_all_that_goes_along(
    style: Style, tmp_path: Path
) -> None:
    shard = make_shard(
        tmp_path / "s.tar",
        {"a/1.png": picture(1), "a/1.seg.png": b"mask", "a/1.json": b"{}", "2.png": picture(2)},
    )
    styles = ("identity", str(style.path))
    job = images_job(shard, tmp_path / "out" / "d-%d.tar", *styles, format="webp")
    assert counts(stylize_images(job)) == (2, 2, 0, 0)
    found = read_shard(tmp_path / "out" / "d-0.tar")
    marks = ("identity", style.name)
    of_first = [f"a/1-{mark}.{end}" for mark in marks for end in ("webp", "seg.png", "json")]
    assert sorted(found) == sorted([*of_first, *(f"2-{mark}.webp" for mark in marks)])
    for mark in marks:
        assert found[f"a/1-{mark}.seg.png"] == b"mask"


def test_a_folder_becomes_shards_bounded_by_number_and_by_megabytes(tmp_path: Path) -> None:
    names = [f"{folder}/{n}.png" for folder in "ab" for n in range(6)]
    source = save_pictures(tmp_path / "in", *names)
    stylize_images(images_job(source, tmp_path / "out" / PATTERN, shard_pictures=5))
    found = {path.name: list(read_shard(path)) for path in (tmp_path / "out").glob("*.tar")}
    assert found == {f"new-{n:04}.tar": names[5 * n : 5 * n + 5] for n in range(3)}

    for number, name in enumerate(names):
        content = (source / name).read_bytes()
        (source / name).write_bytes(content + bytes(400_000 + number))  # read as it was
    job = images_job(source, tmp_path / "bytes" / PATTERN, shard_megabytes=1)
    assert counts(stylize_images(job)) == (12, 12, 0, 0)
    assert [len(read_shard(path)) for path in sorted((tmp_path / "bytes").glob("*.tar"))] == [2] * 6


def test_the_manifest_and_the_records_tell_of_members(tmp_path: Path) -> None:
    shards, output = make_shards(tmp_path / "in"), tmp_path / "out"
    stylize_images(images_job(f"{shards}/*.tar", output / "train-%d.tar"))
    rows = list(read_manifest(LocalStorage(), str(output / "manifest.jsonl")))
    assert len(rows) == 10
    for row in rows:
        shard, _, member = row.output.partition("/")
        assert len(read_shard(output / shard)[member]) == row.size
        assert row.source == f"{shards}/data-{int(member[:4]) // 5:06}.tar/{member}"
    val = make_shard(tmp_path / "v.tar", {"x.png": picture(77)})
    stylize_images(images_job(val, output / "val-%d.tar"))
    both = list(read_manifest(LocalStorage(), str(output / "manifest.jsonl")))
    assert [*rows, both[-1]] == both
    assert both[-1].output == "val-0.tar/x.png"


def test_a_run_goes_on_with_the_shards_that_lack(tmp_path: Path) -> None:
    shards, output = make_shards(tmp_path / "in", shards=3, samples=20), tmp_path / "out"
    job = images_job(f"{shards}/*.tar", output / PATTERN, shard_pictures=10)
    with pytest.raises(KeyboardInterrupt):
        stylize_images(job, _interrupt_after(37))
    finished = _shards(output)
    assert sorted(finished) == ["new-0000.tar", "new-0001.tar", "new-0002.tar"]
    assert {path.name for path in output.iterdir()} == {*finished, "progress.jsonl"}
    report = stylize_images(job)
    assert counts(report) == (60, 30, 30, 0)
    assert counts(stylize_images(job)) == (60, 0, 60, 0)
    stylize_images(
        images_job(f"{shards}/*.tar", tmp_path / "undisturbed" / PATTERN, shard_pictures=10)
    )
    assert _shards(output) == _shards(tmp_path / "undisturbed")
    manifests = [
        (folder / "manifest.jsonl").read_bytes() for folder in (output, tmp_path / "undisturbed")
    ]
    assert manifests[0] == manifests[1]


def test_killed_while_a_shard_is_written_it_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards, output = make_shards(tmp_path / "in"), tmp_path / "out"
    job = images_job(f"{shards}/*.tar", output / PATTERN, shard_pictures=5)
    write, calls = ShardWriter.write, []

    def killed(self: ShardWriter, shard: Any) -> Any:
        calls.append(shard.name)
        if len(calls) == 2:
            with monkeypatch.context() as patch:
                patch.setattr(self._records, "add", lambda _: (_ for _ in ()).throw(SystemExit))
                return write(self, shard)  # the shard is there, and not recorded
        return write(self, shard)

    with monkeypatch.context() as patch:
        patch.setattr(ShardWriter, "write", killed)
        with pytest.raises(SystemExit):
            stylize_images(job)
    before = _shards(output)
    assert len(before) == 2
    assert counts(stylize_images(job)) == (10, 5, 5, 0)
    assert _shards(output) == before


def test_what_fails_is_left_out_with_its_sample_and_does_not_undo_the_shard(
    tmp_path: Path,
) -> None:
    members = {"1.png": picture(1), "1.cls": b"1", "2.png": b"no picture", "2.cls": b"2"}
    source = make_shard(tmp_path / "s.tar", members | {"3.png": picture(3), "3.cls": b"3"})
    job = images_job(source, tmp_path / "out" / PATTERN)
    first = stylize_images(job)
    assert counts(first) == (3, 2, 0, 1)
    assert list(read_shard(tmp_path / "out" / "new-0000.tar")) == [
        "1.png",
        "1.cls",
        "3.png",
        "3.cls",
    ]
    again = stylize_images(job)
    assert counts(again) == (3, 0, 2, 1)
    assert again.failures == first.failures
    make_shard(source, members | {"2.png": picture(2), "3.png": picture(3)})
    redone = stylize_images(job)
    assert counts(redone) == (3, 0, 0, 3)
    assert "was made otherwise; --overwrite" in redone.failures[0]["error"]
    job = images_job(source, tmp_path / "out" / PATTERN, overwrite=True)
    assert counts(stylize_images(job)) == (3, 3, 0, 0)


def test_only_the_shard_whose_source_has_changed_is_made_again(tmp_path: Path) -> None:
    names = [f"{n}.png" for n in range(6)]
    source, output = save_pictures(tmp_path / "in", *names), tmp_path / "out"
    job = images_job(source, output / PATTERN, shard_pictures=2, overwrite=True)
    stylize_images(job)
    before = _shards(output)
    (source / "2.png").write_bytes(picture(50))
    assert counts(stylize_images(job)) == (6, 2, 4, 0)
    after = _shards(output)
    assert [name for name in after if after[name] != before[name]] == ["new-0001.tar"]


def test_too_many_failures_leave_whole_shards_and_count_the_rest_as_untried(
    tmp_path: Path,
) -> None:
    source = save_pictures(tmp_path / "in", *(f"{n:02}.png" for n in range(30)))
    for n in range(13, 30):
        (source / f"{n:02}.png").write_bytes(b"no picture")
    job = images_job(source, tmp_path / "out" / PATTERN, shard_pictures=10, max_failures=2)
    report = stylize_images(job)
    assert (report.done, report.untried) == (10, 30 - 10 - report.failed)
    assert list(_shards(tmp_path / "out")) == ["new-0000.tar"]


def test_a_shard_that_cannot_be_written_fails_its_pictures_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards, output = make_shards(tmp_path / "in"), tmp_path / "out"
    job = images_job(f"{shards}/*.tar", output / PATTERN, shard_pictures=5)
    write = ShardWriter._write

    def full(self: ShardWriter, path: Path, shard: Any) -> None:
        if shard.name == "new-0000.tar":
            raise OSError(28, "No space left on device")
        write(self, path, shard)

    with monkeypatch.context() as patch:
        patch.setattr(ShardWriter, "_write", full)
        report = stylize_images(job)
    assert counts(report) == (10, 5, 0, 5)
    assert "No space left" in report.failures[0]["error"]
    assert list(_shards(output)) == ["new-0001.tar"]
    assert counts(stylize_images(job)) == (10, 5, 5, 0)


def test_inputs_are_never_replaced_and_names_need_a_number(tmp_path: Path) -> None:
    shards = make_shards(tmp_path / "in")
    before = _shards(shards)
    for source in (f"{shards}/*.tar", shards / "data-000001.tar"):
        with pytest.raises(InputError, match="would replace an input"):
            stylize_images(
                images_job(source, shards / "data-%06d.tar", overwrite=True, shard_pictures=1)
            )
    assert _shards(shards) == before
    for name in ("out.tar", "a-%d-%d.tar", "%s.tar"):
        with pytest.raises(InputError, match="needs a place for its number"):
            stylize_images(images_job(shards / "data-000000.tar", tmp_path / name))
    with pytest.raises(InputError, match="--sheet"):
        stylize_images(images_job(f"{shards}/*.tar", tmp_path / "o" / PATTERN, sheet=True))


def test_two_samples_of_one_key_in_a_shard_are_refused_and_told(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_shard(tmp_path / f"{name}.tar", {"1.png": picture(1)})
    with pytest.raises(InputError, match=r"would both become new-0000.tar/1\.png"):
        stylize_images(images_job(f"{tmp_path}/*.tar", tmp_path / "o" / PATTERN))
    job = images_job(f"{tmp_path}/*.tar", tmp_path / "o" / PATTERN, shard_pictures=1)
    assert counts(stylize_images(job)) == (2, 2, 0, 0)


def test_a_shard_made_anew_tells_of_its_own_members_alone(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", *(f"{n}.png" for n in range(6)))
    output = tmp_path / "out"
    job = images_job(source, output / PATTERN, shard_pictures=4, overwrite=True)
    stylize_images(job)
    (source / "1.png").unlink()
    for _ in range(2):  # what this run has made, and what the next one knows of it
        stylize_images(job)
        rows = list(read_manifest(LocalStorage(), str(output / "manifest.jsonl")))
        assert [row.output for row in rows] == [
            *(f"new-0000.tar/{n}.png" for n in (0, 2, 3, 4)),
            "new-0001.tar/5.png",
        ]
        assert verify_output(str(output)).verified


def test_shards_that_a_run_of_larger_ones_leaves_over_are_told(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", *(f"{n}.png" for n in range(6)))
    output = tmp_path / "out"
    stylize_images(images_job(source, output / PATTERN, shard_pictures=2))
    report = stylize_images(images_job(source, output / PATTERN, shard_pictures=5, overwrite=True))
    (left,) = report.warnings
    assert left["path"] == str(output / "new-0002.tar")
    assert "of an earlier run" in left["warning"]
    (output / "new-0002.tar").unlink()
    job = images_job(source, output / PATTERN, shard_pictures=5, overwrite=True)
    assert stylize_images(job).warnings == []


def test_names_with_dots_are_samples_of_their_own(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "IMG.1.a.png", "IMG.2.png", "x.y/IMG.2.png")
    assert counts(stylize_images(images_job(source, tmp_path / "out" / PATTERN))) == (3, 3, 0, 0)
    assert list(read_shard(tmp_path / "out" / "new-0000.tar")) == [
        *("IMG_1_a.png", "IMG_2.png", "x.y/IMG_2.png")
    ]


@pytest.mark.slow
def test_shards_of_two_workers_killed_and_resumed_are_those_of_one(tmp_path: Path) -> None:
    shards = make_shards(tmp_path / "in", shards=4, samples=60)
    here = images_job(f"{shards}/*.tar", tmp_path / "here" / PATTERN, shard_pictures=25)
    stylize_images(here)
    output = tmp_path / "out"
    command = [
        *(sys.executable, "-m", "jobs.cli", "stylize", "images", f"{shards}/*.tar"),
        *("-o", str(output / PATTERN), "--style", "identity", "--shard-pictures", "25"),
        *("--workers", "2", "--json"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while len(_shards(output) if output.exists() else ()) < 2:
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    left = _shards(output)
    assert 2 <= len(left) < 10
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["workers"] == 2
    assert report["reused"] >= 25 * (len(left) - 1)
    assert _shards(output) == _shards(tmp_path / "here")
