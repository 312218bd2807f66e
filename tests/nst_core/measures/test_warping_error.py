"""Warping error: zero where the output moves with its source, and what flickers is counted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from nst_core.measures.warping_error import (
    Frame,
    WarpingError,
    masked_error,
    optical_flow,
    visible,
    warp,
)

HEIGHT, WIDTH = 72, 96
SIGMA = 20


def _texture(seed: int, height: int = HEIGHT, width: int = WIDTH) -> Frame:
    """Smooth blobs of all colours, about 6 pixels wide."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (-(-height // 6), -(-width // 6), 3), dtype=np.uint8)
    return np.asarray(
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), dtype=np.uint8
    )


def _panning(frames: int, step: tuple[int, int] = (3, 2)) -> Iterator[Frame]:
    """Pan over a larger picture; what is seen moves by -step, (x, y), from frame to frame."""
    picture = _texture(1, HEIGHT + 40, WIDTH + 40)
    for number in range(frames):
        left, top = step[0] * number, step[1] * number
        yield picture[top : top + HEIGHT, left : left + WIDTH]


def _noise(seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, SIGMA, (HEIGHT, WIDTH, 3))


def _noisy(frame: Frame, seed: int) -> Frame:
    return (frame // 2 + 64 + _noise(seed)).round().clip(0, 255).astype(np.uint8)


def test_flow_says_where_each_pixel_has_gone() -> None:
    first, second = _panning(2)
    flow = optical_flow(first, second)
    assert flow.shape == (HEIGHT, WIDTH, 2)
    inside = flow[12:-12, 12:-12]
    assert np.abs(inside - (-3, -2)).max() < 0.25
    assert np.median(inside, axis=(0, 1)) == pytest.approx((-3, -2), abs=0.05)


def test_warping_takes_the_picture_at_the_position_of_the_flow() -> None:
    columns = np.arange(20, dtype=np.float32)[None, :, None].repeat(16, axis=0)
    flow = np.full((16, 20, 2), (0.25, 3), np.float32)
    np.testing.assert_allclose(warp(columns, flow)[:, :-1, None], columns[:, :-1] + 0.25, atol=1e-5)


def test_an_output_that_moves_with_its_source_has_no_error() -> None:
    error = WarpingError()
    for frame in _panning(5):
        error.add(frame, 255 - frame)
    assert (error.pairs, error.cuts) == (4, 0)
    assert error.of_output < 2e-4
    assert error.of_output == pytest.approx(error.of_source, rel=0.02)  # a negative is no noisier
    # 3 of 96 columns and 2 of 72 rows come from outside, and the flow near them is uncertain.
    assert 0.75 < error.visible_fraction < 0.95


def test_noise_of_its_own_in_every_frame_is_an_error_of_its_size() -> None:
    clean, flickering = WarpingError(), WarpingError()
    for number, frame in enumerate(_panning(5)):
        clean.add(frame, frame // 2 + 64)
        flickering.add(frame, _noisy(frame, number))
    # Twice the variance where the flow hits pixels; between pixels the warp smooths one of the two.
    variance = (SIGMA / 255) ** 2
    assert 1.2 * variance < flickering.of_output < 2.1 * variance
    assert flickering.of_output > 20 * clean.of_output
    assert flickering.of_source == clean.of_source


def test_noise_that_sticks_to_the_screen_is_an_error_too() -> None:
    # The shower-door effect: constant in time, though its source moves.
    error = WarpingError()
    for frame in _panning(4):
        error.add(frame, _noisy(frame, seed=9))
    assert error.of_output > (SIGMA / 255) ** 2


def test_static_frames_have_an_error_of_exactly_zero() -> None:
    error = WarpingError()
    for _ in range(3):
        error.add(_texture(1), _texture(2))
    assert (error.of_output, error.of_source, error.visible_fraction) == (0, 0, 1)


def test_over_a_static_source_the_error_is_the_mean_square_of_the_change() -> None:
    error = WarpingError()
    outputs = [_texture(seed) for seed in (2, 3, 4)]
    for output in outputs:
        error.add(_texture(1), output)
    numbers = np.stack(outputs).astype(np.float64) / 255
    assert error.of_output == pytest.approx(np.mean(np.diff(numbers, axis=0) ** 2), rel=1e-5)


def test_what_a_moving_square_uncovers_is_not_compared() -> None:
    background = _texture(1)
    square = _texture(2, 32, 32)
    before, after = background.copy(), background.copy()
    before[20:52, 30:62] = square
    after[20:52, 40:72] = square  # ten columns of background come to light at its left
    backward = optical_flow(after, before)
    mask = visible(optical_flow(before, after), backward)
    assert mask[22:50, 31:39].mean() < 0.1
    assert mask[24:48, 46:66].mean() > 0.8  # the square itself is followed
    assert mask[:10].mean() > 0.9  # the background above it
    changed = after.copy()
    changed[22:50, 31:39] = 0
    hidden = masked_error(before, changed, backward, mask)
    everywhere = masked_error(before, changed, backward, np.ones_like(mask))
    assert hidden < everywhere / 10


def test_pixels_from_outside_the_picture_and_motion_boundaries_are_not_compared() -> None:
    backward = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    backward[..., 0] = -4
    mask = visible(-backward, backward)
    assert not mask[:, :4].any()
    assert mask[:, 4:].all()
    backward[HEIGHT // 2 :] = 0  # the lower half rests
    mask = visible(-backward, backward)
    assert not mask[HEIGHT // 2 - 1 : HEIGHT // 2 + 1].any()
    assert mask[: HEIGHT // 2 - 1, 4:].all()


def test_flows_that_do_not_return_are_not_compared() -> None:
    backward = np.full((HEIGHT, WIDTH, 2), (3, 0), np.float32)
    # Off by 0.7 pixels is 0.49, by 0.9 is 0.81; about 0.01 (9 + 9) + 0.5 is allowed.
    assert visible(np.full_like(backward, (-3, 0.7)), backward)[:, :-3].all()
    assert not visible(np.full_like(backward, (-3, 0.9)), backward).any()


def test_a_cut_is_counted_and_left_out() -> None:
    error = WarpingError()
    for frame in (_texture(1), _texture(1), _texture(5), _texture(5)):
        error.add(frame, frame)
    assert (error.pairs, error.cuts) == (2, 1)
    assert error.of_output == 0


def test_frames_that_cannot_be_compared_are_refused() -> None:
    error = WarpingError()
    with pytest.raises(ValueError, match="one size"):
        error.add(_texture(1), _texture(1)[:-1])
    small = _texture(1)[:15]
    error.add(small, small)
    with pytest.raises(ValueError, match="no side below 16"):
        error.add(small, small)
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    with pytest.raises(ValueError, match="no pixel"):
        masked_error(_texture(1), _texture(1), flow, np.zeros((HEIGHT, WIDTH), np.bool_))
