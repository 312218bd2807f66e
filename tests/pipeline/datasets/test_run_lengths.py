"""Masks of COCO, in the forms that COCO's own programs write, resized."""

from __future__ import annotations

import pytest

from pipeline.datasets.run_lengths import Counts, resized

_SIZE = (6, 8)
_MASK = ["########", "#......#", "#.####.#", "#.#..#..", "#.####..", "........"]
_RUNS = [0, 5, 1, 1, 5, 1, 1, 3, *[1] * 15, 3, 1, 1, 5, 3, 3]
# Of the same mask, and of it with each pixel doubled, by pycocotools 2.0.11.
_TEXT = "051L40L20N000000000000020N42N"
_TEXT_OF_DOUBLED = "0:200H8000H40L040L000000000000000000000000040L040L8004L00"


def _drawn(runs: list[int], size: tuple[int, int]) -> list[str]:
    """Undo the runs by hand: down the columns, 0 first."""
    pixels = "".join(".#"[number % 2] * length for number, length in enumerate(runs))
    assert len(pixels) == size[0] * size[1]
    return [pixels[row :: size[0]] for row in range(size[0])]


def test_a_mask_becomes_larger_and_smaller_in_both_forms() -> None:
    assert _drawn(_RUNS, _SIZE) == _MASK
    doubled = [twice for line in _MASK for twice in 2 * ["".join(2 * pixel for pixel in line)]]
    runs = resized(_RUNS, _SIZE, (12, 16))
    assert isinstance(runs, list)
    assert _drawn(runs, (12, 16)) == doubled
    assert resized(_TEXT, _SIZE, (12, 16)) == _TEXT_OF_DOUBLED
    assert resized(runs, (12, 16), _SIZE) == _RUNS
    assert resized(_TEXT_OF_DOUBLED, (12, 16), _SIZE) == _TEXT


def test_a_mask_of_another_shape_keeps_its_nearest_pixels() -> None:
    halved = resized(_RUNS, _SIZE, (3, 8))
    assert isinstance(halved, list)
    assert _drawn(halved, (3, 8)) == [_MASK[1], _MASK[3], _MASK[5]]


@pytest.mark.parametrize("counts", [[5, 5], [-1, 13], [5.0, 7.0], [], "i05", "zz"])
def test_runs_that_do_not_fill_the_mask_are_refused(counts: Counts) -> None:
    with pytest.raises(ValueError, match="do not fill 4x3"):
        resized(counts, (3, 4), (6, 8))


@pytest.mark.parametrize("size", [(3.0, 4.0), (-3, -4), (10**11, 10**11), (10**400, 1)])
def test_a_mask_s_size_is_that_of_a_picture(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="size cannot be"):
        resized([size[0] * size[1]], size, (6, 8))


def test_a_mask_is_drawn_in_its_new_size_only() -> None:
    claimed = (2**31, 2**31)
    half = 2**61
    assert resized([half, half], claimed, (4, 6)) == [12, 12]
    with pytest.raises(ValueError, match="would have 100000x100000 pixels"):
        resized([half, half], claimed, (100_000, 100_000))
