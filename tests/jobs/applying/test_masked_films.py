"""Films that are stylized where a mask is white: which pixels are whose, and what runs do again."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nst_core.checkpoints.library import Style
from pipeline.segments.task import SegmentResult, SegmentTask
from pipeline.segments.worker import SegmentWorker
from tests.kit.command_line import Ended, nst
from tests.kit.masks import frames_shown, make_film, masks_at, picture_of, white_box
from tests.kit.media import decoded_frames, moving_picture

_Shape = tuple[int, int, Fraction | int, int, int, str]
_FILMS: dict[str, tuple[_Shape, _Shape]] = {
    # film: width, height, rate, turn, frames, codec; mask: the same
    "alike": ((96, 64, 24, 0, 24, "libx264"), (96, 64, 24, 0, 24, "png")),
    "portrait": ((96, 64, 30, 90, 30, "libx264"), (90, 150, 25, 0, 25, "png")),
    "turned mask": ((128, 72, 25, 0, 25, "png"), (60, 100, 12, 90, 12, "png")),
    "faster mask": (
        (64, 96, Fraction(24000, 1001), 180, 24, "libx264"),
        (160, 120, 50, 0, 52, "png"),
    ),
    "both turned": ((96, 64, 10, 270, 10, "png"), (64, 96, 15, 270, 15, "png")),
}


def _stylize(film: Path, output: Path, *options: str | Path, code: int = 0) -> Ended:
    line = ("stylize", "video", film, "-o", output, "--workers", "0", "--segment-seconds", "0.4")
    ended = nst(*line, "--codec", "ffv1", *options)
    assert ended.code == code, ended.error
    return ended


@pytest.mark.parametrize("name", _FILMS)
def test_outside_a_mask_are_the_pixels_of_identity_inside_those_of_the_style(
    name: str, style: Style, tmp_path: Path
) -> None:
    (width, height, rate, turn, frames, codec), of_mask = _FILMS[name]
    film, mask = tmp_path / "film.mov", tmp_path / "mask.mov"
    make_film(film, picture_of(width, height), frames=frames, rate=rate, turn=turn, codec=codec)
    columns, rows, mask_rate, mask_turn, mask_frames, mask_codec = of_mask
    make_film(
        mask,
        lambda number: white_box(columns, rows, mask_turn, number),
        frames=mask_frames,
        rate=mask_rate,
        turn=mask_turn,
        codec=mask_codec,
    )
    shown = {}
    for which, options in {
        "identity": ("--style", "identity"),
        "style": ("--style", str(style.path)),
        "masked": ("--style", str(style.path), "--mask", mask),
    }.items():
        output = tmp_path / f"{which}.mkv"
        _stylize(film, output, *options)
        shown[which] = frames_shown(output, turn)
    of_mask_shown = frames_shown(mask, mask_turn)
    for (time, plain), (_, styled), (_, masked) in zip(*shown.values(), strict=True):
        white, black = masks_at(of_mask_shown, time, plain.shape)
        assert white.any()
        assert black.mean() > 0.5
        np.testing.assert_array_equal(masked[white], styled[white])
        np.testing.assert_array_equal(masked[black], plain[black])
        assert (styled[black] != plain[black]).any()
    assert len(shown["masked"]) == frames


def test_soft_edges_blend_what_is_inside_with_the_style_outside(
    clip: Path, style: Style, tmp_path: Path
) -> None:
    ramp = np.tile(np.linspace(0, 255, 96).astype(np.uint8), (64, 1))
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    both = ("--style", str(style.path), "--mask", tmp_path / "ramp.png", "--mask-style", "wave")
    luma = {}
    for which, options in {
        "inside": ("--style", str(style.path)),
        "outside": ("--style", "wave"),
        "both": both,
    }.items():
        _stylize(clip, tmp_path / f"{which}.mkv", *options)
        luma[which] = _luma(tmp_path / f"{which}.mkv")
    weights = ramp / 255.0
    expected = luma["inside"] * weights + luma["outside"] * (1 - weights)
    assert np.abs(luma["both"] - expected).max() <= 0.501


def _luma(path: Path) -> Any:
    return np.stack([luma for _, luma in decoded_frames(path)]).astype(np.float64)


def test_a_mask_that_ends_early_or_is_missing_is_one_line_before_the_work(
    clip: Path, tmp_path: Path
) -> None:
    short = tmp_path / "short.mov"
    make_film(short, picture_of(32, 32), frames=12, rate=24)
    ended = _stylize(clip, tmp_path / "a.mkv", "--style", "wave", "--mask", short, code=2)
    assert "the mask ends at 0.50 s" in ended.error
    assert "still has frames at 1.96 s" in ended.error
    _stylize(clip, tmp_path / "a.mkv", "--style", "wave", "--mask", short, "--end", "0.5")
    ended = _stylize(clip, tmp_path / "b.mkv", "--style", "wave", "--mask", "no.png", code=2)
    assert "no.png: no such file" in ended.error
    ended = _stylize(clip, tmp_path / "b.mkv", "--style", "wave", "--mask-style", "udnie", code=2)
    assert ended.error_line.startswith("error: --mask-style udnie without --mask")


def test_a_mask_goes_by_the_time_of_the_film_where_a_part_is_taken(
    style: Style, tmp_path: Path
) -> None:
    film, mask = tmp_path / "film.mov", tmp_path / "mask.mov"
    make_film(film, picture_of(96, 64), frames=48, rate=24, codec="libx264")
    make_film(mask, lambda n: white_box(96, 64, 0, n), frames=48, rate=24)
    options = ("--style", str(style.path), "--mask", mask)
    _stylize(film, tmp_path / "whole.mkv", *options)
    _stylize(film, tmp_path / "part.mkv", *options, "--start", "1")
    whole, part = _luma(tmp_path / "whole.mkv"), _luma(tmp_path / "part.mkv")
    np.testing.assert_array_equal(whole[24:], part)


def test_numbered_pictures_are_masks_too(clip: Path, style: Style, tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    for number in range(48):
        Image.fromarray(white_box(96, 64, 0, number)).save(folder / f"m.{number + 1001}.png")
    mask = tmp_path / "mask.mov"
    make_film(mask, lambda n: white_box(96, 64, 0, n), frames=48, rate=24)
    outputs: list[Any] = []
    for which in (mask, folder / "m.%04d.png", folder):
        output = tmp_path / f"{len(outputs)}.mkv"
        _stylize(clip, output, "--style", str(style.path), "--mask", which, "--coherence", "0.5")
        outputs.append(_luma(output))
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], outputs[2])


def test_large_pictures_of_a_mask_shorten_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film, folder = tmp_path / "film.mov", tmp_path / "masks"
    make_film(film, picture_of(96, 64), frames=24, rate=24)
    folder.mkdir()
    for number in range(24):
        Image.fromarray(white_box(96, 64, 0, number)).save(folder / f"{number:02}.bmp")
    line = ("--style", "identity", "--mask", folder, "--json")
    totals = []
    for most in (64 << 20, 40_000):  # two pictures of a mask are 37 kB
        monkeypatch.setattr("pipeline.films.plan._MOST_SEGMENT_BYTES", most)
        ended = _stylize(film, tmp_path / f"{most}.mkv", *line)
        totals.append(json.loads(ended.out)["inputs"][0]["segments"]["total"])
    assert totals == [2, 12]


def test_a_mask_that_was_changed_is_told_and_redoes_the_film(clip: Path, tmp_path: Path) -> None:
    mask, output = tmp_path / "mask.png", tmp_path / "out.mkv"
    options = ("--style", "wave", "--mask", mask, "--json")
    Image.fromarray(moving_picture(0)).save(mask)
    _stylize(clip, output, *options)
    again = json.loads(_stylize(clip, output, *options).out)["inputs"][0]
    assert again["reused"] is True
    Image.fromarray(moving_picture(9)).save(mask)
    ended = _stylize(clip, output, *options, code=2)
    assert "made with another --mask;" in ended.error
    redone = json.loads(_stylize(clip, output, *options, "--overwrite").out)["inputs"][0]
    assert redone["segments"]["reused"] == 0


def test_a_mask_that_changes_meanwhile_gives_no_output(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask, output = tmp_path / "mask.mov", tmp_path / "out.mkv"
    make_film(mask, picture_of(32, 32), frames=48, rate=24)
    process = SegmentWorker.process

    def changed(worker: SegmentWorker, task: SegmentTask) -> SegmentResult[bytes]:
        if task.segment.number == 3:  # the last one: all of the mask has been read
            with mask.open("ab") as file:
                file.write(b"x")
        return process(worker, task)

    monkeypatch.setattr(SegmentWorker, "process", changed)
    ended = _stylize(clip, output, "--style", "wave", "--mask", mask, code=1)
    assert "mask.mov: the mask changed while it was read; run again" in ended.error
    assert not output.exists()


def test_each_film_has_the_mask_of_its_name_in_a_folder(
    clip: Path, style: Style, tmp_path: Path
) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    Image.new("L", (20, 20), 255).save(masks / "clip.png")
    _stylize(clip, tmp_path / "a.mkv", "--style", str(style.path), "--mask", masks)
    _stylize(clip, tmp_path / "b.mkv", "--style", str(style.path))
    np.testing.assert_array_equal(_luma(tmp_path / "a.mkv"), _luma(tmp_path / "b.mkv"))
    other = tmp_path / "other.mkv"
    other.write_bytes(clip.read_bytes())
    ended = _stylize(other, tmp_path / "c.mkv", "--style", "wave", "--mask", masks, code=2)
    assert "no mask for" in ended.error
    assert "have one called other.png or .mkv" in ended.error
