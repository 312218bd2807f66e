"""Where pictures go: a name for one, a folder for several, no report beside a user's own files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.kit.command_line import Ended, nst
from tests.kit.media import moving_picture


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's current folder, with two photographs in it."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a.jpg", "b.jpg")):
        Image.fromarray(moving_picture(number)).save(name)
    return tmp_path


def _stylize(*arguments: str, style: str = "identity") -> Ended:
    return nst("stylize", "images", *arguments, "--style", style, "--workers", "0", "-q")


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["out.png", "out.jpg", "OUT.JPEG", "deep/new/out.webp", "o.tif"])
def test_one_picture_and_a_pictures_name_are_a_file(name: str, here: Path) -> None:
    ended = _stylize("a.jpg", "-o", name)
    assert (ended.code, ended.error) == (0, "")
    assert ended.out.startswith(f"{name}: 1 picture done,")
    assert _files(here) == {"a.jpg", "b.jpg", name}
    with Image.open(name) as picture, Image.open("a.jpg") as source:
        assert picture.size == source.size


def test_a_picture_is_replaced_only_where_that_is_asked_for(here: Path) -> None:
    Image.new("RGB", (1, 1)).save("out.png")
    refused = _stylize("a.jpg", "-o", "out.png")
    assert refused.code == 2
    assert "--overwrite" in refused.error_line
    assert Image.open("out.png").size == (1, 1)
    assert _stylize("a.jpg", "-o", "out.png", "--overwrite").code == 0
    assert Image.open("out.png").size != (1, 1)
    for overwrite in ((), ("--overwrite",)):
        own = _stylize("a.jpg", "-o", "./a.jpg", *overwrite)
        assert own.code == 2
        assert "replace" in own.error_line
    assert _files(here) == {"a.jpg", "b.jpg", "out.png"}


def test_several_styles_of_one_picture_are_named_in_its_name(here: Path) -> None:
    arguments = ("--style", "wave", "--max-side", "32")
    assert _stylize("a.jpg", "-o", "out.png", *arguments).code == 0
    assert _files(here) == {"a.jpg", "b.jpg", "out-identity.png", "out-wave.png"}


@pytest.mark.parametrize(
    ("sources", "output", "inside"),
    [
        (("a.jpg",), "out", {"a.jpg"}),
        (("a.jpg",), "out.png/", {"a.jpg"}),
        (("a.jpg",), "there.png", {"a.jpg"}),
        (("a.jpg", "b.jpg"), "out.png/", {"a.jpg", "b.jpg"}),
        (("*.jpg",), "out", {"a.jpg", "b.jpg"}),
        ((".",), "out", {"a.jpg", "b.jpg"}),
    ],
)
def test_other_names_and_sources_mean_a_folder_with_its_report(
    sources: tuple[str, ...], output: str, inside: set[str], here: Path
) -> None:
    (here / "there.png").mkdir()
    assert _stylize(*sources, "-o", output).code == 0
    assert _files(here / output) == inside | {"report.json", "progress.jsonl", "manifest.jsonl"}
    assert _files(here) - {f"{Path(output)}/{name}" for name in _files(here / output)} == {
        "a.jpg",
        "b.jpg",
    }


@pytest.mark.parametrize("sources", [("a.jpg", "b.jpg"), ("*.jpg",), (".",), ("list.txt",)])
def test_several_pictures_and_one_pictures_name_are_refused(
    sources: tuple[str, ...], here: Path
) -> None:
    Path("list.txt").write_text("a.jpg\n")
    ended = _stylize(*sources, "-o", "out.png")
    assert ended.code == 2
    assert "out.png/" in ended.error_line
    assert _files(here) == {"a.jpg", "b.jpg", "list.txt"}


def test_a_name_and_another_format_are_refused(here: Path) -> None:
    ended = _stylize("a.jpg", "-o", "out.png", "--format", "jpeg")
    assert ended.code == 2
    assert "--format jpeg" in ended.error_line


@pytest.mark.parametrize("output", [".", "photos", "photos/"])
def test_beside_the_users_own_files_nothing_is_seen_but_pictures_and_a_run_goes_on(
    output: str, here: Path
) -> None:
    Path("photos").mkdir()
    Path("a.jpg").rename("photos/a.jpg")
    before = _files(here)
    source = "photos/a.jpg" if output == "." else "photos/*.jpg"
    arguments = (source, "-o", output, "--format", "webp")
    assert _stylize(*arguments).code == 0
    seen = {name for name in _files(here) if not Path(name).name.startswith(".")}
    assert seen == before | {str(Path(output) / "a.webp")}
    assert "1 reused" in _stylize(*arguments).out


@pytest.mark.parametrize("output", ["dataset", "dataset/train/", "dataset/new"])
def test_in_a_folder_of_other_pictures_nothing_is_seen_but_pictures(
    output: str, here: Path
) -> None:
    Path("dataset/train").mkdir(parents=True)
    Path("b.jpg").rename("dataset/train/b.jpg")
    before = _files(here)
    assert _stylize("a.jpg", "-o", output).code == 0
    seen = {name for name in _files(here) if not Path(name).name.startswith(".")}
    ours = {"report.json", "progress.jsonl", "manifest.jsonl"} if output.endswith("new") else set()
    assert seen == before | {str(Path(output) / name) for name in {"a.jpg", *ours}}
    assert "1 reused" in _stylize("a.jpg", "-o", output).out
    Path(output, "a.jpg").unlink()
    assert "1 picture done" in _stylize("a.jpg", "-o", output, "--report", "told.json").out
    assert Path("told.json").exists()


def test_a_report_goes_where_it_is_asked_for_and_replaces_no_other_file(here: Path) -> None:
    assert _stylize("a.jpg", "-o", "out.png", "--report", "told.json").code == 0
    assert json.loads(Path("told.json").read_text())["done"] == 1
    assert _stylize("a.jpg", "b.jpg", "-o", "out", "--report", "told.json").code == 0
    assert json.loads(Path("told.json").read_text())["done"] == 2
    assert json.loads(Path("out/report.json").read_text())["done"] == 2
    before = Path("b.jpg").read_bytes()
    refused = _stylize("a.jpg", "-o", "other", "--report", "b.jpg")
    assert refused.code == 2
    assert "no report" in refused.error_line
    assert Path("b.jpg").read_bytes() == before
    assert not Path("other").exists()


def test_one_reason_of_many_pictures_is_told_once_with_a_count(here: Path) -> None:
    for number in range(200):
        Path(f"{number:03d}.png").write_text("no picture")
    ended = _stylize("*.png", "-o", "out")
    assert ended.code == 1
    assert ended.error.count("\n") == 1
    assert "and 199 pictures more for the same reason" in ended.error
    assert len(json.loads(Path("out/report.json").read_text())["failures"]) == 200
