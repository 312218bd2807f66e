"""A picture takes on the histogram of another, channel by channel."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nst_core.color.histograms import match_histogram


def _noise(seed: int, *size: int, top: int = 256) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, top, (*size, 3), dtype=np.uint8)


def test_a_change_of_brightness_and_contrast_is_undone_exactly() -> None:
    original = _noise(1, 40, 30, top=100)
    changed = 2 * original + np.uint8(30)
    np.testing.assert_array_equal(match_histogram(changed, original), original)


def test_the_reference_may_have_another_size() -> None:
    original = _noise(2, 40, 30, top=100)
    changed = 2 * original + np.uint8(30)
    enlarged = original.repeat(4, axis=0).repeat(4, axis=1)
    np.testing.assert_array_equal(match_histogram(changed, enlarged), original)


def test_a_picture_matched_with_itself_stays_as_it_is() -> None:
    picture = _noise(3, 20, 20)
    np.testing.assert_array_equal(match_histogram(picture, picture), picture)


def test_the_channels_are_matched_one_by_one() -> None:
    picture, reference = _noise(4, 30, 30), _noise(5, 30, 30)
    reference[..., 1] //= 4
    matched = match_histogram(picture, reference)
    assert matched[..., 1].max() <= 63
    alone = match_histogram(picture[..., [1, 1, 1]], reference[..., [1, 1, 1]])
    np.testing.assert_array_equal(matched[..., 1], alone[..., 0])


def test_values_are_rounded_to_nearest_and_not_cut() -> None:
    # Two samples of one distribution: rounded, the means agree; cut, the result is 0.4 darker.
    picture, reference = _noise(6, 300, 300), _noise(7, 280, 310)
    matched = match_histogram(picture, reference)
    assert matched.mean() == pytest.approx(reference.mean(), abs=0.1)


def test_what_is_no_picture_is_refused() -> None:
    picture = _noise(8, 8, 8)
    with pytest.raises(ValueError, match="uint8 H x W x 3"):
        match_histogram(picture, picture[..., :1])
    with pytest.raises(ValueError, match="uint8 H x W x 3"):
        match_histogram(picture / np.float32(255), picture)  # type: ignore[type-var]
