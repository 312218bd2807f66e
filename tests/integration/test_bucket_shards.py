"""Tar shards in buckets: read in parts, written whole, proved again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobs.applying.stylize_images import stylize_images
from tests.kit.image_jobs import counts, images_job
from tests.kit.shards import make_shards

pytest.importorskip("s3fs")


def test_shards_of_a_bucket_are_those_of_a_folder(
    service: Any, bucket: str, tmp_path: Path
) -> None:
    shards = make_shards(tmp_path / "in", shards=2, samples=6)
    for path in shards.glob("*.tar"):
        service.put_object(Bucket=bucket, Key=f"in/{path.name}", Body=path.read_bytes())
    stylize_images(images_job(f"{shards}/*.tar", tmp_path / "out" / "d-%d.tar", shard_pictures=5))
    expected = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.tar")}
    assert len(expected) == 3

    output = f"s3://{bucket}/out"
    for source in (f"s3://{bucket}/in/*.tar", f"s3://{bucket}/in/data-{{000000..000001}}.tar"):
        job = images_job(source, f"{output}/d-%d.tar", shard_pictures=5)
        report = stylize_images(job)
        assert report.total == report.done + report.reused == 12
        there = service.list_objects_v2(Bucket=bucket, Prefix="out/")["Contents"]
        assert {each["Key"][4:] for each in there if each["Key"].endswith(".tar")} == {*expected}
        for name, content in expected.items():
            body = service.get_object(Bucket=bucket, Key=f"out/{name}")["Body"]
            assert body.read() == content
    assert counts(stylize_images(job)) == (12, 0, 12, 0)
    manifest = service.get_object(Bucket=bucket, Key="out/manifest.jsonl")["Body"].read()
    assert len(manifest.splitlines()) == 12
