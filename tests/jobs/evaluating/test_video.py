"""`nst evaluate flicker`: how much a film flickers beside its source, in words, and where."""

from __future__ import annotations

import json
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from jobs.evaluating.video import VideoEvaluation, evaluate_video
from jobs.specs.evaluating import EvaluateFlicker
from nst_core.errors import InputError, MediaError
from pipeline.work.progress import Progress
from tests.kit.command_line import nst
from tests.kit.media import RATE, make_clip

_FRAMES = 8


def _panning(number: int, *, seed: int = 2) -> NDArray[np.uint8]:
    """Pan over coloured blobs, two pixels to the right a frame."""
    coarse = np.random.default_rng(seed).integers(0, 256, (11, 20, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((120, 64), Image.Resampling.BICUBIC)
    return np.asarray(picture.crop((2 * number, 0, 2 * number + 96, 64)), dtype=np.uint8)


def _write(path: Path, pictures: list[NDArray[np.uint8]], *, rate: int = RATE) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv444p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    return _write(folder / "film.mkv", [_panning(number) for number in range(_FRAMES)])


def _evaluated(source: Path, output: Path, **more: Any) -> VideoEvaluation:
    return evaluate_video(EvaluateFlicker((source, output), **more))


def test_a_film_measured_against_itself_is_its_own_floor(film: Path) -> None:
    report = _evaluated(film, film)
    assert (report.frames, report.pairs, report.cuts) == (8, 7, 0)
    assert (report.width, report.height) == (96, 64)
    assert report.warping_error == report.source_warping_error > 0
    assert report.ratio == 1
    assert 0.8 < report.visible_fraction < 1
    assert (report.verdict, report.levels, report.worst) == ("still", 0, [])


def test_films_of_different_lengths_are_compared_as_far_as_both_go(film: Path, clip: Path) -> None:
    events: list[Progress] = []
    report = evaluate_video(EvaluateFlicker((film, clip)), events.append)
    assert (report.source_frames, report.output_frames) == (8, 48)
    assert (report.frames, report.pairs) == (8, 7)
    assert (events[-1].done, events[-1].total) == (8, 8)


def test_a_flickering_film_is_told_from_a_steady_one(film: Path, tmp_path: Path) -> None:
    steady = [_panning(number) // 2 for number in range(8)]
    flickering = [picture + np.uint8(40 * (i % 2)) for i, picture in enumerate(steady)]
    calm = _evaluated(film, _write(tmp_path / "steady.mkv", steady))
    restless = _evaluated(film, _write(tmp_path / "flickering.mkv", flickering))
    # Brightness jumps by 40: its square, and the little that the steady film has.
    assert restless.warping_error == pytest.approx((40 / 255) ** 2, rel=0.05)
    assert calm.warping_error < 0.02 * restless.warping_error
    assert restless.ratio == pytest.approx(restless.warping_error / calm.source_warping_error)
    assert restless.levels == pytest.approx(40, rel=0.03)
    assert (calm.verdict, restless.verdict) == ("still", "strongly flickering")


@pytest.mark.parametrize(
    ("jump", "verdict"),
    [(5, "steady"), (10, "unsteady"), (16, "flickering"), (25, "strongly flickering")],
)
def test_the_verdict_goes_by_what_the_output_changes_beyond_its_source(
    jump: int, verdict: str, film: Path, tmp_path: Path
) -> None:
    pictures = [_panning(number) // 2 + np.uint8(jump * (number % 2)) for number in range(8)]
    report = _evaluated(film, _write(tmp_path / "flickering.mkv", pictures))
    assert report.verdict == verdict


def test_the_worst_place_is_where_one_frame_is_another(film: Path, tmp_path: Path) -> None:
    pictures = [_panning(number) // 2 for number in range(8)]
    pictures[5] = pictures[5] + np.uint8(60)
    report = _evaluated(film, _write(tmp_path / "flash.mkv", pictures))
    (worst,) = report.worst  # those around it are less than a second away
    assert worst.timecode in ("0:00.208", "0:00.250")  # there, or back
    assert worst.levels == pytest.approx(60, rel=0.03)


def test_the_plot_has_a_line_that_a_cut_interrupts(tmp_path: Path) -> None:
    cut = [_panning(number, seed=2 + number // 4) for number in range(8)]
    source = _write(tmp_path / "cut.mkv", cut)
    plot = tmp_path / "plot.png"
    report = _evaluated(source, source, plot=plot)
    assert (report.cuts, report.plot) == (1, str(plot))
    picture = np.asarray(Image.open(plot).convert("RGB")).astype(int)
    red = (picture[60:430, 60:1180, 0] - picture[60:430, 60:1180, 2] > 60).any(axis=0)
    columns = np.flatnonzero(red)
    # Nothing is drawn from the last pair before the cut to the first one behind it.
    assert np.diff(columns).max() > 0.9 * 2 / 6 * 1120
    with pytest.raises(InputError, match="--overwrite replaces it, --plot names another"):
        _evaluated(source, source, plot=plot)
    with pytest.raises(InputError, match="would replace an input"):
        _evaluated(source, plot, plot=plot, overwrite=True)


def test_frames_of_half_the_rate_are_compared_with_those_of_their_time(tmp_path: Path) -> None:
    pictures = [_panning(number) for number in range(_FRAMES)]
    film = _write(tmp_path / "film.mkv", pictures)
    half = _write(tmp_path / "half.mkv", pictures[::2], rate=RATE // 2)
    report = _evaluated(film, half)
    assert (report.frames, report.are_by_time) == (4, True)
    assert report.levels == 0  # the frames are the same ones
    told = nst("evaluate", "flicker", film, half)
    assert "has 8 frames" in told.error
    assert "the 4 shown at the same times are compared" in told.error


def test_a_part_is_compared_with_that_part_of_its_source(tmp_path: Path) -> None:
    pictures = [_panning(number) for number in range(_FRAMES)]
    film = _write(tmp_path / "film.mkv", pictures)
    part = _write(tmp_path / "part.mkv", pictures[3:7])
    shifted = nst("evaluate", "flicker", film, part)
    assert "the first 4 are compared; where it is a part of it, --start says which" in shifted.error
    report = _evaluated(film, part, start=Fraction(3, RATE), end=Fraction(7, RATE))
    assert (report.frames, report.source_frames, report.are_by_time) == (4, 4, False)
    assert report.span == {"start": 3 / RATE, "end": 7 / RATE}
    assert report.warping_error == report.source_warping_error


def test_the_part_that_an_output_of_ours_was_made_of_is_known(clip: Path, tmp_path: Path) -> None:
    output, source = tmp_path / "part.mkv", tmp_path / "film.mp4"
    source.write_bytes(clip.read_bytes())
    made = nst(
        *("stylize", "video", source, "-o", output, "--style", "identity", "--workers", "0"),
        *("--start", "0.5", "--duration", "1", "--codec", "ffv1"),
    )
    assert made.code == 0, made.error
    report = _evaluated(source, output)
    assert report.span == {"start": 0.5, "end": 1.5}
    assert (report.frames, report.source_frames) == (RATE, RATE)
    assert report.verdict == "still"
    assert _evaluated(clip, output).span is None  # another film


def test_an_output_of_other_proportions_is_refused(film: Path, tmp_path: Path) -> None:
    cropped = tmp_path / "cropped.mkv"
    make_clip(cropped, frames=8, codec="ffv1", sound=False, width=64)
    with pytest.raises(MediaError, match=r"64x64, and .* is 96x64: their proportions differ"):
        _evaluated(film, cropped)


def test_a_single_frame_has_no_pairs(film: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.mkv"
    make_clip(one, frames=1, codec="ffv1", sound=False)
    with pytest.raises(MediaError, match="1 in common"):
        _evaluated(film, one)


def test_the_lines_and_the_json_of_a_video(film: Path, clip: Path) -> None:
    told = nst("evaluate", "--video", film, film)
    first, *_, last = told.out.splitlines()
    assert first.startswith("warping error of the output   ")
    assert "1.00 times the source's" in first
    assert "7 pairs" in told.out
    assert last.startswith("verdict   still: ")
    old = nst("evaluate", "--video", film, clip, "--json")
    assert nst("evaluate", "flicker", film, clip, "--json").out == old.out
    assert json.loads(old.out) == asdict(_evaluated(film, clip))
    assert "the first 8 are compared" in old.error
