"""The sheet of pictures before and after."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from jobs.specs.applying import StylizeImages
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.pictures.judging import OutputFolder
from pipeline.pictures.outputs.contact_sheet import write_sheet
from pipeline.pictures.task import ImageTask
from pipeline.storage.open import storage_for

RED, GREEN, BLUE, GREY = (220, 30, 30), (30, 160, 30), (30, 30, 220), (128, 128, 128)
GAP, CELL = 6, 200


def _folder(path: str) -> OutputFolder:
    return OutputFolder(storage_for(path), path, {"wave": "as asked"}, resume=True, overwrite=False)


def _write(
    sample: Sequence[tuple[str, Sequence[str]]], folder: OutputFolder, job: StylizeImages
) -> None:
    tasks = [(ImageTask(0, source, (), 0, ""), outputs) for source, outputs in sample]
    write_sheet(tasks, folder, job)


def _job(output: str, max_pixels: int = 1_000_000) -> StylizeImages:
    return StylizeImages((output,), output, (StyleSpec("wave"),), max_pixels=max_pixels)


def _pair(
    folder: Path, name: str, before: tuple[int, ...], after: tuple[int, ...]
) -> tuple[str, list[str]]:
    """A source of 60x40, and its output twice as large, as upscaling makes it."""
    source = folder / "in" / name
    for path, color, size in (
        (source, before, (60, 40)),
        (folder / "out" / name, after, (120, 80)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, color).save(path)
    return str(source), [name]


def _sheet(path: Path) -> NDArray[np.int16]:
    with Image.open(path) as image:
        assert image.format == "JPEG"
        return np.asarray(image).astype(np.int16)


def _is(pixel: NDArray[np.int16], color: tuple[int, ...]) -> bool:
    return bool(np.abs(pixel - color).max() <= 6)  # JPEG


def test_two_pairs_in_a_row_each_before_and_after(tmp_path: Path) -> None:
    sample = [
        _pair(tmp_path, "a.png", RED, GREEN),
        _pair(tmp_path, "x/b.png", BLUE, GREY),
        _pair(tmp_path, "c.png", GREEN, RED),
    ]
    output = str(tmp_path / "out")
    _write(sample, _folder(output), _job(output))
    sheet = _sheet(tmp_path / "out" / "sheet.jpg")
    width = CELL * 60 // 40
    assert sheet.shape == (GAP + 2 * (CELL + GAP), GAP + 4 * (width + GAP), 3)
    columns = [GAP + number * (width + GAP) + width // 2 for number in range(4)]
    first, second = sheet[GAP + CELL // 2], sheet[GAP + CELL + GAP + CELL // 2]
    shown = zip(columns, (RED, GREEN, BLUE, GREY), strict=True)
    assert all(_is(first[column], color) for column, color in shown)
    shown = zip(columns, (GREEN, RED, (255, 255, 255), (255, 255, 255)), strict=True)
    assert all(_is(second[column], color) for column, color in shown)


def test_pictures_in_several_styles_have_a_row_each_with_all_of_them(tmp_path: Path) -> None:
    source, names = _pair(tmp_path, "a.png", RED, GREEN)
    _, more = _pair(tmp_path, "a-2.png", RED, BLUE)
    output = str(tmp_path / "out")
    _write([(source, [*names, *more])] * 2, _folder(output), _job(output))
    sheet = _sheet(tmp_path / "out" / "sheet.jpg")
    width = CELL * 60 // 40
    assert sheet.shape == (GAP + 2 * (CELL + GAP), GAP + 3 * (width + GAP), 3)
    columns = [GAP + number * (width + GAP) + width // 2 for number in range(3)]
    for row in (GAP + CELL // 2, GAP + CELL + GAP + CELL // 2):
        shown = zip(columns, (RED, GREEN, BLUE), strict=True)
        assert all(_is(sheet[row][column], color) for column, color in shown)


def test_of_many_styles_four_are_shown_and_they_take_turns(tmp_path: Path) -> None:
    colors = [(40 * number, 0, 0) for number in range(6)]
    pairs = [_pair(tmp_path, f"{n}.png", RED, color) for n, color in enumerate(colors)]
    names = [name for _, each in pairs for name in each]
    output = str(tmp_path / "out")
    _write([(pairs[0][0], names)] * 2, _folder(output), _job(output))
    sheet = _sheet(tmp_path / "out" / "sheet.jpg")
    width = CELL * 60 // 40
    columns = [GAP + number * (width + GAP) + width // 2 for number in range(1, 5)]
    rows = (GAP + CELL // 2, GAP + CELL + GAP + CELL // 2)
    for row, shown in zip(rows, (colors[:4], colors[4:] + colors[:2]), strict=True):
        assert all(_is(sheet[row][x], color) for x, color in zip(columns, shown, strict=True))


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    sample = [_pair(tmp_path, f"{number}.png", RED, GREEN) for number in range(4)]
    Path(sample[0][0]).write_bytes(b"no picture")
    (tmp_path / "out" / "1.png").unlink()
    Image.new("RGB", (100, 100)).save(sample[2][0])
    output = str(tmp_path / "out")
    _write(sample, _folder(output), _job(output, max_pixels=9999))
    assert _sheet(tmp_path / "out" / "sheet.jpg").shape[1] == GAP + 2 * (300 + GAP)


def test_without_a_picture_there_is_no_sheet_and_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output = str(tmp_path / "out")
    with caplog.at_level(logging.WARNING):
        _write([("/none/a.png", ["a.png"])], _folder(output), _job(output))
    assert "no picture to show" in caplog.text
    assert not (tmp_path / "out").exists()


def test_a_very_long_picture_does_not_make_the_sheet_unreadable(tmp_path: Path) -> None:
    source = tmp_path / "in.png"
    Image.new("RGB", (3000, 2), RED).save(source)
    (tmp_path / "out").mkdir()
    Image.new("RGB", (3000, 2), GREEN).save(tmp_path / "out" / "in.png")
    output = str(tmp_path / "out")
    _write([(str(source), ["in.png"])], _folder(output), _job(output))
    height, width, _ = _sheet(tmp_path / "out" / "sheet.jpg").shape
    assert width < 20 * height


def test_a_sheet_goes_into_a_bucket() -> None:
    output = "memory://sheets/out"
    storage = storage_for(output)
    file = io.BytesIO()
    Image.new("RGB", (60, 40), RED).save(file, "PNG")
    for path in ("memory://sheets/in/a.png", f"{output}/a.png"):
        storage.write(path, file.getvalue())
    _write([("memory://sheets/in/a.png", ["a.png"])], _folder(output), _job(output))
    with Image.open(io.BytesIO(storage.read(f"{output}/sheet.jpg"))) as image:
        assert image.height == GAP + CELL + GAP
    for found in list(storage.walk("memory://sheets")):
        storage.remove(found.path)
