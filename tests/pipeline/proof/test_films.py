"""The proof of films: by their hash, and beside their source wherever that is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from jobs.applying.stylize_video import stylize_videos
from jobs.applying.verify import verify_output
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.files import digest_of_files
from pipeline.films import finished_films
from pipeline.proof.findings import Findings
from tests.kit.media import make_clip


def _made(film: Path, output: Path, status: str = "done", **options: object) -> None:
    job = StylizeVideo((film,), output, StyleSpec("identity"), PoolSpec(workers=0), **options)  # type: ignore[arg-type]
    for report in stylize_videos(job).inputs:
        assert report.status == status, report.error


def _found(report: Findings) -> list[tuple[str, str]]:
    assert report.verified == (not report.findings)
    return [(each["kind"], each["path"]) for each in report.findings]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    make_clip(path)
    return path


def test_a_film_is_proved_beside_its_source_also_elsewhere(film: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    _made(film, output)
    report = verify_output(str(output))
    assert (report.verified, report.films, report.sources, report.notes) == (True, 1, 1, [])

    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / ".nst-done", elsewhere / ".nst-done")
    shutil.move(output, elsewhere / "out.mp4")
    shutil.move(film, elsewhere / "original.mp4")
    report = verify_output(str(elsewhere / "out.mp4"))
    assert (report.verified, report.sources) == (True, 0)
    assert "its source is not at hand" in report.notes[0]
    report = verify_output(str(elsewhere / "out.mp4"), str(elsewhere / "original.mp4"))
    assert (report.verified, report.sources, report.notes) == (True, 1, [])


def test_another_source_and_a_changed_film_are_told(film: Path, tmp_path: Path) -> None:
    output, other = tmp_path / "out.mp4", tmp_path / "other.mp4"
    _made(film, output)
    make_clip(other, frames=17)
    assert _found(verify_output(str(output), str(other))) == [("not whole", str(output))]
    with output.open("r+b") as file:
        file.seek(-100, 2)
        file.write(b"x")
    assert ("changed", str(output)) in _found(verify_output(str(output)))


def test_a_film_that_cannot_be_read_is_told_and_the_others_are_proved(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    for name in ("a", "cut", "folder", "pipe", "secret"):
        _made(film, folder / f"{name}.mp4")
        if name not in ("a", "secret"):
            (folder / f"{name}.mp4").unlink()
    (folder / "cut.mp4").write_bytes(b"")
    (folder / "folder.mp4").mkdir()
    os.mkfifo(folder / "pipe.mp4")

    def digest(files: Sequence[Path]) -> str:
        if files[0].stem == "secret":
            raise PermissionError(13, "Permission denied", str(files[0]))
        return digest_of_files(files)

    monkeypatch.setattr(finished_films, "digest_of_files", digest)
    report = verify_output(str(folder))
    assert _found(report) == [
        ("changed", str(folder / "cut.mp4")),
        ("not whole", str(folder / "cut.mp4")),  # and not another source
        ("missing", str(folder / "folder.mp4")),
        ("missing", str(folder / "pipe.mp4")),
        ("missing", str(folder / "secret.mp4")),
    ]
    assert report.findings[-1]["finding"].endswith("cannot be read (Permission denied)")
    assert report.sources == 1


def test_parts_and_folders_of_films_are_proved_and_what_is_gone_is_told(
    film: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    _made(film, folder / "whole.mkv")
    _made(film, folder / "part.mp4", start=Fraction(1, 4), end=Fraction(3, 4))
    report = verify_output(str(folder))
    assert (_found(report), report.films, report.sources) == ([], 2, 2)
    (folder / "part.mp4").unlink()
    assert _found(verify_output(str(folder))) == [("missing", str(folder / "part.mp4"))]


def test_numbered_pictures_are_proved_by_their_hash(film: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "f.%03d.png"
    output.parent.mkdir()
    _made(film, output)
    report = verify_output(str(output))
    assert (report.verified, report.films) == (True, 1)
    assert "compared by their hash only" in report.notes[0]
    (tmp_path / "out" / "f.003.png").write_bytes(b"other")
    assert _found(verify_output(str(output))) == [("changed", str(output))]
    (tmp_path / "out" / "f.003.png").unlink()
    assert _found(verify_output(str(output.parent))) == [("missing", str(output))]


def test_films_of_mirrored_trees_are_proved_beside_their_own_sources(tmp_path: Path) -> None:
    for number, name in enumerate(("x/a.mp4", "y/a.mp4")):
        (tmp_path / "films" / name).parent.mkdir(parents=True)
        make_clip(tmp_path / "films" / name, frames=12 + number)
    _made(tmp_path / "films", tmp_path / "out")
    shutil.move(tmp_path / "films", tmp_path / "elsewhere")
    report = verify_output(str(tmp_path / "out"), str(tmp_path / "elsewhere"))
    assert (report.verified, report.films, report.sources) == (True, 2, 2)


def test_a_film_whose_missing_frames_were_told_is_as_it_was_made(
    data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    _made(data / "hostile" / "17_corrupt_mid.mp4", output, status="damaged")
    report = verify_output(str(output))
    assert (_found(report), report.sources) == ([], 1)
    (record,) = (tmp_path / ".nst-done").glob("*.json")
    told = json.loads(record.read_bytes())
    assert len(told["report"]["missing_pts_seconds"]) == 1
    told["report"]["missing_pts_seconds"] = []
    record.write_text(json.dumps(told))
    assert _found(verify_output(str(output))) == [("not whole", str(output))]


def test_films_from_anywhere_are_proved_beside_sources_that_lie_together(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for number, name in enumerate(("one.mp4", "b/deep/two.mp4")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        make_clip(tmp_path / name, frames=12 + number)
        _made(tmp_path / name, tmp_path / "out" / Path(name).name)
    flat = tmp_path / "flat"
    flat.mkdir()
    for name in ("one.mp4", "b/deep/two.mp4"):
        shutil.move(tmp_path / name, flat)
    report = verify_output(str(tmp_path / "out"), str(flat))
    assert (report.verified, report.films, report.sources) == (True, 2, 2)
