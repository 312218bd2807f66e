"""Sheets of what a training makes: while it goes on, and in the end."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from jobs.specs.training import (
    TrainGenerator,
)
from jobs.training import sheets
from jobs.training.kinds import make_plan
from jobs.training.plan import build_network, build_trainer
from jobs.training.records import TrainingRecords, final_sheet
from jobs.training.sheets import preview_photos
from nst_core.networks.conditional_norm import MultiStyleGenerator
from tests.kit.training_jobs import same_state

_CPU = torch.device("cpu")
_GAP, _CELL = 6, (80, 64)
"""Size of the sheets of these tests, in pixels."""


@pytest.fixture(autouse=True)
def _small_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "_CELL", _CELL)
    monkeypatch.setattr(sheets, "CELL_HEIGHT", _CELL[1])


@pytest.mark.parametrize(
    ("kind", "rows", "columns"),
    [
        *(("johnson", 4, 2), ("styles", 4, 4), ("extended-pack", 4, 3), ("texture-styles", 4, 4)),
        *(("texture", 1, 3), ("pixel", 4, 3), ("super-resolution", 4, 3)),
    ],
)
def test_previews_have_a_row_for_each_photo_and_a_column_for_each_style(
    kind: str, rows: int, columns: int, jobs: dict[str, TrainGenerator]
) -> None:
    plan = make_plan(jobs[kind])
    network = build_network(plan)
    pictures = plan.preview(network, preview_photos(plan.photos))
    assert [len(row) for row in pictures] == [columns] * rows
    sizes = {picture.size for row in pictures for picture in row}
    if kind == "texture":
        assert sizes == {plan.style_images[0].size, (_CELL[1], _CELL[1])}
        assert pictures[0][1].tobytes() != pictures[0][2].tobytes()  # two draws of the noise
    else:
        assert sizes == {_CELL}
    again = plan.preview(network, preview_photos(plan.photos))
    assert [[p.tobytes() for p in row] for row in again] == [
        [p.tobytes() for p in row] for row in pictures
    ]


def test_a_row_has_the_photo_and_then_its_styles_in_their_order(
    jobs: dict[str, TrainGenerator],
) -> None:
    plan = make_plan(jobs["styles"])
    network = build_network(plan)
    assert isinstance(network, MultiStyleGenerator)
    with torch.no_grad():  # the last layer's input is black in the first style, and so on
        for style in range(3):
            network.norms[-1].weight[style] = 0
            network.norms[-1].bias[style] = -5.0 + 5.0 * style
    photos = preview_photos(plan.photos)[:1]
    (row,) = plan.preview(network, photos)
    assert row[0].tobytes() == photos[0].tobytes()
    flat = [tuple(band for band in picture.getextrema()) for picture in row[1:]]
    assert all(low == high for bands in flat for low, high in bands)  # type: ignore[misc]
    assert flat[0] == flat[1] != flat[2]  # ReLU of -5 and of 0 are the same


@pytest.mark.parametrize(
    ("kind", "rows", "columns"),
    [("johnson", 5, 2), ("styles", 5, 4), ("extended", 5, 3), ("pixel", 4, 3)],
)
def test_the_final_sheet_has_the_paintings_above_the_photos(
    kind: str, rows: int, columns: int, jobs: dict[str, TrainGenerator]
) -> None:
    plan = make_plan(jobs[kind])
    sheet = final_sheet(plan, build_network(plan))
    width, height = (side + _GAP for side in _CELL)
    assert sheet.size == (columns * width + _GAP, rows * height + _GAP)
    if not plan.style_images:
        return
    for number, painting in enumerate(plan.style_images, start=1):
        cell = sheet.crop(
            (number * width + _GAP, _GAP, number * width + _GAP + _CELL[0], _GAP + _CELL[1])
        )
        middle = cell.getpixel((_CELL[0] // 2, _CELL[1] // 2))
        expected = painting.getpixel((painting.width // 2, painting.height // 2))
        assert isinstance(middle, tuple)
        assert isinstance(expected, tuple)
        # Enlarged eightfold, the centre is between two pixels.
        assert max(abs(a - b) for a, b in zip(middle, expected, strict=True)) < 25
    assert sheet.crop((_GAP, _GAP, _GAP + _CELL[0], _GAP + _CELL[1])).getextrema() == (
        ((255, 255),) * 3
    )


def test_the_final_sheet_of_a_texture_is_the_texture_and_two_draws(
    jobs: dict[str, TrainGenerator],
) -> None:
    plan = make_plan(jobs["texture"])
    sheet = final_sheet(plan, build_network(plan))
    side = _CELL[1]
    texture = round(plan.style_images[0].width * side / plan.style_images[0].height)
    assert sheet.size == (texture + 2 * side + 4 * _GAP, side + 2 * _GAP)


def test_previews_do_without_photos_that_cannot_be_read(
    photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    good = sorted(map(str, photos.rglob("*.jpg")))[:3]
    with caplog.at_level("INFO"):
        assert len(preview_photos([str(bad), *good])) == 4  # one of them twice
    assert "bad.jpg" in caplog.text
    assert all(record.levelname == "INFO" for record in caplog.records)  # the report names it
    assert preview_photos([str(bad)]) == []
    assert len(preview_photos(good[:1])) == 1


@pytest.mark.parametrize("kind", ["johnson-paper", "styles", "texture", "pixel"])
def test_the_preview_leaves_the_generator_as_it_was(
    kind: str, jobs: dict[str, TrainGenerator]
) -> None:
    plan = make_plan(jobs[kind])
    trainer = build_trainer(plan, _CPU)
    before = copy.deepcopy(trainer.generator)
    TrainingRecords(plan, 1).preview(7, trainer.generator)
    assert trainer.generator.training
    assert same_state(trainer.generator, before)
    assert (plan.run_folder.previews / "step-000007.png").stat().st_size > 500
