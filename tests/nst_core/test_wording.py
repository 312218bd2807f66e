from __future__ import annotations

import pytest

from cluster import connection
from nst_core.errors import EnvironmentProblem
from nst_core.wording import counted, first_line, last_line, last_line_without_class


def test_a_line_of_an_error_is_never_empty() -> None:
    error = ValueError("\n one\n two \n")
    assert (first_line(error), last_line(error)) == ("one", "two")
    for silent in (TimeoutError(), KeyError("\n").__class__(), ValueError("  \n ")):
        assert first_line(silent) == last_line(silent) == type(silent).__name__


def test_one_thing_is_told_in_the_singular() -> None:
    assert [counted(number, "pictures") for number in (0, 1, 2)] == [
        "0 pictures",
        "1 picture",
        "2 pictures",
    ]


def test_an_error_of_ray_without_a_word_is_told_by_its_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(address: str) -> None:
        raise AssertionError

    monkeypatch.setattr(connection, "check_head", refuse)
    with pytest.raises(EnvironmentProblem, match=r"no Ray at 10\.0\.0\.1:6379 \(AssertionError\)"):
        connection._open("10.0.0.1:6379")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "Traceback:\n  File ...\nnst_core.errors.MediaError: a.jpg: is broken\n",
            "a.jpg: is broken",
        ),
        ("RayTaskError: KeyError: 'x'", "KeyError: 'x'"),
        ("photo.jpg: cannot be read", "photo.jpg: cannot be read"),
        ("photo.JPG: cannot be read", "photo.JPG: cannot be read"),
        ("nst_core.errors.TrainingDiverged: at step 3", "at step 3"),
        ("", "ValueError"),
    ],
)
def test_of_a_traceback_the_last_line_is_told_without_its_class(text: str, words: str) -> None:
    assert last_line_without_class(ValueError(text)) == words
