"""`nst.stylize_video`, `stylize_images` and `preview`: what their commands do, with exceptions."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import nst
from jobs.specs.applying import PoolSpec, StylizeImages, StylizeVideo
from jobs.specs.preview import Preview
from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import EnvironmentProblem, InputError, MediaError
from pipeline.work.progress import Progress
from tests.kit.media import RATE, decoded_frames


def test_a_film_is_stylized_as_by_the_command(clip: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    report = nst.stylize_video(
        clip, tmp_path / "out.mkv", style="identity", end="0:00.5", on_progress=told.append
    )
    assert report.inputs[0].status == "done"
    assert len(decoded_frames(tmp_path / "out.mkv")) == RATE // 2
    assert (told[-1].done, told[-1].total, told[-1].unit) == (RATE // 2, RATE // 2, "frames")


def test_the_keywords_are_the_fields_of_the_specification(
    monkeypatch: pytest.MonkeyPatch, style: Style
) -> None:
    asked: list[Any] = []

    def take(jobs: Any, on_progress: Any) -> Any:
        asked.extend(jobs)
        raise EnvironmentProblem("not here")

    monkeypatch.setattr("jobs.applying.stylize_video.stylize_in_styles", take)
    with pytest.raises(nst.NstError, match="not here"):
        nst.stylize_video(
            ["a.mp4", Path("b.mp4")],
            "out/",
            style=["wave", style],
            strength=0.5,
            strengths={"wave": 0.7},
            start=1.5,
            duration="0:02",
            fps=23.976,
            coherence=0.7,
            work_dir="work",
            workers=2,
        )
    names = ("wave", str(style.path))
    assert asked == [
        StylizeVideo(
            (Path("a.mp4"), Path("b.mp4")),
            "out/",
            StyleSpec(name, strength=0.5, strengths=(("wave", 0.7),)),
            PoolSpec(workers=2),
            start=Fraction(3, 2),
            duration=Fraction(2),
            fps=Fraction(24000, 1001),
            coherence=0.7,
            work_dir=Path("work"),
        )
        for name in names
    ]


def test_what_is_no_keyword_or_no_choice_is_refused(tmp_path: Path) -> None:
    stylize: Any = nst.stylize_video
    with pytest.raises(TypeError, match="stroke_width"):
        stylize("a.mp4", "b.mp4", style="wave", stroke_width=2)
    with pytest.raises(TypeError, match="style"):
        stylize("a.mp4", "b.mp4")
    with pytest.raises(InputError, match=r"--device tpu: auto, cpu, cuda, .* are allowed"):
        stylize("a.mp4", "b.mp4", style="wave", device="tpu")


def test_what_has_no_style_or_no_time_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no style"):
        nst.stylize_video("a.mp4", tmp_path / "b.mp4", style=[])
    for start in (float("nan"), "soon"):
        with pytest.raises(InputError, match="--start"):
            nst.stylize_video("a.mp4", tmp_path / "b.mp4", style="wave", start=start)


def test_a_whole_number_is_the_number_that_the_command_takes(photos: Path, tmp_path: Path) -> None:
    photo = next(photos.rglob("*.jpg"))
    for strength in (1.0, 1):
        report = nst.stylize_images(photo, tmp_path / "out/", style="identity", strength=strength)
    assert (report.done, report.reused) == (0, 1)


def test_a_film_that_fails_alone_is_an_exception_and_one_of_several_a_line(
    clip: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no film")
    with pytest.raises(MediaError, match=r"text\.mp4"):
        nst.stylize_video(text, tmp_path / "out.mp4", style="identity", workers=0)
    report = nst.stylize_video(
        [text, clip], tmp_path / "out", style="identity", workers=0, duration=0.25
    )
    assert [one.status for one in report.inputs] == ["failed", "done"]


def test_pictures_are_stylized_as_by_the_command(photos: Path, tmp_path: Path) -> None:
    report = nst.stylize_images(photos, tmp_path / "out", style="identity", format="png")
    assert (report.done, report.failed) == (10, 0)
    assert len(list((tmp_path / "out").rglob("*.png"))) == 10
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(MediaError, match=r"text\.png: "):
        nst.stylize_images(tmp_path / "text.png", tmp_path / "more", style="identity")


def test_pictures_get_the_styles_that_are_named(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[StylizeImages] = []
    monkeypatch.setattr(
        "jobs.applying.stylize_images.stylize_images", lambda job, _: asked.append(job)
    )
    with pytest.raises(AttributeError):  # no report comes
        nst.stylize_images([photos], "out", style=("wave", "udnie"), styles_per_image=1, tile="off")
    (job,) = asked
    assert job == StylizeImages(
        (str(photos),),
        "out",
        (StyleSpec("wave"), StyleSpec("udnie")),
        styles_per_image=1,
        tile="off",
    )


def test_a_preview_is_written_as_by_the_command(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = tmp_path / "sheet.png"
    report = nst.preview(photos / "even" / "0.jpg", sheet, styles="identity", max_side=64)
    assert report.output == str(sheet)
    assert sheet.is_file()
    asked: list[Preview] = []
    monkeypatch.setattr("jobs.preview.preview.preview", lambda job, _: asked.append(job))
    nst.preview("film.mp4", styles=["wave"], at="1:02", strokes=(0.5, 1))
    assert asked == [Preview(("film.mp4",), styles=("wave",), at=("1:02",), strokes=(0.5, 1))]
