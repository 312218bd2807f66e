"""Shots are found exact to the frame; what only looks like a cut is none."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from nst_core.errors import MediaError
from pipeline.films.shots import THUMBNAIL, cuts, shots_of
from pipeline.source.source_video import probe
from tests.kit.media import RATE

_WIDTH, _HEIGHT = THUMBNAIL
_BLACK = np.zeros((_HEIGHT, _WIDTH), np.uint8)

Pictures = list[NDArray[np.uint8]]


def _scene(seed: int) -> NDArray[np.uint8]:
    """A large picture of blots, whatever the seed; twice as wide and high as a thumbnail."""
    noise = np.random.default_rng(seed).random((2 * _HEIGHT, 2 * _WIDTH))
    blots = cv2.GaussianBlur(noise, (0, 0), 5)
    return cv2.normalize(blots, np.empty(0), 20, 230, cv2.NORM_MINMAX).astype(np.uint8)


def _pan(seed: int, frames: int, *, speed: float = 0.5) -> Pictures:
    """What a camera sees that moves over a scene, by ``speed`` pixels a frame."""
    scene = _scene(seed)
    starts = [round(speed * number) for number in range(frames)]
    return [scene[10:][:_HEIGHT, start : start + _WIDTH].copy() for start in starts]


def _mixed(first: Pictures, second: Pictures) -> Pictures:
    share = np.linspace(0, 1, len(first) + 2)[1:-1]
    mixed = zip(first, second, share, strict=True)
    return [np.asarray(a * (1 - part) + b * part, np.uint8) for a, b, part in mixed]


def test_cuts_are_found_at_their_very_frames() -> None:
    lengths = (30, 7, 41, 12, 60)
    pictures = [each for seed, length in enumerate(lengths) for each in _pan(seed, length)]
    assert cuts(pictures, RATE) == np.cumsum(lengths)[:-1].tolist()


@pytest.mark.parametrize("speed", [0.0, 1.0, 4.0])
def test_a_camera_that_pans_makes_no_cut(speed: float) -> None:
    assert cuts(_pan(3, int(min(60, _WIDTH / max(speed, 1))), speed=speed), RATE) == []


@pytest.mark.parametrize("frames", [1, 3])
def test_flashes_make_no_cut(frames: int) -> None:
    pictures = _pan(3, 60)
    for number in range(30, 30 + frames):
        pictures[number] = np.full_like(_BLACK, 255)
    assert cuts(pictures, RATE) == []


def test_a_picture_that_shows_for_a_moment_makes_no_cut() -> None:
    pictures = _pan(3, 60)
    pictures[30:33] = _pan(4, 3)
    assert cuts(pictures, RATE) == []


def test_a_light_that_goes_out_makes_no_cut() -> None:
    pictures = [each if number < 30 else each // 3 for number, each in enumerate(_pan(3, 60))]
    assert cuts(pictures, RATE) == []


def test_across_black_a_shot_begins_with_its_first_frame_that_shows_something() -> None:
    between = [_BLACK] * 5
    assert cuts([*_pan(1, 30), *between, *_pan(2, 30)], RATE) == [35]
    assert cuts([*between, *_pan(2, 30), *between], RATE) == []
    pictures = _pan(1, 60)
    pictures[30:35] = between
    assert cuts(pictures, RATE) == []


def test_a_fade_out_and_in_again_is_one_cut() -> None:
    first, second = _pan(1, 50), _pan(2, 50)
    out = _mixed(first[30:], [_BLACK] * 20)
    into = _mixed([_BLACK] * 20, second[:20])
    (found,) = cuts([*first[:30], *out, _BLACK, _BLACK, *into, *second[20:]], RATE)
    assert 52 <= found <= 58


def test_a_dissolve_is_one_cut_at_its_middle() -> None:
    first, second = _pan(1, 48, speed=0.1), _pan(2, 48, speed=0.1)
    (found,) = cuts([*first[:30], *_mixed(first[30:], second[:18]), *second[18:]], RATE)
    assert abs(found - 39) <= 3


def test_films_of_a_few_frames_have_one_shot() -> None:
    assert cuts([], RATE) == []
    assert cuts(_pan(1, 1), RATE) == cuts(_pan(1, 2), RATE) == []
    assert cuts([*_pan(1, 2), *_pan(2, 2)], RATE) == [2]


def _film(path: Path, pictures: Sequence[NDArray[np.uint8]], *, start: int = 0) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 2 * _WIDTH, 2 * _HEIGHT, "yuv420p"
        for number, picture in enumerate(pictures, start):
            large = np.kron(picture, np.ones((2, 2), np.uint8))
            frame = av.VideoFrame.from_ndarray(large, "gray8")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.ts"])
def test_shots_of_a_film_are_told_by_frames_and_times(name: str, tmp_path: Path) -> None:
    film = _film(tmp_path / name, [*_pan(1, 30), *_pan(2, 18), *_pan(3, 24)], start=9)
    told: list[int] = []
    shots = shots_of(probe(film), told.append)
    assert [(shot.number, shot.first_frame, shot.frames) for shot in shots] == [
        (1, 0, 30),
        (2, 30, 18),
        (3, 48, 24),
    ]
    rounded = Fraction(1, 500)  # Matroska counts milliseconds
    for shot in shots:
        assert abs(shot.start - Fraction(shot.first_frame, RATE)) < rounded
        assert abs(shot.end - shot.start - Fraction(shot.frames, RATE)) < rounded
    assert told == list(range(1, 73))


def test_shots_of_a_damaged_film_are_those_of_what_can_be_decoded(tmp_path: Path) -> None:
    film = _film(tmp_path / "film.ts", [*_pan(1, 30), *_pan(2, 30)])
    data = bytearray(film.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 400] = bytes(400)
    film.write_bytes(data)
    assert shots_of(probe(film))


def test_a_film_without_a_frame_is_refused(tmp_path: Path) -> None:
    film = _film(tmp_path / "film.ts", _pan(1, 3))
    source = probe(film)
    film.write_bytes(bytes(1000))
    with pytest.raises(MediaError, match=r"film\.ts"):
        shots_of(source)
