"""Names of numbered pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from nst_core.errors import MediaError
from pipeline.numbered.names import Numbering, find_pictures, grouped, numbering_of


@pytest.mark.parametrize(
    ("name", "before", "digits", "after"),
    [
        ("%05d.png", "", 5, ".png"),
        ("shot.%04d.exr", "shot.", 4, ".exr"),
        ("shot.####.exr", "shot.", 4, ".exr"),
        ("take #2.%d.tif", "take #2.", 1, ".tif"),
        ("100%%.%03d.PNG", "100%.", 3, ".PNG"),
        ("a%02d_left.jpg", "a", 2, "_left.jpg"),
    ],
)
def test_patterns_are_read(name: str, before: str, digits: int, after: str) -> None:
    numbering = numbering_of(Path("folder", name))
    assert numbering == Numbering(Path("folder"), before, digits, after)


@pytest.mark.parametrize("name", ["film.mp4", "%05d.mp4", "one.png", "100%%d.png", "#1.mov"])
def test_other_names_mean_a_file(name: str) -> None:
    assert numbering_of(Path(name)) is None


def test_a_file_of_that_very_name_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "%05d.png"
    assert numbering_of(path)
    path.write_bytes(b"x")
    assert numbering_of(path) is None


def test_a_pattern_reads_as_what_it_was_made_from() -> None:
    for numbering in (Numbering(Path("f"), "50%.", 4, ".exr"), Numbering(Path("f"), "", 1, ".png")):
        assert numbering_of(numbering.pattern) == numbering


def test_only_numbers_with_the_right_zeros_belong() -> None:
    numbering = Numbering(Path(), "a", 3, ".png")
    names = ["a007.png", "a1234.png", "a07.png", "a0007.png", "a.png", "a12x.png", "b007.png"]
    assert [numbering.number_of(name) for name in names] == [7, 1234] + [None] * 5
    assert Numbering(Path(), "", 1, ".png").number_of("007.png") is None
    assert Numbering(Path(), "12", 1, "34.png").number_of("1234.png") is None


def test_gaps_and_empty_files_are_told(tmp_path: Path) -> None:
    for number in (9, 10, 11, 13, 20):
        (tmp_path / f"{number}.png").write_bytes(b"" if number == 11 else b"x")
    (tmp_path / "note.txt").write_text("x")
    pictures = find_pictures(Numbering(tmp_path, "", 1, ".png"))
    assert pictures.numbers == (9, 10, 13, 20)
    assert pictures.empty == (11,)
    assert pictures.gaps == [(11, 12), (14, 19)]
    with pytest.raises(MediaError, match=r"b%d.png: no such pictures, such as b1.png"):
        find_pictures(Numbering(tmp_path, "b", 1, ".png"))


def test_pictures_numbered_alike_are_put_together() -> None:
    names = ["s1.0998.exr", "s1.0999.exr", "s1.1000.exr", "s2.1.exr", "8.png", "9.png", "10.png"]
    found = grouped(Path("f", name) for name in [*names, "cover.png", "film1.mp4", "film2.mp4"])
    assert {numbering.pattern.name: len(pictures) for numbering, pictures in found.items()} == {
        "s1.%04d.exr": 3,
        "%d.png": 3,
    }
