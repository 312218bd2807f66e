"""What is told at the end: each thing once, and hints that can be pasted."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from PIL import Image

from jobs.cli.reports import tell_images
from nst_core.checkpoints.library import Style
from nst_core.wording import quoted
from pipeline.pictures.report import StylizeImagesReport
from tests.kit.command_line import Ended, nst
from tests.kit.media import make_clip, moving_picture

HERE = ("--style", "identity", "--workers", "0", "-q")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's current folder, with twenty pictures in a folder of it."""
    monkeypatch.chdir(tmp_path)
    Path("my photos/deep").mkdir(parents=True)
    picture = Image.fromarray(moving_picture(0, 16, 16))
    for number in range(20):
        picture.save(Path("my photos", "deep" if number % 2 else "", f"a {number}.jpg"))
    return tmp_path


def _stylize(*options: str, output: str = "out dir") -> Ended:
    return nst("stylize", "images", "my photos", "-o", output, *HERE, *options)


@pytest.mark.parametrize(
    ("changed", "option"),
    [
        (("--strength", "0.5"), "--strength"),
        (("--quality", "80"), "--quality"),
        (("--strength", "0.5", "--keep-colors"), "--strength and --keep-colors"),
        (("--max-side", "32"), "--max-side"),
    ],
)
def test_pictures_made_with_another_option_are_one_line_with_its_name_and_a_count(
    changed: tuple[str, ...], option: str, here: Path
) -> None:
    assert _stylize().code == 0
    ended = _stylize(*changed)
    assert ended.code == 2  # nothing was started
    (line,) = ended.error.splitlines()
    assert line == (
        f"error: {here}/out dir/a 0.jpg exists and was made with another {option}; --overwrite "
        "replaces it; and 19 pictures more for the same reason "
        "(report.json or --report FILE lists them)"
    )


def test_where_some_pictures_are_new_the_code_is_1(here: Path) -> None:
    assert _stylize().code == 0
    Path("out dir", "a 0.jpg").unlink()
    ended = _stylize("--strength", "0.5")
    assert ended.code == 1
    assert "1 picture done, 0 reused, 19 failed" in ended.out


def test_another_style_is_named(here: Path, style: Style, lean_style: Style) -> None:
    for chosen, code in ((style, 0), (lean_style, 2)):
        ended = nst(
            *("stylize", "images", "my photos/a 0.jpg", "-o", "out", "--workers", "0", "-q"),
            *("--engine", "torch", "--style", str(chosen.path)),
        )
        assert ended.code == code
    assert "exists and was made with another --style; " in ended.error


def test_pictures_in_several_styles_are_counted_as_such(here: Path, style: Style) -> None:
    ended = _stylize("--style", str(style.path), "--sheet")
    assert ended.code == 0
    assert "out dir: 20 pictures in 2 styles done, 0 reused, 0 failed" in ended.out
    assert len(list(Path("out dir").rglob("a *.jpg"))) == 40


def test_a_picture_in_several_styles_is_told_by_the_names_it_got(here: Path, style: Style) -> None:
    ended = nst(
        *("stylize", "images", "my photos/a 0.jpg", "-o", "one.png", "--workers", "0", "-q"),
        *("--engine", "torch", "--style", str(style.path), "--style", "identity"),
    )
    assert ended.code == 0, ended.error
    assert ended.out.startswith("one-*.png: 1 picture in 2 styles done")
    assert len(list(Path().glob("one-*.png"))) == 2


def test_other_reasons_keep_their_lines(here: Path) -> None:
    for number in range(3):
        Path("my photos", f"bad {number}.jpg").write_text("no picture")
    assert _stylize().error.count("\n") == 3
    lines = _stylize("--strength", "0.5").error.splitlines()
    summed = [line for line in lines if "; and 19 pictures more for the same reason (" in line]
    assert len(summed) == 1
    assert len(lines) == 1 + 3


def test_films_made_otherwise_are_one_line_and_a_count(here: Path) -> None:
    Path("films").mkdir()
    for number in range(7):
        make_clip(Path("films", f"f {number}.mp4"), frames=2, sound=False)
    arguments = ("stylize", "video", "films", "-o", "out", *HERE)
    assert nst(*arguments).code == 0
    ended = nst(*arguments, "--strength", "0.5")
    assert ended.code == 2
    (line,) = ended.error.splitlines()
    assert "out/f 0.mp4 exists and was made with another --strength; " in line
    assert "; and 6 films more for the same reason (--json lists them)" in line


def test_a_rate_is_told_only_of_what_was_done(here: Path) -> None:
    assert "pictures/s" in _stylize().out
    again = _stylize()
    assert "20 reused, 0 failed" in again.out
    assert "pictures/s" not in again.out


def test_the_like_of_a_million_pictures_is_told_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = StylizeImagesReport(total=200_000)
    for number in range(report.total):
        report.fail(f"in/{number}.jpg", f"out/{number}-wave.jpg exists and was made otherwise")
    tell_images(report, "out", json=True)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: out/0-wave.jpg exists and was made otherwise; and 199999 ")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("stylize", "a b.jpg"), "`nst stylize images 'a b.jpg'`"),
        (("stylize", "a.JPEG", "-o", "b.png"), "`nst stylize images a.JPEG`"),
        (("stylize", "film.mp4", "-o", "b.mp4"), "`nst stylize video film.mp4`"),
        (("stylize", "*.mov"), "`nst stylize video '*.mov'`"),
        (
            ("stylize", "my photos"),
            "`nst stylize images 'my photos'` or `nst stylize video 'my photos'`",
        ),
        (("it's.png",), """`nst stylize images 'it'"'"'s.png'`"""),
        (("train", "painting.jpg"), "`nst train style painting.jpg`"),
    ],
)
def test_a_file_where_a_command_is_needed_names_the_command(
    typed: tuple[str, ...], meant: str, here: Path
) -> None:
    refused = nst(*typed)
    assert refused.code == 2
    assert f" (did you mean {meant}?); see `nst" in refused.error_line
    assert ". (did" not in refused.error_line


@pytest.mark.parametrize("typed", [("stylize", "nothing"), ("jobs", "a.jpg"), ("bogus",)])
def test_what_is_no_file_of_ours_is_no_such_command(typed: tuple[str, ...], here: Path) -> None:
    refused = nst(*typed)
    assert refused.code == 2
    assert "No such command" in refused.error_line
    assert "stylize images" not in refused.error_line


@pytest.mark.parametrize(
    "typed",
    [
        ("styles", "export", "my painting.png", "-o", "out.onnx"),
        ("optimize", "my painting.png", "--style", "wave", "-o", "my out.png"),
        ("optimize", "my film.mp4", "--style", "my painting.png", "-o", "my out.png"),
        ("styles", "export", "wave", "-o", "my style.pt"),
        ("stylize", "images", "my photos", "-o", "my out.png", *HERE),
        ("upscale", "my photos", "-o", "my out.png", "--model", "x4"),
        ("stylize", "video", "my films", "-o", "my out.mp4", *HERE),
        ("train", "style", "my painting.png", "--content", "my photos", "-o", "my style.jpg"),
    ],
)
def test_names_with_spaces_in_hints_can_be_pasted(typed: tuple[str, ...], here: Path) -> None:
    Path("my films").mkdir()
    for name in ("my film.mp4", "my films/my film.mp4"):
        make_clip(Path(name), frames=2, sound=False)
    Image.fromarray(moving_picture(0)).save("my painting.png")
    refused = nst(*typed)
    assert refused.code == 2
    advice = refused.error_line.partition("; ")[2]
    assert "my " in advice
    assert advice.count("'my ") == advice.count("my ")


def test_quoted_names_come_back_from_a_shell() -> None:
    for name in ("plain.jpg", "a b.jpg", "it's $HOME.jpg", "-o"):
        assert shlex.split(f"nst {quoted(Path(name))}") == ["nst", name]
