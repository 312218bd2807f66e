"""Films as a user names them, and what their outputs are called."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.films.finished_films import HIDDEN_FOLDER
from tests.kit.command_line import Ended, nst
from tests.kit.media import make_clip


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    make_clip(path, frames=12)
    return path


@pytest.fixture
def here(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's current folder: a film, and a folder of films and other things."""
    monkeypatch.chdir(tmp_path)
    Path("films/deep").mkdir(parents=True)
    for name in ("film.mp4", "films/one.mp4", "films/two.mkv", "films/deep/three.mov"):
        shutil.copy(film, name)
    Path("films/notes.txt").write_text("no film")
    return tmp_path


def _stylize(*arguments: str | Path, style: str = "identity") -> Ended:
    return nst("stylize", "video", *arguments, "--style", style, "--workers", "0", "-q")


def _files(folder: str) -> set[str]:
    """All that is no record of a finished film."""
    below = (each for each in Path(folder).rglob("*") if each.is_file())
    return {str(each.relative_to(folder)) for each in below if each.parent.name != HIDDEN_FOLDER}


@pytest.mark.parametrize(
    ("inputs", "output", "written"),
    [
        (("film.mp4",), "out.mkv", {"out.mkv"}),
        (("film.mp4",), "out/", {"out/film.mp4"}),
        (("film.mp4",), "out.mp4/", {"out.mp4/film.mp4"}),
        (("film.mp4",), "new-folder", {"new-folder/film.mp4"}),
        (("film.mp4",), "deep/new/", {"deep/new/film.mp4"}),
        (("film.mp4", "films/one.mp4"), "out", {"out/film.mp4", "out/one.mp4"}),
        (("films",), "out", {"out/one.mp4", "out/two.mkv", "out/deep/three.mov"}),
        (("films/*.m*",), "out", {"out/one.mp4", "out/two.mkv"}),
        (("films/**/*.mov",), "out", {"out/deep/three.mov"}),
        (("films/one.*", "film.mp4"), "out", {"out/one.mp4", "out/film.mp4"}),
        (("film.mp4", "film.mp4"), "out", {"out/film.mp4"}),
    ],
)
def test_films_are_named_as_pictures_are(
    inputs: tuple[str, ...], output: str, written: set[str], here: Path
) -> None:
    before = _files(".")
    ended = _stylize(*inputs, "-o", output)
    assert ended.code == 0, ended.error
    assert _files(".") - before == written
    assert _files(".") >= before


def test_a_second_run_does_not_take_outputs_for_films(here: Path) -> None:
    for _ in range(2):
        ended = _stylize("films", "-o", "films/out", "--overwrite", "--json")
        assert ended.code == 0, ended.error
        assert len(json.loads(ended.out)["inputs"]) == 3
    assert _files("films/out") == {"one.mp4", "two.mkv", "deep/three.mov"}


@pytest.mark.parametrize(
    ("inputs", "output", "words"),
    [
        (("film.mp4", "films/one.mp4"), "out.mp4", "out.mp4/"),
        (("films",), "out.mp4", "out.mp4/"),
        (("films/*.mp4",), "out.mp4", "out.mp4/"),
        (("films",), "film.mp4", "a file"),
        (("film.mp4",), "film.mp4/", "film.mp4/: there is a file"),
        (("film.mp4", "films/deep/../../film.mp4"), "out", "would both become"),
        (("no*.mp4",), "out", "no match"),
        (("films/deep/none",), "out", "no such file"),
        (("films/notes.txt",), "out", "not a readable video"),
        (("cloud://host/film.mp4",), "out.mp4", "the scheme cloud:// is unknown"),
        (("film.mp4",), "nowhere/out.mp4", "nowhere: no such folder"),
        (("film.mp4",), "/proc/out.mp4", "/proc"),
        (("film.mp4",), "/proc/nst/", "/proc"),
        (("film.mp4",), "link.mp4", "a link to what is not there"),
        (("pipe.mp4",), "out.mp4", "a pipe"),
        (("/dev/null",), "out.mp4", "a pipe or device"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(
    inputs: tuple[str, ...], output: str, words: str, here: Path
) -> None:
    Path("link.mp4").symlink_to("nowhere.mp4")
    os.mkfifo("pipe.mp4")
    before = _files(".")
    ended = _stylize(*inputs, "-o", output)
    assert ended.code == 2
    assert words in ended.error_line
    assert _files(".") == before
    assert Path("link.mp4").is_symlink()


def test_several_styles_are_a_film_each_and_none_is_lost(here: Path) -> None:
    arguments = ("--style", "wave", "--style", "pack:wave=1,udnie=1", "--max-side", "32", "--json")
    ended = _stylize("film.mp4", "-o", "out.mp4", *arguments)
    assert ended.code == 0, ended.error
    names = ["out-wave.mp4", "out-pack-wave=0.5,udnie=0.5.mp4", "out-identity.mp4"]
    assert [each["output"] for each in json.loads(ended.out)["inputs"]] == names
    assert {*names} <= _files(".")
    assert len({Path(name).read_bytes() for name in names}) == 3
    ended = _stylize("film.mp4", "films/two.mkv", "-o", "out", *arguments[2:])
    assert ended.code == 0, ended.error
    mixed = "pack-wave=0.5,udnie=0.5"
    expected = {f"film-{mixed}.mp4", "film-identity.mp4", f"two-{mixed}.mkv", "two-identity.mkv"}
    assert _files("out") == expected


@pytest.mark.parametrize("second", ["wavee", "identity", "none.safetensors"])
def test_a_wrong_second_style_is_told_before_the_first_is_begun(second: str, here: Path) -> None:
    before = _files(".")
    ended = _stylize("film.mp4", "-o", "out.mp4", "--style", "identity", style=second)
    assert ended.code == 2
    assert second in ended.error_line
    assert _files(".") == before


def test_the_time_told_for_a_film_is_what_its_user_has_waited(here: Path) -> None:
    started = time.monotonic()
    one = json.loads(_stylize("film.mp4", "-o", "out.mp4", "--json").out)["inputs"][0]
    waited = time.monotonic() - started
    seconds = one["seconds"]
    parts = sum(value for name, value in seconds.items() if name != "total")
    assert parts - 0.01 <= seconds["total"] <= waited
    assert one["frames_per_second"] == pytest.approx(12 / seconds["total"], rel=0.01)
    started = time.monotonic()
    several = json.loads(_stylize("films", "-o", "out", "--json").out)["inputs"]
    waited = time.monotonic() - started
    assert all(0 < each["seconds"]["total"] <= waited for each in several)


def test_what_a_run_took_is_told_once(here: Path) -> None:
    arguments = ("--style", "identity", "--workers", "0")
    told = nst("stylize", "video", "film.mp4", "-o", "out.mp4", *arguments)
    assert told.error == "12 of 12 frames, 100 %\n"
    assert re.search(r"verified, [\d.]+ s \(", told.out)
    Image.new("RGB", (16, 16)).save("a.png")
    told = nst("stylize", "images", "a.png", "-o", "pictures", *arguments)
    assert told.error == "1 of 1 picture, 100 %\n"
    assert re.search(r"0 failed, [\d.]+ s", told.out)


@pytest.mark.parametrize("inputs", [("films",), ("films/**/*.m*",)])
def test_a_link_loop_is_one_failure_and_the_films_are_done(
    inputs: tuple[str, ...], here: Path
) -> None:
    Path("films/deep/loop").symlink_to(here / "films", target_is_directory=True)
    ended = _stylize(*inputs, "-o", "out", "--json")
    assert ended.code == 1
    told = [line for line in ended.error.splitlines() if line.startswith("error")]
    assert len(told) == 1
    assert told[0].endswith("films/deep/loop: links to a folder above it")
    by_status: dict[str, set[str]] = {"done": set(), "failed": set()}
    for one in json.loads(ended.out)["inputs"]:
        by_status[one["status"]].add(Path(one["input"]).name)
    assert by_status == {"done": {"one.mp4", "two.mkv", "three.mov"}, "failed": {"loop"}}


@pytest.mark.parametrize(
    ("inputs", "output", "words"),
    [
        (("empty",), "out", "empty: no videos in this folder"),
        (("films", "empty"), "out", "empty: no videos in this folder"),
        (("empty/**/*.mp4",), "out", "no match for this glob"),
        (("films", "film.mp4"), "out.mp4", "out.mp4/"),
        (("films", "films/deep/../one.mp4"), "out", "would both become"),
    ],
)
def test_a_link_loop_hides_no_other_mistake(
    inputs: tuple[str, ...], output: str, words: str, here: Path
) -> None:
    Path("empty").mkdir()
    for folder in ("empty", "films"):
        Path(folder, "loop").symlink_to(here / folder, target_is_directory=True)
    ended = _stylize(*inputs, "-o", output)
    assert ended.code == 2
    assert words in ended.error_line
    assert not Path(output).exists()


def test_a_folder_that_cannot_be_listed_is_told_and_the_others_are_done(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scandir(folder: str | Path) -> Any:
        if str(folder).endswith(("films/deep", "locked")):
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return listed(folder)

    listed = os.scandir
    monkeypatch.setattr("pipeline.storage.local.os.scandir", scandir)
    ended = _stylize("films", "-o", "out")
    assert ended.code == 1
    assert "error: films/deep: cannot be listed (Permission denied)\n" in ended.error
    assert _files("out") == {"one.mp4", "two.mkv"}
    Path("locked").mkdir()
    refused = _stylize("locked", "-o", "out")
    assert refused.error_line == "error: locked: cannot be listed (Permission denied)"
