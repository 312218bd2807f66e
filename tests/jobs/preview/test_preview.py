"""A sheet or page shows what a run would give, of every input that can be read."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from jobs.applying.stylize_video import stylize_videos
from jobs.preview.frames import spread, timecode
from jobs.preview.preview import preview
from jobs.specs.applying import PoolSpec, StylizeVideo
from jobs.specs.preview import Preview
from nst_core.checkpoints.library import Style, bundled_styles
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError
from nst_core.stylizer import Stylizer
from pipeline.films.film_frames import frames_at
from tests.kit.command_line import nst
from tests.kit.media import make_clip, moving_picture
from tests.kit.stroke_packs import save_stroke_pack

_SIDE = 96


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """White on the left."""
    path = tmp_path / "mask.png"
    picture = Image.new("L", (48, 32))
    picture.paste(255, (0, 0, 24, 32))
    picture.save(path)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(moving_picture(3)).save(path)
    return path


def _job(*inputs: Path, output: Path, **options: Any) -> Preview:
    defaults: dict[str, Any] = {"styles": ("identity",), "max_side": _SIDE}
    return Preview(tuple(map(str, inputs)), output, **(defaults | options))


def _data(page: Path) -> dict[str, Any]:
    """The pictures and looks of a page."""
    (text,) = re.findall(r'type="application/json" id="data">(.*?)</script>', page.read_text())
    data: dict[str, Any] = json.loads(text)
    return data


def _pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _holds(sheet: NDArray[np.uint8], cell: NDArray[np.uint8]) -> int:
    """How many times a sheet shows a picture, pixel by pixel."""
    height, width, _ = cell.shape
    corners = np.argwhere((sheet == cell[0, 0]).all(axis=2))
    return sum(
        np.array_equal(sheet[y : y + height, x : x + width], cell) for y, x in corners.tolist()
    )


def test_a_sheet_shows_the_source_and_what_each_style_makes_of_it(
    style: Style, tmp_path: Path
) -> None:
    pixels = np.asarray(Image.fromarray(moving_picture(3)).resize((480, 320)))
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    report = preview(
        _job(
            tmp_path / "photo.png",
            output=tmp_path / "sheet.png",
            styles=("identity", str(style.path)),
            max_side=480,
        )
    )
    sheet = _pixels(tmp_path / "sheet.png")
    assert _holds(sheet, pixels) == 2  # the source, and identity
    assert _holds(sheet, Stylizer(style, engine="torch").stylize(pixels)) == 1
    assert report.styles == ["identity", str(style.path)]
    assert report.engine == "torch cpu float32"
    assert report.failures == []


def test_strokes_and_strengths_are_shown_beside_each_other(tmp_path: Path) -> None:
    pack = save_stroke_pack(tmp_path / "pack.safetensors")
    Image.fromarray(moving_picture(3, 384, 384)).save(tmp_path / "photo.png")
    job = _job(
        tmp_path / "photo.png",
        output=tmp_path / "page.html",
        styles=(f"{pack}:wave", f"{pack}:wave=0.5,scream=0.5"),
        strokes=(0.5, 2.0),
        strengths=(0.5, 1.0),
        max_side=384,
    )
    report = preview(job)
    assert (report.strokes, report.strengths) == ([0.5, 2.0], [0.5, 1.0])
    data = _data(job.output)
    assert len({tuple(look.items()) for look in data["looks"]}) == len(data["looks"]) == 8
    assert data["looks"][0] == {"style": "pack-wave", "stroke": "0.5", "strength": "0.5"}
    (frame,) = data["frames"]
    assert len(set(frame["stylized"])) == 8
    preview(replace(job, output=tmp_path / "sheet.png"))
    assert len(_pixels(tmp_path / "sheet.png")) > 4 * 384  # a row for each


def test_a_page_is_one_file_that_asks_no_network(picture: Path, tmp_path: Path) -> None:
    odd = picture.rename(tmp_path / "<script><b>'&.png")
    preview(_job(odd, output=tmp_path / "page.html"))
    text = (tmp_path / "page.html").read_text()
    assert "http" not in text
    assert "src=" not in text.replace("after.src", "")
    tags: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            tags.append(tag)

    Parser().feed(text)
    assert "b" not in tags
    assert tags.count("script") == 2
    assert _data(tmp_path / "page.html")["frames"][0]["label"] == odd.name


def test_all_bundled_styles_are_shown_by_default(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = nst("preview", picture, "--max-side", "32", "--json")
    assert ended.code == 0
    report = json.loads(ended.out)
    assert report["styles"] == bundled_styles()
    assert report["output"] == "preview.png"
    assert report["frames"][0] == {
        "input": str(picture),
        "seconds": None,
        "width": 96,
        "height": 64,
    }
    again = nst("preview", picture)
    assert again.code == 2
    assert again.error_line == (
        "error: preview.png exists; --overwrite replaces it, -o names another file"
    )


def test_one_broken_input_is_named_and_the_others_are_shown(
    picture: Path, clip: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    missing = tmp_path / "missing.jpg"
    options = ("--style", "identity", "--frames", "2", "--max-side", "32")
    ended = nst(
        *("preview", broken, missing, clip, picture, "-o", tmp_path / "sheet.jpg"), *options
    )
    assert ended.code == 1
    errors = [line for line in ended.error.splitlines() if line.startswith("error: ")]
    assert [str(broken) in line for line in errors] == [True, False]
    assert [str(missing) in line for line in errors] == [False, True]
    assert ended.out.startswith(f"{tmp_path / 'sheet.jpg'}: 3 frames in 1 style, ")
    alone = nst("preview", broken, "-o", tmp_path / "none.png", *options)
    assert alone.code == 2
    assert alone.error.splitlines()[-1].startswith(f"error: {broken}: not a readable video")
    assert not (tmp_path / "none.png").exists()


def test_of_a_folder_a_sample_is_shown(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(9):
        Image.fromarray(moving_picture(number)).save(folder / f"{number}.png")
    report = preview(_job(folder, output=tmp_path / "page.html", frames=3))
    assert [Path(str(each["input"])).stem for each in report.frames] == ["1", "4", "7"]
    assert spread([1, 2], 5) == [1, 2]


def test_frames_are_chosen_by_their_times(clip: Path, tmp_path: Path) -> None:
    report = preview(_job(clip, output=tmp_path / "page.html", at=("0.5", "00:01")))
    assert [each["seconds"] for each in report.frames] == [0.5, 1.0]
    labels = [each["label"] for each in _data(tmp_path / "page.html")["frames"]]
    assert labels == ["clip.mp4 at 0:00.5", "clip.mp4 at 0:01"]
    with pytest.raises(InputError, match="--at soon"):
        preview(_job(clip, output=tmp_path / "other.html", at=("soon",)))


def test_what_looks_otherwise_at_full_size_is_told(style: Style, tmp_path: Path) -> None:
    Image.new("RGB", (800, 600), "grey").save(tmp_path / "large.png")
    options: dict[str, Any] = {"output": tmp_path / "page.html", "overwrite": True}
    (note,) = preview(_job(tmp_path / "large.png", styles=(str(style.path),), **options)).notes
    assert note.startswith(f"at full size (800x600) the strokes of {style.name} will be finer")
    pack = save_stroke_pack(tmp_path / "pack.safetensors")
    job = _job(tmp_path / "large.png", styles=(f"{pack}:wave",), **(options | {"max_side": 400}))
    assert preview(job).notes == []  # it has strokes for both sizes
    (finer,) = preview(replace(job, strokes=(4.0,))).notes
    assert finer.startswith("at full size (800x600) the strokes of pack-wave will be finer")
    (limit,) = preview(replace(job, strokes=(4.0,), max_side=800)).notes
    assert "its widest are taken" in limit


def test_a_transparent_picture_lies_on_white(tmp_path: Path) -> None:
    pixels = np.dstack([np.zeros((64, 96, 3), np.uint8), np.zeros((64, 96), np.uint8)])
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    preview(_job(tmp_path / "clear.png", output=tmp_path / "sheet.png"))
    assert _pixels(tmp_path / "sheet.png")[-40:].min() == 255


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"output": Path("sheet.gif")}, ".png or .jpg for a sheet, .html for a page"),
        ({"output": Path("no/such/sheet.png")}, "no such folder"),
        ({"frames": 0}, "--frames 0"),
        ({"strengths": (2.0,)}, "--strengths 2"),
        ({"strokes": (9.0,)}, "--stroke 9"),
        ({"strokes": (0.5,), "styles": None}, "one size of strokes"),
        ({"styles": ("wavy",)}, "wave"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(
    options: dict[str, Any], words: str, picture: Path, style: Style, tmp_path: Path
) -> None:
    if options.get("styles", ()) is None:
        options = options | {"styles": (str(style.path),)}
    with pytest.raises(InputError, match=re.escape(words)):
        preview(_job(picture, **({"output": tmp_path / "sheet.png"} | options)))


def test_an_input_is_not_replaced(picture: Path) -> None:
    with pytest.raises(InputError, match="would replace an input"):
        preview(_job(picture, output=picture, overwrite=True))


def test_times_are_written_as_players_do() -> None:
    times = [timecode(seconds) for seconds in (0, 7.5, 59.999, 62.25, 3723)]
    assert times == ["0:00", "0:07.5", "1:00", "1:02.25", "1:02:03"]


def test_frames_of_a_film_are_shown_as_a_run_with_the_timeline_makes_them(
    style: Style, mask: Path, tmp_path: Path
) -> None:
    film, run, timeline = (tmp_path / name for name in ("film.mkv", "run.mkv", "timeline.txt"))
    make_clip(film, width=480, height=320, sound=False)
    timeline.write_text(f"0.5-1 style={style.path} fade=0.4\n1-2 style={style.path} mask=mask.png")
    job = StylizeVideo(
        *((film,), run, StyleSpec("identity", engine="torch"), PoolSpec(workers=0)),
        codec="ffv1",
        timeline=timeline,
    )
    assert stylize_videos(job).inputs[0].status == "done"
    at = ("0.2", "0.45", "0.8", "1.5")
    sheet = tmp_path / "sheet.png"
    report = preview(_job(film, output=sheet, styles=(), timeline=timeline, at=at, max_side=480))
    assert report.styles == ["identity"]
    for frame in frames_at(run, [Fraction(time) for time in at], max_side=480):
        assert _holds(_pixels(sheet), frame.rgb) == 1


def test_a_picture_is_in_the_style_where_its_mask_is_white(
    style: Style, mask: Path, tmp_path: Path
) -> None:
    pixels = moving_picture(0, 480, 320)
    photo, sheet = tmp_path / "photo.png", tmp_path / "sheet.png"
    Image.fromarray(pixels).save(photo)
    preview(_job(photo, output=sheet, styles=(str(style.path),), mask=mask, max_side=480))
    stylized = Stylizer(style, engine="torch").stylize(pixels)
    left, right = np.s_[:, :230], np.s_[:, 250:]
    assert _holds(_pixels(sheet), stylized[left]) == 1
    assert _holds(_pixels(sheet), stylized[right]) == 0
    assert _holds(_pixels(sheet), pixels[right]) == 2


def test_a_timeline_is_for_films(picture: Path, tmp_path: Path) -> None:
    (tmp_path / "timeline.txt").write_text("0-1 style=wave")
    with pytest.raises(InputError, match="a picture, and --timeline is for films; leave one out"):
        preview(_job(picture, output=tmp_path / "o.png", timeline=tmp_path / "timeline.txt"))
