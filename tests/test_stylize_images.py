"""The image job in this process: every file is accounted for."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.progress import Progress
from jobs.specs import PoolSpec, StyleSpec, StylizeImages
from jobs.stylize_images import stylize_images
from nst_core.errors import InputError
from nst_core.style_library import Style
from nst_core.stylizer import Stylizer
from pipeline.image_records import ImageRecords
from tests.media import moving_picture


def _job(source: Path, output: Path, style: str, **options: object) -> StylizeImages:
    spec = StylizeImages((str(source),), output, StyleSpec(style), PoolSpec(workers=0))
    return dataclasses.replace(spec, **options)  # type: ignore[arg-type]


def _tree(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.suffix not in (".json", ".jsonl") and path.is_file()
    }


def test_names_and_tree_are_kept_and_pixels_are_the_stylizers(
    photos: Path, style: Style, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    report = stylize_images(_job(photos, output, str(style.path), format="png"))
    assert (report.total, report.done, report.failed) == (10, 10, 0)
    assert _tree(output) == {f"{f.parent.name}/{f.stem}.png" for f in photos.rglob("*.jpg")}
    with Image.open(photos / "odd" / "3.jpg") as before, Image.open(output / "odd/3.png") as after:
        expected = Stylizer(style).stylize(np.asarray(before))
        np.testing.assert_array_equal(np.asarray(after), expected)
    assert json.loads((output / "report.json").read_text())["done"] == 10


def test_broken_pictures_are_named_and_the_rest_goes_on(
    photos: Path, style: Style, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "broken.jpg").write_bytes(b"no picture")
    Image.fromarray(moving_picture(0)).save(source / "good.png")
    report = stylize_images(_job(source, tmp_path / "out", str(style.path)))
    assert (report.total, report.done, report.failed) == (2, 1, 1)
    assert report.failures[0]["path"] == str(source / "broken.jpg")
    assert "broken.jpg" in report.failures[0]["error"]
    assert _tree(tmp_path / "out") == {"good.png"}


def test_a_second_run_does_nothing_twice(photos: Path, style: Style, tmp_path: Path) -> None:
    output = tmp_path / "out"

    def interrupt(progress: Progress) -> None:
        if progress.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylize_images(_job(photos, output, str(style.path)), interrupt)
    report = stylize_images(_job(photos, output, str(style.path)))
    assert (report.reused, report.done) == (4, 6)
    again = stylize_images(_job(photos, output, str(style.path)))
    assert (again.reused, again.done, again.engine) == (10, 0, "none")


def test_what_was_made_otherwise_is_not_taken_for_done(
    photos: Path, style: Style, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    stylize_images(_job(photos, output, "identity"))
    report = stylize_images(_job(photos, output, str(style.path)))
    assert (report.reused, report.failed) == (0, 10)
    assert "--overwrite" in report.failures[0]["error"]
    report = stylize_images(_job(photos, output, str(style.path), overwrite=True))
    assert report.done == 10


def test_a_changed_source_is_done_again(style: Style, tmp_path: Path) -> None:
    source, output = tmp_path / "a.png", tmp_path / "out"
    Image.fromarray(moving_picture(0)).save(source)
    stylize_images(_job(source, output, str(style.path)))
    Image.fromarray(moving_picture(5)).save(source)
    os.utime(source, ns=(1, 1))
    report = stylize_images(_job(source, output, str(style.path), overwrite=True))
    assert (report.done, report.reused) == (1, 0)


def test_two_pictures_for_one_name_are_refused_before_any_work(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp"):
        Image.fromarray(moving_picture(0)).save(tmp_path / name)
    with pytest.raises(InputError, match="would both become"):
        stylize_images(_job(tmp_path, tmp_path / "out", "identity", format="webp"))
    assert not (tmp_path / "out").exists()


def test_writing_into_the_source_folder_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    Image.fromarray(moving_picture(0)).save(source)
    with pytest.raises(InputError, match="replace an input"):
        stylize_images(_job(source, tmp_path, "identity", overwrite=True))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pictures"):
        stylize_images(_job(tmp_path, tmp_path / "out", "identity"))


@pytest.mark.parametrize("disguise", ["dots", "link"])
def test_inputs_are_never_replaced_whatever_the_folder_is_called(
    tmp_path: Path, disguise: str
) -> None:
    source = tmp_path / "pictures" / "a.png"
    source.parent.mkdir()
    Image.fromarray(moving_picture(0)).save(source)
    before = source.read_bytes()
    if disguise == "dots":
        (tmp_path / "other").mkdir()
        output = tmp_path / "other" / ".." / "pictures"
    else:
        output = tmp_path / "link"
        output.symlink_to(source.parent, target_is_directory=True)
    with pytest.raises(InputError, match="replace an input"):
        stylize_images(_job(source.parent, output, "identity", overwrite=True))
    assert source.read_bytes() == before


def test_an_output_folder_inside_the_source_is_no_source(tmp_path: Path) -> None:
    Image.fromarray(moving_picture(0)).save(tmp_path / "a.png")
    for run in range(2):
        report = stylize_images(_job(tmp_path, tmp_path / "styled", "identity"))
        assert (report.total, report.reused) == (1, run)
    assert _tree(tmp_path) == {"a.png", "styled/a.png"}


def test_a_kill_between_writing_and_recording_costs_nothing(
    photos: Path, style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(ImageRecords, "add", _killed)
        with pytest.raises(KeyboardInterrupt):
            stylize_images(_job(photos, output, str(style.path)))
    assert len(_tree(output)) == 1
    report = stylize_images(_job(photos, output, str(style.path)))
    assert (report.done, report.failed) == (10, 0)


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_unknown_ending_asks_for_a_format(tmp_path: Path) -> None:
    source = tmp_path / "a.jfif"
    Image.fromarray(moving_picture(0)).save(source, format="JPEG")
    with pytest.raises(InputError, match="--format"):
        stylize_images(_job(source, tmp_path / "out", "identity"))
    assert stylize_images(_job(source, tmp_path / "out", "identity", format="png")).done == 1


def test_pictures_of_any_size_share_a_worker(style: Style, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for side in (64, 3, 1, 40):
        Image.fromarray(moving_picture(0)).resize((side, side)).save(source / f"{side}.png")
    report = stylize_images(_job(source, tmp_path / "out", str(style.path)))
    assert (report.done, report.failed) == (4, 0)
