"""Folders of pictures in buckets: a real S3 interface, served on this machine."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.applying.stylize_images import stylize_images
from nst_core.checkpoints.library import Style
from pipeline.pictures.inputs.sources import find_images
from pipeline.storage.open import storage_for
from pipeline.work.progress import Progress
from tests.kit.buckets import put_picture
from tests.kit.image_jobs import contents, counts, images_job, save_pictures
from tests.kit.media import moving_picture

s3fs = pytest.importorskip("s3fs")
moto_models = pytest.importorskip("moto.s3.models")

BROKEN = "x/broken.jpg"
PICTURES = ("a.jpg", "b c.png", "x/ü.webp", "x/y/d.tif", "x/e.bmp", "f.png")


def _fill(folder: Path) -> Path:
    save_pictures(folder, *PICTURES)
    (folder / BROKEN).write_bytes(b"no picture")
    return folder


def _upload(service: Any, bucket: str, folder: Path, prefix: str) -> str:
    """Put the folder's files into the bucket; returns their folder's URI."""
    for path in folder.rglob("*"):
        if path.is_file():
            key = f"{prefix}/{path.relative_to(folder)}"
            service.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    return f"s3://{bucket}/{prefix}"


def _keys(service: Any, bucket: str, prefix: str) -> dict[str, bytes]:
    """What lies below the prefix but records and reports, as ``contents`` tells of a folder."""
    pages = service.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
    return {
        key[len(prefix) + 1 :]: service.get_object(Bucket=bucket, Key=key)["Body"].read()
        for key in sorted(keys)
        if not key.endswith((".json", ".jsonl"))
    }


def _writes(service: Any, bucket: str, prefix: str) -> Counter[str]:
    """How often each picture below the prefix has been written."""
    pages = service.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    keys = [each["Key"] for page in pages for each in page.get("Versions", ())]
    return Counter(key[len(prefix) + 1 :] for key in keys if not key.endswith((".json", ".jsonl")))


def _recorded(service: Any, bucket: str, prefix: str) -> set[str]:
    """Names of the outputs that the record below the prefix calls done."""
    found = service.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/progress/")
    bodies = (
        service.get_object(Bucket=bucket, Key=part["Key"])["Body"].read()
        for part in found.get("Contents", ())
    )
    records = [json.loads(line) for body in bodies for line in body.splitlines()]
    return {record["output"] for record in records if record["status"] == "done"}


def _command(*arguments: str, workers: int) -> list[str]:
    command = [sys.executable, "-m", "jobs.cli", "stylize", "images", *arguments, "--json"]
    return [*command, "--workers", str(workers)]


def _interrupt_after(count: int) -> Any:
    def interrupt(progress: Progress) -> None:
        if progress.done == count:
            raise KeyboardInterrupt

    return interrupt


def _undisturbed(source: Path, output: Path) -> dict[str, bytes]:
    """What an undisturbed run gives on a disk."""
    stylize_images(images_job(source, output))
    return contents(output)


def test_a_bucket_gives_what_a_folder_gives_also_with_two_workers(
    service: Any, bucket: str, style: Style, tmp_path: Path
) -> None:
    folder = _fill(tmp_path / "in")
    source = _upload(service, bucket, folder, "in")
    here = stylize_images(images_job(folder, tmp_path / "out", str(style.path), sheet=True))
    expected = contents(tmp_path / "out")
    assert set(expected) == {*PICTURES, "sheet.jpg"}
    output = f"s3://{bucket}/out"
    there = stylize_images(images_job(source, output, str(style.path), sheet=True))
    assert counts(there) == counts(here) == (7, 6, 0, 1)
    assert there.failures[0]["path"] == f"{source}/{BROKEN}"
    assert _keys(service, bucket, "out") == expected
    stored = json.loads(service.get_object(Bucket=bucket, Key="out/report.json")["Body"].read())
    assert (stored["done"], stored["failed"]) == (6, 1)

    arguments = (source, "-o", f"s3://{bucket}/two", "--style", str(style.path), "--sheet")
    run = subprocess.run(_command(*arguments, workers=2), capture_output=True, text=True)
    assert run.returncode == 1, run.stderr
    report = json.loads(run.stdout)
    assert [report[name] for name in ("total", "done", "reused", "failed")] == [7, 6, 0, 1]
    assert report["workers"] == 2
    assert report["engine"] == here.engine
    assert _keys(service, bucket, "two") == expected
    again = stylize_images(images_job(source, f"s3://{bucket}/two", str(style.path)))
    assert counts(again) == (7, 0, 6, 1)


@pytest.mark.slow
def test_after_an_interruption_and_a_kill_nothing_recorded_is_done_twice(
    service: Any, bucket: str, tmp_path: Path
) -> None:
    names = [f"{number:03}.png" for number in range(120)]
    source = _upload(service, bucket, save_pictures(tmp_path / "in", *names), "in")
    output = f"s3://{bucket}/out"
    with pytest.raises(KeyboardInterrupt):
        stylize_images(images_job(source, output), _interrupt_after(40))
    interrupted = _recorded(service, bucket, "out")
    assert 40 <= len(interrupted) < 60  # a unit is recorded at once
    before = sum(_writes(service, bucket, "out").values())

    process = subprocess.Popen(
        _command(source, "-o", output, "--style", "identity", workers=0),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while sum(_writes(service, bucket, "out").values()) < before + 20:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    process.communicate()
    killed = _recorded(service, bucket, "out")
    assert killed >= interrupted
    made = {key for key in _keys(service, bucket, "out") if key.endswith(".png")}
    assert killed <= made  # what was written last may not be recorded, and is kept all the same
    assert len(made) < 120

    report = stylize_images(images_job(source, output))
    assert counts(report) == (120, 120 - len(made), len(made), 0)
    writes = _writes(service, bucket, "out")
    assert {writes[name] for name in killed} == {1}
    assert set(writes) == set(names)
    assert max(writes.values()) <= 3  # before each of the two stops, and at last
    assert counts(stylize_images(images_job(source, output))) == (120, 0, 120, 0)
    assert _writes(service, bucket, "out") == writes
    assert _keys(service, bucket, "out") == _undisturbed(tmp_path / "in", tmp_path / "here")


def test_a_changed_object_is_done_again_and_an_equal_one_is_not(
    service: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {name: put_picture(service, bucket, f"in/{name}.png", n) for n, name in enumerate("abc")}
    job = images_job(f"s3://{bucket}/in", f"s3://{bucket}/out")
    assert counts(stylize_images(job)) == (3, 3, 0, 0)
    service.put_object(Bucket=bucket, Key="in/a.png", Body=kept["a"])  # touched
    _put_in_parts(service, bucket, "in/b.png", kept["b"])  # the same bytes under another ETag
    assert counts(stylize_images(job)) == (3, 0, 3, 0)
    assert set(_writes(service, bucket, "out").values()) == {1}
    with monkeypatch.context() as patch:
        patch.setattr(s3fs.S3FileSystem, "cat_file", None)  # nothing is read: all is recorded
        assert counts(stylize_images(job)) == (3, 0, 3, 0)
    put_picture(service, bucket, "in/c.png", 7)
    assert counts(stylize_images(job)) == (3, 1, 2, 0)
    service.put_object(Bucket=bucket, Key="out/a.png", Body=b"edited")
    service.delete_object(Bucket=bucket, Key="out/b.png")
    report = stylize_images(job)
    assert counts(report) == (3, 1, 1, 1)
    assert report.failures[0]["path"] == f"s3://{bucket}/in/a.png"
    assert f"s3://{bucket}/out/a.png exists and was changed since" in report.failures[0]["error"]


def _put_in_parts(service: Any, bucket: str, key: str, content: bytes) -> None:
    where = {"Bucket": bucket, "Key": key}
    upload = service.create_multipart_upload(**where)["UploadId"]
    part = service.upload_part(**where, UploadId=upload, PartNumber=1, Body=content)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    before = service.head_object(**where)["ETag"]
    service.complete_multipart_upload(**where, UploadId=upload, MultipartUpload=parts)
    assert service.head_object(**where)["ETag"] != before


def test_sources_and_outputs_lie_on_either_side(service: Any, bucket: str, tmp_path: Path) -> None:
    folder = _fill(tmp_path / "in")
    source = _upload(service, bucket, folder, "in")
    expected = _undisturbed(folder, tmp_path / "here")
    assert counts(stylize_images(images_job(source, tmp_path / "down"))) == (7, 6, 0, 1)
    assert contents(tmp_path / "down") == expected
    assert counts(stylize_images(images_job(folder, f"s3://{bucket}/up"))) == (7, 6, 0, 1)
    assert _keys(service, bucket, "up") == expected

    matched = stylize_images(images_job(f"{source}/**/*.[bw]*", tmp_path / "matched"))
    assert counts(matched) == (2, 2, 0, 0)
    assert contents(tmp_path / "matched") == {
        name: expected[name] for name in ("x/e.bmp", "x/ü.webp")
    }
    flat = [found.name for found in find_images([f"{source}/*.png"])]
    assert sorted(flat) == ["b c.png", "f.png"]

    listed = tmp_path / "list.txt"
    listed.write_text(f"{source}/a.jpg\n{folder}/f.png\n")
    report = stylize_images(images_job(listed, f"s3://{bucket}/listed"))
    assert counts(report) == (2, 2, 0, 0)
    assert _keys(service, bucket, "listed") == {
        f"s3/{bucket}/in/a.jpg": expected["a.jpg"],
        f"{str(folder)[1:]}/f.png": expected["f.png"],
    }


def test_keys_are_taken_as_they_are(service: Any, bucket: str) -> None:
    names = [
        *("with space.png", "ü.png", "u\u0308.png", "#1.png", "%20.png", "a+b.png", "q?x=1.png"),
        *("a::b.png", "[1].png", "*.png", "a&amp;b.png", "~'\".png", "back\\slash.png", "a=b.png"),
    ]
    for number, name in enumerate(names):
        put_picture(service, bucket, f"in/{name}", number)
    report = stylize_images(images_job(f"s3://{bucket}/in", f"s3://{bucket}/out"))
    assert counts(report) == (len(names), len(names), 0, 0), report.failures
    outputs = _keys(service, bucket, "out")
    assert set(outputs) == set(names)
    for number, name in enumerate(names):
        with Image.open(io.BytesIO(outputs[name])) as image:
            np.testing.assert_array_equal(np.asarray(image), moving_picture(number, 40, 30))
    report = stylize_images(images_job(f"s3://{bucket}/in", f"s3://{bucket}/out"))
    assert report.reused == len(names)


def test_keys_that_are_no_paths_stay_in_the_output_folder_or_are_refused(
    service: Any, bucket: str, tmp_path: Path
) -> None:
    for key in ("in/a.png", "in//b.png", "in/x//c.png", "in/x/../../d.png", "in/.hidden.png"):
        put_picture(service, bucket, key)
    service.put_object(Bucket=bucket, Key="in/folder.png/", Body=b"")  # as consoles mark a folder
    report = stylize_images(images_job(f"s3://{bucket}/in", f"s3://{bucket}/out"))
    assert counts(report) == (3, 2, 0, 1)
    assert report.failures[0]["path"] == f"s3://{bucket}/in//b.png"
    assert "leads out of the output folder" in report.failures[0]["error"]
    assert set(_keys(service, bucket, "out")) == {"a.png", "x/c.png"}
    listed = tmp_path / "list.txt"
    listed.write_text(f"s3://{bucket}/in/a.png\ns3://{bucket}/in/x/../../d.png\n")
    report = stylize_images(images_job(listed, tmp_path / "deep" / "out"))
    assert counts(report) == (2, 1, 0, 1)
    assert report.failures[0]["path"].endswith("/in/x/../../d.png")
    assert set(contents(tmp_path)) == {"list.txt", "deep/out/a.png"}


def _put_many(bucket: str, keys: list[str], content: bytes) -> None:
    """Past the interface, which takes milliseconds for each."""
    backend = moto_models.s3_backends["123456789012"]["aws"]
    for key in keys:
        backend.put_object(bucket, key, content)


def test_a_large_folder_is_listed_page_by_page_as_its_files_are_taken(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put_many(bucket, [f"many/{number:05}.png" for number in range(2500)], b"x")
    asked: list[str] = []
    call = s3fs.S3FileSystem.call_s3

    def counted(self: Any, method: str, **arguments: Any) -> Any:
        asked.append(method)
        return call(self, method, **arguments)

    monkeypatch.setattr(s3fs.S3FileSystem, "call_s3", counted)
    for source, pages in ((f"s3://{bucket}/many", 3), (f"s3://{bucket}/many/*.png", 3)):
        asked.clear()
        found = find_images([source])
        first = next(found)
        assert (first.name, first.size, asked) == ("00000.png", 1, ["list_objects_v2"])
        rest = [each.name for each in found]
        assert rest == [f"{number:05}.png" for number in range(1, 2500)]
        assert asked == ["list_objects_v2"] * pages


def test_listings_are_as_fresh_as_the_bucket(service: Any, bucket: str) -> None:
    storage = storage_for(f"s3://{bucket}/in")
    for count in (1, 2, 3):
        put_picture(service, bucket, f"in/{count}.png")
        assert len(list(storage.walk(f"s3://{bucket}/in"))) == count
        assert storage_for(f"s3://{bucket}").size(f"s3://{bucket}/in/{count}.png")
    service.delete_object(Bucket=bucket, Key="in/2.png")
    assert storage.size(f"s3://{bucket}/in/2.png") is None
    versions = {each.name: each.version for each in storage.walk(f"s3://{bucket}/in")}
    assert versions["1.png"] == storage.find(f"s3://{bucket}/in/1.png").version != ""


def test_records_of_many_runs_are_gathered(service: Any, bucket: str) -> None:
    put_picture(service, bucket, "in/a.png")
    job = images_job(f"s3://{bucket}/in", f"s3://{bucket}/out")
    stylize_images(job)
    parts = service.list_objects_v2(Bucket=bucket, Prefix="out/progress/")["Contents"]
    assert parts[0]["Key"] == "out/progress/00000.jsonl"
    body = service.get_object(Bucket=bucket, Key=parts[-1]["Key"])["Body"].read()
    _put_many(bucket, [f"out/progress/{number:05}.jsonl" for number in range(10, 120)], body)
    assert counts(stylize_images(job)) == (1, 0, 1, 0)
    parts = service.list_objects_v2(Bucket=bucket, Prefix="out/progress/")["Contents"]
    assert [part["Key"] for part in parts] == ["out/progress/00000.jsonl"]
    assert counts(stylize_images(job)) == (1, 0, 1, 0)
