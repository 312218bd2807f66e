"""Films that an earlier run has finished: the same call finds them done, any other is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pipeline.films.film
from jobs.applying.needs_ray import videos_need_ray
from jobs.applying.stylize_video import stylize_videos
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.films.finished_films import HIDDEN_FOLDER
from pipeline.segments.work_folder import HIDDEN_PARENT
from pipeline.work.progress import Progress
from tests.kit.command_line import Ended, nst
from tests.kit.media import make_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    make_clip(path, frames=24)
    return path


@pytest.fixture
def films(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a folder of three films in it."""
    monkeypatch.chdir(tmp_path)
    Path("films/deep").mkdir(parents=True)
    for name in ("a.mp4", "b c.mp4", "deep/ü.mp4"):
        shutil.copy(clip, Path("films", name))
    return tmp_path


def _stylize(*options: str, inputs: str = "films", output: str = "out") -> Ended:
    where = ("-o", output, "--style", "identity", "--workers", "0", "-q")
    return nst("stylize", "video", inputs, *where, *options)


def _times(folder: str) -> dict[str, int]:
    return {str(each): each.stat().st_mtime_ns for each in Path(folder).rglob("*.mp4")}


def test_the_same_call_finds_all_films_done(films: Path) -> None:
    assert _stylize().code == 0
    before = _times("out")
    again = _stylize("--json")
    assert again.code == 0, again.error
    report = json.loads(again.out)
    assert (report["engine"], report["workers"]) == ("none", 0)
    for one in report["inputs"]:
        assert (one["status"], one["reused"], one["error"]) == ("done", True, None)
        assert one["segments"] == {"total": 1, "done": 0, "reused": 1, "retried": 0}
        assert (one["frames_in"], one["frames_out"]) == (24, 24)
        assert one["verified"]["frame_count"]
    told = _stylize()
    assert [line.split(": ")[1] for line in told.out.splitlines()] == [
        "done, 24 of 24 frames, verified, was there already"
    ] * 3
    assert _times("out") == before


def test_one_film_under_a_name_is_found_done_too(films: Path) -> None:
    for told in (" frames/s)", "was there already"):
        ended = _stylize(inputs="films/a.mp4", output="a-plain.mp4")
        assert ended.code == 0, ended.error
        assert ended.out.strip().endswith(told)


def test_a_batch_goes_on_with_the_film_that_is_not_finished(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _stylize().code == 0
    Path("out/b c.mp4").unlink()
    shutil.copy("films/a.mp4", "films/new.mp4")
    before = _times("out")
    again = _stylize("--json")
    assert again.code == 0, again.error
    reused = {one["input"]: one["reused"] for one in json.loads(again.out)["inputs"]}
    assert reused == {
        "films/a.mp4": True,
        "films/b c.mp4": False,
        "films/deep/ü.mp4": True,
        "films/new.mp4": False,
    }
    after = _times("out")
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--strength", "0.5"), "another --strength;"),
        (("--crf", "30", "--keep-colors"), "another --keep-colors and --crf;"),
        (("--max-side", "48"), "another --max-side;"),
        (("--start", "0.5"), "another --start;"),
        (("--no-resume",), "out.mp4 exists;"),
    ],
)
def test_another_setting_is_refused_and_named(
    films: Path, options: tuple[str, ...], words: str
) -> None:
    assert _stylize(inputs="films/a.mp4", output="out.mp4").code == 0
    before = Path("out.mp4").read_bytes()
    refused = _stylize(*options, inputs="films/a.mp4", output="out.mp4")
    assert refused.code == 2
    assert words in refused.error_line
    assert "--overwrite replaces it" in refused.error_line
    assert Path("out.mp4").read_bytes() == before
    replaced = _stylize(*options, "--overwrite", inputs="films/a.mp4", output="out.mp4")
    assert replaced.code == 0, replaced.error
    assert "was there already" not in replaced.out


@pytest.mark.parametrize(
    "options",
    [("--segment-seconds", "0.5"), ("--work-dir", "work"), ("--allow-damaged",)],
)
def test_what_does_not_decide_the_output_is_no_other_setting(
    films: Path, options: tuple[str, ...]
) -> None:
    assert _stylize(inputs="films/a.mp4", output="out.mp4").code == 0
    again = _stylize(*options, inputs="films/a.mp4", output="out.mp4")
    assert (again.code, again.out.count("was there already")) == (0, 1), again.error


def test_overwrite_makes_a_finished_film_again(films: Path) -> None:
    assert _stylize().code == 0
    again = _stylize("--overwrite", "--json")
    assert [one["reused"] for one in json.loads(again.out)["inputs"]] == [False] * 3


def _truncate(output: Path) -> None:
    os.truncate(output, output.stat().st_size - 1)


def _replace(output: Path) -> None:
    output.write_bytes(bytes(output.stat().st_size))


def _touch(output: Path) -> None:
    os.utime(output, (1, 1))


def _copy(output: Path) -> None:
    shutil.copyfile(output, "copy.mp4")
    Path("copy.mp4").replace(output)


@pytest.mark.parametrize(
    ("change", "is_kept"), [(_truncate, False), (_replace, False), (_touch, True), (_copy, True)]
)
def test_an_output_is_known_by_its_content(
    films: Path, change: Callable[[Path], None], is_kept: bool
) -> None:
    assert _stylize(inputs="films/a.mp4", output="out.mp4").code == 0
    change(Path("out.mp4"))
    again = _stylize(inputs="films/a.mp4", output="out.mp4")
    if is_kept:
        assert (again.code, again.out.count("was there already")) == (0, 1), again.error
    else:
        assert again.code == 2
        assert "changed since it was made; --overwrite" in again.error_line


def test_another_source_of_the_same_name_is_refused(films: Path) -> None:
    assert _stylize(inputs="films/a.mp4", output="out.mp4").code == 0
    make_clip(Path("films/a.mp4"), frames=12)
    assert "another source" in _stylize(inputs="films/a.mp4", output="out.mp4").error_line


def test_a_film_whose_record_is_gone_or_no_record_is_not_taken_for_ours(films: Path) -> None:
    assert _stylize(inputs="films/a.mp4", output="out.mp4").code == 0
    (record,) = Path(HIDDEN_FOLDER).iterdir()
    for text in ("", "{}", '{"made_with": 1}', "[]"):
        record.write_text(text)
        assert "out.mp4 exists; " in _stylize(inputs="films/a.mp4", output="out.mp4").error_line
    shutil.rmtree(HIDDEN_FOLDER)
    assert _stylize(inputs="films/a.mp4", output="out.mp4").code == 2


def test_a_damaged_film_is_told_damaged_again(films: Path) -> None:
    broken = bytearray(Path("films/a.mp4").read_bytes())
    middle = broken.index(b"mdat") + 3000
    broken[middle : middle + 400] = b"\xff" * 400
    Path("broken.mp4").write_bytes(broken)
    first, again = (_stylize("--json", inputs="broken.mp4") for _ in range(2))
    assert first.code == again.code == 1
    (before,), (after,) = (json.loads(each.out)["inputs"] for each in (first, again))
    assert before["status"] == after["status"] == "damaged"
    assert (before["warnings"], after["reused"]) == (after["warnings"], True)
    assert _stylize("--allow-damaged", inputs="broken.mp4").code == 0


@pytest.mark.parametrize(
    ("name", "first", "again", "found"),
    [
        ("out.mp4", False, True, True),
        ("out.mp4", True, False, True),  # there was nothing to leave out
        ("out.webm", True, True, True),
        ("out.webm", True, False, False),
    ],
)
def test_left_out_sound_is_not_taken_for_whole(
    clip: Path, tmp_path: Path, name: str, first: bool, again: bool, found: bool
) -> None:
    job = dataclasses.replace(_job(clip, tmp_path / name), max_side=32, allow_left_out=first)
    assert stylize_videos(job).inputs[0].error is None
    (report,) = stylize_videos(dataclasses.replace(job, allow_left_out=again)).inputs
    assert report.reused is found
    assert found or "another --allow-left-out;" in str(report.error)


def _job(clip: Path, output: Path) -> StylizeVideo:
    style, here = StyleSpec("identity"), PoolSpec(workers=0)
    return StylizeVideo((clip,), output, style, here, segment_seconds=0.5)


_KILLED_BEFORE_TIDYING_UP = """
import os, signal, sys
from pathlib import Path
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from jobs.applying.stylize_video import stylize_videos
from pipeline.segments.work_folder import WorkFolder
WorkFolder.remove = lambda folder: os.kill(os.getpid(), signal.SIGKILL)
clip, output, work = map(Path, sys.argv[1:])
style, here = StyleSpec("identity"), PoolSpec(workers=0)
stylize_videos(StylizeVideo((clip,), output, style, here, segment_seconds=0.5, work_dir=work))
"""


@pytest.mark.parametrize("work", [pytest.param(HIDDEN_PARENT, marks=pytest.mark.slow), "elsewhere"])
def test_what_a_run_killed_after_its_output_was_there_has_left_is_removed(
    clip: Path, tmp_path: Path, work: str
) -> None:
    output = tmp_path / "out.mp4"
    command = (sys.executable, "-c", _KILLED_BEFORE_TIDYING_UP, clip, output, tmp_path / work)
    killed = subprocess.run(command, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert output.exists()
    assert len(list((tmp_path / work).glob("*/*.piece"))) == 2
    (report,) = stylize_videos(_job(clip, output)).inputs  # without --work-dir it is found, too
    assert (report.status, report.reused) == ("done", True)
    left = sorted(path.name for path in tmp_path.rglob("*") if path.suffix != ".json")
    assert left == sorted(
        [HIDDEN_FOLDER, "out.mp4", *(["elsewhere"] if work != HIDDEN_PARENT else [])]
    )


def test_a_run_killed_before_its_output_has_its_name_goes_on(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mp4"

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.films.film, "publish_all", killed)
        with pytest.raises(KeyboardInterrupt):
            stylize_videos(_job(clip, output))
    assert list((tmp_path / HIDDEN_FOLDER).iterdir()) != []
    (report,) = stylize_videos(_job(clip, output)).inputs
    assert (report.status, report.reused, report.segments["reused"]) == ("done", False, 2)


def test_pieces_of_a_run_with_other_settings_stay(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    assert stylize_videos(_job(clip, output)).inputs[0].status == "done"

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    other = dataclasses.replace(_job(clip, output), crf=30, overwrite=True)
    with pytest.raises(KeyboardInterrupt):
        stylize_videos(other, interrupt)
    (report,) = stylize_videos(_job(clip, output)).inputs
    assert report.reused
    (report,) = stylize_videos(other).inputs
    assert report.segments["reused"] == 1


def test_a_folder_that_is_no_work_folder_is_not_removed(clip: Path, tmp_path: Path) -> None:
    output, own = tmp_path / "out.mp4", tmp_path / "own"
    assert stylize_videos(_job(clip, output)).inputs[0].status == "done"
    own.mkdir()
    (own / "diary.txt").write_text("precious")
    (record,) = (tmp_path / HIDDEN_FOLDER).iterdir()
    record.write_text(json.dumps({**json.loads(record.read_text()), "work_folder": str(own)}))
    assert stylize_videos(_job(clip, output)).inputs[0].reused
    assert (own / "diary.txt").read_text() == "precious"


def test_a_record_that_cannot_be_written_costs_no_film(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / HIDDEN_FOLDER).write_text("in the way")
    (report,) = stylize_videos(_job(clip, tmp_path / "out.mp4")).inputs
    assert report.status == "done"
    assert "not recorded" in caplog.text
    (report,) = stylize_videos(_job(clip, tmp_path / "out.mp4")).inputs
    assert report.status == "skipped"


def test_no_ray_is_started_ahead_for_films_that_are_there(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    job = dataclasses.replace(_job(clip, tmp_path / "out"), pool=PoolSpec(), segment_seconds=0.1)
    assert videos_need_ray(job)
    (tmp_path / "out" / clip.name).touch()
    assert not videos_need_ray(job)
    assert videos_need_ray(dataclasses.replace(job, overwrite=True))
