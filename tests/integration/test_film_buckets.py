"""Folders of films in buckets: a real S3 interface, served on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from jobs.applying.stylize_video import stylize_videos
from jobs.applying.verify import verify_output
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.caches import cache_folder
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.films.finished_films import HIDDEN_FOLDER
from pipeline.films.report import StylizeVideoReport
from pipeline.segments.work_folder import HIDDEN_PARENT
from pipeline.work.progress import OnProgress, Progress, ignore_progress
from tests.kit.command_line import nst
from tests.kit.media import make_clip

s3fs = pytest.importorskip("s3fs")
pytest.importorskip("moto.server")

Reads = Counter[str]

FILMS = ("a.mp4", "b c.mkv", "x/y/d.ts", "x/ü.mov")
OTHERS = ("notes.txt", "x/cover.jpg")
HERE = ("--workers", "0", "--json")
MOST_READ = 1.2
"""Bytes read of a bucket, as a multiple of those of its films."""


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of films of several kinds, with sound, and two other files."""
    folder = tmp_path_factory.mktemp("films")
    for name in (*FILMS, *OTHERS):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    for name in FILMS:
        make_clip(folder / name, width=160, height=96)
    for name in OTHERS:
        (folder / name).write_bytes(b"no film")
    return folder


@pytest.fixture(scope="module")
def from_disk(films: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The outputs of these films where all lies on a disk."""
    output = tmp_path_factory.mktemp("from-disk")
    _stylize(films, output)
    return _contents(output)


@pytest.fixture
def source(service: Any, bucket: str, films: Path) -> str:
    """The URI of the films in a bucket."""
    for path in films.rglob("*.*"):
        key = f"in/{path.relative_to(films)}"
        service.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    return f"s3://{bucket}/in"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path / "cache"))


def _left_here() -> list[Path]:
    """What is kept on this machine of films that are not done."""
    return list((cache_folder() / HIDDEN_PARENT).glob("*"))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Bytes of films that this process has read from the bucket, by the first part of the key."""
    counts: Reads = Counter()
    call = s3fs.S3FileSystem._call_s3

    async def counted(self: Any, method: str, *arguments: Any, **more: Any) -> Any:
        answer = await call(self, method, *arguments, **more)
        if method == "get_object" and not more["Key"].endswith(".json"):
            counts[more["Key"].partition("/")[0]] += answer["ContentLength"]
        return answer

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)
    return counts


def _stylize(
    source: str | Path, output: str | Path, on_progress: OnProgress = ignore_progress, **more: Any
) -> StylizeVideoReport:
    job = StylizeVideo(
        (Path(source),),
        output,
        StyleSpec("identity"),
        PoolSpec(workers=0),
        segment_seconds=0.5,
        **more,
    )
    return stylize_videos(job, on_progress)


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files
        if path.parent.name != HIDDEN_FOLDER
    }


def _in_bucket(service: Any, bucket: str, prefix: str) -> dict[str, bytes]:
    """What lies below the prefix but records."""
    pages = service.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
    return {
        key[len(prefix) + 1 :]: service.get_object(Bucket=bucket, Key=key)["Body"].read()
        for key in keys
        if HIDDEN_FOLDER not in key
    }


def _size(films: Path) -> int:
    return sum((films / name).stat().st_size for name in FILMS)


def test_a_bucket_gives_what_a_folder_gives_and_is_read_once(
    service: Any, bucket: str, source: str, films: Path, from_disk: dict[str, bytes], read: Reads
) -> None:
    output = f"s3://{bucket}/out"
    report = _stylize(source, output)
    assert [(one.input, one.output, one.status) for one in report.inputs] == [
        (f"{source}/{name}", f"{output}/{name.replace('.ts', '.mkv')}", "done") for name in FILMS
    ]
    assert report.not_films == [f"{source}/{name}" for name in OTHERS]
    assert _in_bucket(service, bucket, "out") == from_disk
    assert read["in"] <= MOST_READ * _size(films)
    assert not _left_here()

    read.clear()
    again = _stylize(source, output)
    assert [(one.status, one.reused) for one in again.inputs] == [("done", True)] * len(FILMS)
    assert (read["in"], read["out"]) == (0, 0)


def test_sources_and_outputs_lie_on_either_side(
    service: Any,
    bucket: str,
    source: str,
    films: Path,
    from_disk: dict[str, bytes],
    read: Reads,
    tmp_path: Path,
) -> None:
    _stylize(source, tmp_path / "down")
    assert read["in"] <= MOST_READ * _size(films)
    assert _contents(tmp_path / "down") == from_disk
    assert not (tmp_path / "down" / HIDDEN_PARENT).exists()
    _stylize(films, f"s3://{bucket}/up/")
    assert _in_bucket(service, bucket, "up") == from_disk
    _stylize(f"{source}/**/*.m[ok]v", f"s3://{bucket}/matched")
    matched = {name: from_disk[name] for name in ("b c.mkv", "x/ü.mov")}
    assert _in_bucket(service, bucket, "matched") == matched
    _stylize(f"{source}/a.mp4", f"s3://{bucket}/one/film.mp4")
    assert _in_bucket(service, bucket, "one") == {"film.mp4": from_disk["a.mp4"]}


def test_an_interrupted_run_goes_on_and_reads_nothing_again_that_had_come(
    service: Any, bucket: str, source: str, films: Path, from_disk: dict[str, bytes], read: Reads
) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.done >= 60:  # in the second film
            raise KeyboardInterrupt

    output = f"s3://{bucket}/out"
    with pytest.raises(KeyboardInterrupt):
        _stylize(source, output, interrupt)
    before = _in_bucket(service, bucket, "out")
    assert set(before) < set(from_disk)
    assert read["in"] <= _size(films)
    # Each film is one block. One that was just being read is not kept, and comes again.
    kept = [block.read_bytes() for block in cache_folder().rglob("*.block")]
    assert (films / FILMS[1]).read_bytes() in kept
    left = [name for name in FILMS if name.replace(".ts", ".mkv") not in before]
    lacking = [name for name in left if (films / name).read_bytes() not in kept]
    read.clear()
    report = _stylize(source, output)
    assert [one.status for one in report.inputs] == ["done"] * len(FILMS)
    assert sum(one.segments["reused"] for one in report.inputs) > 0
    assert _in_bucket(service, bucket, "out") == from_disk
    assert read["in"] == sum((films / name).stat().st_size for name in lacking)
    assert not _left_here()


def test_films_in_a_bucket_are_proved_beside_their_sources_there(
    service: Any, bucket: str, source: str, films: Path, read: Reads
) -> None:
    output = f"s3://{bucket}/out"
    _stylize(source, output)
    read.clear()
    report = verify_output(output)
    assert (report.verified, report.films, report.sources) == (True, len(FILMS), len(FILMS))
    assert read["in"] <= MOST_READ * _size(films)
    copied = f"s3://{bucket}/copy"
    for name in FILMS[1:]:
        service.upload_file(str(films / name), bucket, f"copy/{name}")
    service.delete_object(Bucket=bucket, Key="out/a.mp4")
    service.put_object(Bucket=bucket, Key="out/b c.mkv", Body=b"edited")
    report = verify_output(output, copied)
    assert [(one["kind"], one["path"]) for one in report.findings] == [
        ("missing", f"{output}/a.mp4"),
        ("changed", f"{output}/b c.mkv"),
        ("not whole", f"{output}/b c.mkv"),
    ]
    assert report.sources == len(FILMS) - 2


@pytest.mark.slow
def test_a_killed_run_goes_on_with_two_workers(
    service: Any, bucket: str, source: str, from_disk: dict[str, bytes]
) -> None:
    output = f"s3://{bucket}/out"
    command = [sys.executable, "-m", "jobs.cli", "stylize", "video", source, "-o", output]
    command += ["--style", "identity", "--segment-seconds", "0.5", "--json", "--workers"]
    process = subprocess.Popen([*command, "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not _in_bucket(service, bucket, "out"):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert set(_in_bucket(service, bucket, "out")) < set(from_disk)
    run = subprocess.run([*command, "2"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["workers"] == 2
    assert any(one["reused"] for one in report["inputs"])
    assert _in_bucket(service, bucket, "out") == from_disk
    assert not _left_here()


def test_a_part_of_a_film_is_read_in_part(
    service: Any, bucket: str, read: Reads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.storage.remote_file._BLOCK_BYTES", 1 << 16)
    film = tmp_path / "long.mp4"
    options = {"g": "24", "crf": "1", "preset": "ultrafast"}
    make_clip(film, frames=24 * 40, options=options, width=160, height=96, sound=False)
    service.upload_file(str(film), bucket, "in/long.mp4")
    part: dict[str, Any] = {"start": Fraction(1), "duration": Fraction(2)}
    _stylize(f"s3://{bucket}/in/long.mp4", f"s3://{bucket}/out/part.mkv", **part)
    _stylize(film, tmp_path / "part.mkv", **part)
    assert _in_bucket(service, bucket, "out") == {"part.mkv": (tmp_path / "part.mkv").read_bytes()}
    assert read["in"] < film.stat().st_size / 2


def test_a_film_that_fails_does_not_stop_the_others(
    service: Any, bucket: str, source: str, from_disk: dict[str, bytes]
) -> None:
    service.put_object(Bucket=bucket, Key="in/broken.mp4", Body=b"no film")
    service.put_object(Bucket=bucket, Key="in//odd.mp4", Body=b"no path")
    output = f"s3://{bucket}/in/out"
    for _ in range(2):  # what is below the output is no source
        ended = nst("stylize", "video", source, "-o", output, "--style", "identity", *HERE)
        assert ended.code == 1
        report = json.loads(ended.out)
        odd, broken = (one["error"] for one in report["inputs"] if one["error"])
        assert odd == f"{source}//odd.mp4: a name that leads out of the output folder"
        assert broken.startswith(f"{source}/broken.mp4: not a readable video")
        assert set(_in_bucket(service, bucket, "in/out")) == set(from_disk)
        assert not _left_here()


def test_an_output_that_is_there_is_replaced_only_if_asked_for(
    service: Any, bucket: str, source: str, films: Path, read: Reads
) -> None:
    output = f"s3://{bucket}/out/a.mp4"
    _stylize(f"{source}/a.mp4", output)
    service.put_object(Bucket=bucket, Key="out/a.mp4", Body=b"edited")
    (report,) = _stylize(f"{source}/a.mp4", output).inputs
    assert (
        report.error
        == f"{output} exists and was changed since it was made; --overwrite replaces it"
    )
    assert _in_bucket(service, bucket, "out") == {"a.mp4": b"edited"}
    (report,) = _stylize(f"{source}/a.mp4", output, overwrite=True).inputs
    assert report.status == "done"
    assert _in_bucket(service, bucket, "out")["a.mp4"] != b"edited"

    service.put_object(Bucket=bucket, Key="in/a.mp4", Body=(films / "b c.mkv").read_bytes())
    (report,) = _stylize(f"{source}/a.mp4", output).inputs
    assert report.error is not None
    assert "was made with another source" in report.error
    (report,) = _stylize(f"{source}/a.mp4", f"{source}/a.mp4", overwrite=True).inputs
    assert report.error == f"{source}/a.mp4: the output would replace its own input"


@pytest.mark.parametrize(
    ("inputs", "output", "words"),
    [
        (("in/none",), "out", "in/none: no such file"),
        (("in/*.none",), "out", "no match for this glob"),
        (("in/d/a.mp4", "in/e/a.mp4"), "out", "would both become"),
        (("in/d",), "out.mp4", "a video's name, and there may be several"),
        (("in/d/a.mp4",), "out/%04d.png", "numbered pictures must be in a folder of this machine"),
        (("in/only",), "out", "no videos in this folder"),
    ],
)
def test_what_cannot_be_is_one_line(
    inputs: tuple[str, ...], output: str, words: str, service: Any, bucket: str
) -> None:
    for key in ("in/d/a.mp4", "in/e/a.mp4", "in/only/notes.txt"):
        service.put_object(Bucket=bucket, Key=key, Body=b"x")
    uris = [f"s3://{bucket}/{each}" for each in inputs]
    there = f"s3://{bucket}/{output}"
    ended = nst("stylize", "video", *uris, "-o", there, "--style", "wave", "--workers", "0")
    assert ended.code == 2
    assert words in ended.error_line
    assert not _left_here()


def test_a_plan_of_films_in_a_bucket_writes_nothing(service: Any, bucket: str, source: str) -> None:
    arguments = (source, "-o", f"s3://{bucket}/out", "--style", "identity", *HERE)
    ended = nst("plan", "stylize", "video", *arguments)
    assert ended.code == 0, ended.error
    plan = json.loads(ended.out)
    assert [one["frames"] for one in plan["inputs"]] == [48] * len(FILMS)
    assert not _in_bucket(service, bucket, "out")
    assert not _left_here()
