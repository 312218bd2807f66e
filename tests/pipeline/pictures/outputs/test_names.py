"""What outputs are called, and which styles pictures get."""

from __future__ import annotations

import os
from collections import Counter
from itertools import combinations
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nst_core.errors import InputError
from pipeline.pictures.outputs.names import OutputNames
from pipeline.pictures.settings import FormatChoice

STYLES = ("wave", "mosaic", "scream", "candy")
PICTURES = [f"class{number % 7}/{number:04d}.jpg" for number in range(3000)]


def _names(
    chosen: FormatChoice = "same",
    styles: tuple[str, ...] = ("wave",),
    styles_per_image: int | None = None,
    seed: int = 0,
) -> OutputNames:
    return OutputNames(chosen, styles, styles_per_image or len(styles), seed)


@pytest.mark.parametrize(
    ("name", "chosen", "expected"),
    [
        ("a/b.tif", "same", "a/b.tif"),
        ("a/b.JPG", "same", "a/b.JPG"),
        ("a/b.tif", "png", "a/b.png"),
        ("a/b.JPEG", "jpeg", "a/b.jpg"),
        ("a.b/c.d.png", "webp", "a.b/c.d.webp"),
        ("b", "png", "b.png"),
    ],
)
def test_names_are_kept_and_the_ending_follows_the_format(
    name: str, chosen: FormatChoice, expected: str
) -> None:
    assert _names(chosen).name_of(name, "wave") == expected


def test_with_several_styles_the_name_says_which() -> None:
    names = _names("same", STYLES)
    assert names.name_of("a/b.jpg", "wave") == "a/b-wave.jpg"
    assert _names("webp", STYLES).name_of("a/b.jpg", "candy") == "a/b-candy.webp"


def test_a_whole_name_keeps_the_ending_of_the_source() -> None:
    assert _names("webp").name_of("a/b.bmp", "wave", whole=True) == "a/b.bmp.webp"
    assert _names("png", STYLES).name_of("b.bmp", "wave", whole=True) == "b.bmp-wave.png"


@pytest.mark.parametrize("name", ["a.unknown", "a", "a/.jpg"])
def test_an_ending_that_says_no_format_asks_for_one(name: str) -> None:
    with pytest.raises(InputError, match=rf"^{name}: no format .*; choose one with --format"):
        _names("same").name_of(name, "wave")
    assert _names("png").name_of(name, "wave").endswith(".png")


@pytest.mark.parametrize(
    "name", ["../a.jpg", "a/../../b.jpg", "a/../b.jpg", "/a.jpg", "//a.jpg", "", ".", "/"]
)
def test_a_name_that_leads_out_of_its_folder_is_refused(name: str) -> None:
    for chosen in ("same", "png"):
        with pytest.raises(InputError, match="leads out of the output folder"):
            _names(chosen).name_of(name, "wave")


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.sampled_from(("png", "webp")))
def test_no_name_whatever_leads_out_of_the_output_folder(name: str, chosen: FormatChoice) -> None:
    try:
        output = _names(chosen).name_of(name, "wave")
    except InputError:
        return
    below = os.path.normpath(f"/out/{output}")
    assert below.startswith("/out/")
    assert PurePosixPath(output).parent == PurePosixPath(name).parent


def test_names_that_are_no_text_keep_their_bytes() -> None:
    name = os.fsdecode(b"caf\xe9.tif")
    assert os.fsencode(_names("png").name_of(name, "wave")) == b"caf\xe9.png"
    assert len(_names("png", STYLES, 2).styles_of(name)) == 2


def test_each_picture_gets_so_many_different_styles() -> None:
    for count in range(1, 5):
        names = _names("same", STYLES, count)
        for picture in PICTURES[:200]:
            chosen = names.styles_of(picture)
            assert len(set(chosen)) == len(chosen) == count
            assert set(chosen) <= set(STYLES)


def test_all_styles_keep_their_order() -> None:
    assert _names("same", STYLES).styles_of("a.jpg") == STYLES


def test_the_choice_is_the_seeds_and_the_names_and_nothing_elses() -> None:
    chosen = {name: _names("same", STYLES, 1, seed=7).styles_of(name) for name in PICTURES}
    again = _names("png", STYLES, 1, seed=7)
    assert {name: again.styles_of(name) for name in reversed(PICTURES)} == chosen
    other = _names("same", STYLES, 1, seed=8)
    differing = sum(other.styles_of(name) != chosen[name] for name in PICTURES)
    # Three of four change on average: 2250, with a standard deviation of 24.
    assert abs(differing - 2250) < 120


def test_the_choice_is_known_for_good() -> None:
    """A resumed run of a later version must choose alike: these were chosen once."""
    names = _names("same", STYLES, 1, seed=0)
    assert [names.styles_of(f"{number}.jpg")[0] for number in range(8)] == [
        "candy",
        "scream",
        "scream",
        "mosaic",
        "mosaic",
        "candy",
        "scream",
        "candy",
    ]


def test_the_order_in_which_styles_are_named_does_not_matter() -> None:
    names, turned = _names("same", STYLES, 2, seed=1), _names("same", STYLES[::-1], 2, seed=1)
    assert all(set(names.styles_of(p)) == set(turned.styles_of(p)) for p in PICTURES[:300])


def test_styles_come_equally_often_and_so_do_pairs_of_them() -> None:
    names = _names("same", STYLES, 2, seed=5)
    pairs = Counter(frozenset(names.styles_of(picture)) for picture in PICTURES)
    assert set(pairs) == {frozenset(pair) for pair in combinations(STYLES, 2)}
    # 500 each, with a standard deviation of 20.
    assert all(abs(count - 500) < 100 for count in pairs.values())


def test_a_style_that_goes_changes_only_the_pictures_that_had_it() -> None:
    names, fewer = _names("same", STYLES, 1), _names("same", STYLES[:-1], 1)
    kept = [picture for picture in PICTURES if names.styles_of(picture) != (STYLES[-1],)]
    assert 0 < len(kept) < len(PICTURES)
    assert all(names.styles_of(picture) == fewer.styles_of(picture) for picture in kept)
