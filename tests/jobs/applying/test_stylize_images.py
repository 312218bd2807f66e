"""The image job in this process: every file is accounted for."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from jobs.applying.stylize_images import stylize_images
from jobs.specs.applying import StylizeImages
from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError
from nst_core.stylizer import Stylizer
from pipeline.pictures.records import ImageRecords
from pipeline.work.progress import Progress
from tests.kit.command_line import app
from tests.kit.image_jobs import contents, images_job, save_pictures, tree
from tests.kit.media import moving_picture, psnr


def _raw_name(folder: Path, name: bytes) -> Path:
    return Path(os.fsdecode(os.fsencode(folder) + b"/" + name))


def test_names_and_tree_are_kept_and_pixels_are_the_stylizers(
    photos: Path, style: Style, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    report = stylize_images(images_job(photos, output, str(style.path), format="png"))
    assert (report.total, report.done, report.failed) == (10, 10, 0)
    assert tree(output) == {f"{f.parent.name}/{f.stem}.png" for f in photos.rglob("*.jpg")}
    with Image.open(photos / "odd" / "3.jpg") as before, Image.open(output / "odd/3.png") as after:
        expected = Stylizer(style).stylize(np.asarray(before))
        np.testing.assert_array_equal(np.asarray(after), expected)
    assert json.loads((output / "report.json").read_text()) == dataclasses.asdict(report)


def test_broken_pictures_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "good.png", "cut.png")
    (source / "broken.jpg").write_bytes(b"no picture")
    whole = (source / "cut.png").read_bytes()
    (source / "cut.png").write_bytes(whole[: len(whole) // 2])
    (source / "loop").symlink_to(source, target_is_directory=True)
    (source / "nowhere.jpg").symlink_to("none.jpg")
    report = stylize_images(images_job(source, tmp_path / "out"))
    assert (report.total, report.done, report.failed) == (5, 1, 4)
    errors = {each["path"]: each["error"] for each in report.failures}
    assert set(errors) == {
        f"{source}/{n}" for n in ("broken.jpg", "cut.png", "loop", "nowhere.jpg")
    }
    assert all(error.startswith(f"{path}: ") for path, error in errors.items())
    assert tree(tmp_path / "out") == {"good.png"}


def test_outputs_of_one_name_are_told_apart_by_the_endings_of_their_sources(
    tmp_path: Path,
) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "a.bmp", "b.bmp")
    report = stylize_images(images_job(source, tmp_path / "out", format="webp"))
    assert (report.total, report.done) == (3, 3)
    assert tree(tmp_path / "out") == {"a.png.webp", "a.bmp.webp", "b.webp"}


def test_two_pictures_for_one_name_are_refused_before_any_work(tmp_path: Path) -> None:
    save_pictures(tmp_path, "one/a.png", "two/a.png")
    sources = (str(tmp_path / "one"), str(tmp_path / "two"))
    with pytest.raises(InputError, match=r"one/a\.png and .*two/a\.png would both become"):
        stylize_images(images_job("", tmp_path / "out", sources=sources))
    assert not (tmp_path / "out").exists()


def test_a_picture_named_twice_is_one_input(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "b.png")
    sources = (str(source), str(source / "a.png"), f"{source}/*.png")
    report = stylize_images(images_job("", tmp_path / "out", sources=sources))
    assert (report.total, report.done) == (2, 2)


def test_an_unknown_ending_fails_alone_and_asks_for_a_format(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    (source / "a.png").rename(source / "a.scan")
    save_pictures(source, "b.png")
    report = stylize_images(images_job(source / "*", tmp_path / "out", sheet=True))
    assert (report.total, report.done, report.failed) == (2, 1, 1)
    assert report.failures[0]["path"] == str(source / "a.scan")
    assert "--format" in report.failures[0]["error"]
    report = stylize_images(images_job(source / "a.scan", tmp_path / "out", format="png"))
    assert (report.done, report.failed) == (1, 0)


def test_writing_into_the_source_folder_is_refused(tmp_path: Path) -> None:
    save_pictures(tmp_path, "a.png")
    with pytest.raises(InputError, match="replace an input"):
        stylize_images(images_job(tmp_path / "a.png", tmp_path, overwrite=True))


def test_a_file_as_output_folder_and_an_empty_source_are_refused(tmp_path: Path) -> None:
    save_pictures(tmp_path / "in", "a.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures"):
        stylize_images(images_job(tmp_path / "empty", tmp_path / "out"))
    with pytest.raises(InputError, match="a file; pictures go into a folder"):
        stylize_images(images_job(tmp_path / "in", tmp_path / "in" / "a.png"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("disguise", ["dots", "link"])
def test_inputs_are_never_replaced_whatever_the_folder_is_called(
    tmp_path: Path, disguise: str
) -> None:
    source = save_pictures(tmp_path / "pictures", "a.png")
    before = contents(source)
    if disguise == "dots":
        (tmp_path / "other").mkdir()
        output = tmp_path / "other" / ".." / "pictures"
    else:
        output = tmp_path / "link"
        output.symlink_to(source, target_is_directory=True)
    with pytest.raises(InputError, match="replace an input"):
        stylize_images(images_job(source, output, overwrite=True))
    assert contents(source) == before


def test_an_output_folder_inside_the_source_is_no_source(tmp_path: Path) -> None:
    save_pictures(tmp_path, "a.png")
    for run in range(2):
        report = stylize_images(images_job(tmp_path, tmp_path / "styled", sheet=True))
        assert (report.total, report.reused) == (1, run)
    assert tree(tmp_path) == {"a.png", "styled/a.png", "styled/sheet.jpg"}


def test_a_link_in_the_output_folder_leads_nothing_out_of_it(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "x/b.png", "c.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "x").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    precious = tmp_path / "precious.png"
    precious.write_bytes(b"precious")
    (tmp_path / "out" / "c.png").symlink_to(precious)
    report = stylize_images(images_job(source, tmp_path / "out", overwrite=True))
    assert (report.done, report.failed) == (2, 1)
    assert "a link leads out of the output folder" in report.failures[0]["error"]
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert precious.read_bytes() == b"precious"
    assert not (tmp_path / "out" / "c.png").is_symlink()


def test_several_styles_give_each_picture_an_output_of_each(style: Style, tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "x/b.png")
    report = stylize_images(images_job(source, tmp_path / "out", "identity", str(style.path)))
    assert (report.total, report.done) == (2, 2)
    names = {f"{stem}-{each}.png" for stem in ("a", "x/b") for each in ("identity", style.name)}
    assert tree(tmp_path / "out") == names
    with Image.open(source / "x/b.png") as before:
        pixels = np.asarray(before)
    for each, expected in (("identity", pixels), (style.name, Stylizer(style).stylize(pixels))):
        with Image.open(tmp_path / "out" / f"x/b-{each}.png") as after:
            np.testing.assert_array_equal(np.asarray(after), expected)


def test_two_styles_of_one_name_are_refused(style: Style, tmp_path: Path) -> None:
    save_pictures(tmp_path / "in", "a.png")
    with pytest.raises(InputError, match="a second style called identity"):
        stylize_images(images_job(tmp_path / "in", tmp_path / "out", "identity", "identity"))


def _styles_by_picture(output: Path) -> dict[str, str]:
    return dict(Path(name).stem.rsplit("-", 1) for name in tree(output))


def test_the_style_of_a_picture_is_chosen_by_seed_and_name_alone(
    style: Style, tmp_path: Path
) -> None:
    source = save_pictures(tmp_path / "in", *(f"{number}.png" for number in range(24)))
    chosen = {}
    for run, seed in (("one", 3), ("two", 3), ("other", 4)):
        job = images_job(source, tmp_path / run, "identity", str(style.path))
        report = stylize_images(dataclasses.replace(job, styles_per_image=1, seed=seed))
        assert (report.total, report.done) == (24, 24)
        chosen[run] = _styles_by_picture(tmp_path / run)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert chosen["one"] != chosen["other"]
    # Binomial, 12 each on average: below 3 in one of 20,000 seeds, and this one is fixed.
    assert min(Counter(chosen["one"].values()).values()) >= 3
    job = images_job(source / "1?.png", tmp_path / "some", "identity", str(style.path))
    stylize_images(dataclasses.replace(job, styles_per_image=1, seed=3))
    some = _styles_by_picture(tmp_path / "some")
    assert len(some) == 10
    assert some.items() <= chosen["one"].items()


def test_an_input_whose_outputs_fail_in_part_is_counted_once(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "b.png")
    job = images_job(source, tmp_path / "out", "identity", "wave")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a-wave.png").write_bytes(b"of somebody else")
    (tmp_path / "out" / "b-wave.png").mkdir()  # cannot be replaced by a file
    report = stylize_images(dataclasses.replace(job, overwrite=False))
    assert (report.total, report.done, report.failed) == (2, 0, 2)
    report = stylize_images(dataclasses.replace(job, overwrite=True))
    assert (report.total, report.done, report.reused, report.failed) == (2, 1, 0, 1)
    assert report.failures[0]["path"] == str(source / "b.png")
    assert "b-wave.png: cannot be written" in report.failures[0]["error"]


def test_a_sheet_shows_a_sample_of_what_could_be_done(tmp_path: Path) -> None:
    names = [f"{number:02}.png" for number in range(30)]
    source = save_pictures(tmp_path / "in", *names)
    (source / "00.png").write_bytes(b"no picture")
    report = stylize_images(images_job(source, tmp_path / "out", sheet=True))
    assert (report.total, report.done, report.failed) == (30, 29, 1)
    assert tree(tmp_path / "out") == {*names[1:], "sheet.jpg"}
    with Image.open(tmp_path / "out" / "sheet.jpg") as sheet:
        # 11 of a sample of 12 can be read: six rows of two pairs, each 40x30 scaled to 200.
        assert sheet.size == (6 + 4 * (267 + 6), 6 + 6 * (200 + 6))


def _in_float32(job: StylizeImages) -> StylizeImages:
    """Eight bits differ more from pieces, which never have them, than seams would show."""
    return dataclasses.replace(job, styles=(StyleSpec("wave", precision="float32"),))


def test_a_picture_in_tiles_is_the_picture_without_seams(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    Image.fromarray(moving_picture(0, 300, 260)).save(source)
    pixels = []
    for tile in ("off", 128):
        output = tmp_path / str(tile)
        assert stylize_images(_in_float32(images_job(source, output, tile=tile))).done == 1
        with Image.open(output / "a.png") as image:
            pixels.append(np.asarray(image).astype(np.float64))
    assert psnr(pixels[0], pixels[1]) >= 45
    report = stylize_images(_in_float32(images_job(source, tmp_path / "off", tile=128)))
    assert (report.reused, report.failed) == (0, 1)  # it was made otherwise


def test_larger_pictures_than_allowed_are_refused_with_the_option(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    report = stylize_images(images_job(source, tmp_path / "out", max_pixels=1199))
    assert (report.done, report.failed) == (0, 1)
    assert "--max-pixels" in report.failures[0]["error"]
    assert stylize_images(images_job(source, tmp_path / "out", max_pixels=1200)).done == 1


def test_max_side_shrinks_what_is_longer(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    Image.new("RGB", (10, 20)).save(source / "small.png")
    assert stylize_images(images_job(source, tmp_path / "out", max_side=20)).done == 2
    for name, size in (("a.png", (20, 15)), ("small.png", (10, 20))):
        with Image.open(tmp_path / "out" / name) as image:
            assert image.size == size


def test_what_formats_cannot_hold_is_a_warning_for_each_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.pictures.report.MOST_WARNINGS", 3)
    source = tmp_path / "in"
    source.mkdir()
    for number in range(5):
        Image.new("RGBA", (8, 8), (250, 0, 0, 90)).save(source / f"{number}.png")
    Image.new("RGB", (8, 8)).save(source / "opaque.png")
    report = stylize_images(images_job(source, tmp_path / "out", format="jpeg"))
    assert (report.done, report.failed, report.warned) == (6, 0, 5)
    assert len(report.warnings) == 3
    assert report.warnings[0]["path"] == str(source / "0.png")
    assert "transparency" in report.warnings[0]["warning"]


def test_a_list_of_pictures_is_a_source(tmp_path: Path) -> None:
    save_pictures(tmp_path, "one/a.png", "two/x/b.png", "three/c.png")
    listed = tmp_path / "list.txt"
    missing = tmp_path / "two" / "missing.png"
    listed.write_text(f"{tmp_path}/one/a.png\n# no\n\n{tmp_path}/two/x/b.png\n{missing}\n")
    report = stylize_images(images_job(listed, tmp_path / "out"))
    assert (report.total, report.done, report.failed) == (3, 2, 1)
    assert report.failures[0] == {"path": str(missing), "error": f"{missing}: no such file"}
    assert tree(tmp_path / "out") == {"one/a.png", "two/x/b.png"}


def test_names_that_are_no_text_are_kept_byte_for_byte(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    (source / "a.png").rename(_raw_name(source, b"caf\xe9.png"))
    _raw_name(source, b"broken\xff.png").write_bytes(b"no picture")
    for run in range(2):
        report = stylize_images(images_job(source, tmp_path / "out"))
        assert (report.done, report.reused, report.failed) == (1 - run, run, 1)
    written = json.loads((tmp_path / "out" / "report.json").read_bytes())
    assert os.fsencode(written["failures"][0]["path"]).endswith(b"/broken\xff.png")
    assert _raw_name(tmp_path / "out", b"caf\xe9.png").exists()


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_line_break_in_a_name_does_not_break_the_line_of_its_error(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    source = save_pictures(tmp_path / "in", "good\n1.png")
    (source / "bad\r\nname.jpg").write_bytes(b"no picture")
    _raw_name(source, b"caf\xe9.jpg").write_bytes(b"no picture")
    arguments = ("stylize", "images", str(source), "-o", str(tmp_path / "out"), *options)
    result = CliRunner().invoke(app, [*arguments, "--style", "identity", "--workers", "0"])
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert errors[0].startswith(f"error: {source}/bad\\r\\nname.jpg: ")
    assert errors[1].startswith(f"error: {source}/caf\\udce9.jpg: ")
    assert not [line for line in result.stderr.splitlines() if line.startswith("name.jpg")]
    if options:
        assert json.loads(result.stdout)["failed"] == 2
    else:
        assert len(result.stdout.splitlines()) == 1


def test_progress_tells_of_every_picture_and_ends_with_all(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", *(f"{number}.png" for number in range(9)))
    (source / "0.png").write_bytes(b"no picture")
    told: list[Progress] = []
    stylize_images(images_job(source, tmp_path / "out"), told.append)
    assert [progress.done for progress in told] == list(range(1, 10))
    assert {progress.total for progress in told} == {9}


def test_what_cannot_be_recorded_is_a_failure_and_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "b.png")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(ImageRecords, "add", full_disk)
        patch.setattr(ImageRecords, "begin", full_disk)
        report = stylize_images(images_job(source, tmp_path / "out"))
    assert (report.total, report.done, report.failed) == (2, 0, 2)
    assert "done, but not recorded (No space left on device)" in report.failures[0]["error"]
    assert "No space left" in caplog.text
    report = stylize_images(images_job(source, tmp_path / "out", overwrite=True))
    assert (report.done, report.failed) == (2, 0)


def test_pictures_of_any_size_share_a_worker(style: Style, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for side in (64, 3, 1, 40):
        Image.fromarray(moving_picture(0)).resize((side, side)).save(source / f"{side}.png")
    report = stylize_images(images_job(source, tmp_path / "out", str(style.path)))
    assert (report.done, report.failed) == (4, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"styles_per_image": 3}, "--styles-per-image 3: 1 to 2 is allowed"),
        ({"styles_per_image": 0}, "--styles-per-image 0: 1 to 2 is allowed"),
        ({"seed": -1}, "--seed -1: "),
        ({"tile": 63}, "--tile 63: auto, off, or at least 64"),
        ({"max_pixels": 0}, "--max-pixels 0: at least 1"),
        ({"quality": 101}, "--quality 101: 1 to 100"),
        ({"max_side": 15}, "--max-side 15: at least 16"),
        ({"sources": ()}, "no input"),
        ({"styles": ()}, "no style"),
    ],
)
def test_what_is_not_allowed_is_said_before_anything_is_read(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        images_job("in", "out", "identity", "wave", **options)
