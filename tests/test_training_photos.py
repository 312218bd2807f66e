from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from nst_core.errors import InputError
from nst_core.training_photos import PhotoCrops, StepSampler, find_photos, picture_loader


def test_every_picture_below_the_folder_is_found(photos: Path) -> None:
    found = find_photos(photos)
    assert len(found) == 10
    assert found == sorted(found)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pictures"):
        find_photos(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        find_photos(tmp_path / "nowhere")


def test_a_crop_depends_on_seed_and_index_alone(photos: Path) -> None:
    paths = find_photos(photos)
    first, again = (PhotoCrops(paths, size=32, seed=5) for _ in range(2))
    crops = [first[index] for index in range(25)]
    for index in (24, 3, 11):  # in another order, as after a resume
        torch.testing.assert_close(again[index], crops[index], rtol=0, atol=0)
    other = PhotoCrops(paths, size=32, seed=6)
    assert not all(torch.equal(other[index], crops[index]) for index in range(10))


def test_crops_have_the_size_and_range_that_was_asked_for(photos: Path) -> None:
    crops = PhotoCrops(find_photos(photos), size=80, seed=0)  # larger than some of the photos
    for index in range(10):
        assert crops[index].shape == (3, 80, 80)
        assert 0 <= crops[index].min() <= crops[index].max() <= 1


def test_an_epoch_visits_every_photo_once_in_a_new_order(photos: Path) -> None:
    crops = PhotoCrops(find_photos(photos), size=32, seed=0)
    orders = [crops._order_of(epoch).tolist() for epoch in range(3)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert orders[0] != orders[1] != orders[2]


def test_a_corrupt_photo_is_skipped_and_named(
    photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8 not a picture")
    crops = PhotoCrops([bad, *find_photos(photos)[:2]], size=32, seed=0)
    with caplog.at_level(logging.WARNING):
        batch = torch.stack([crops[index] for index in range(3)])
    assert batch.shape == (3, 3, 32, 32)
    assert "bad.jpg" in caplog.text


def test_nothing_readable_ends_with_a_clear_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"")
    with pytest.raises(InputError, match="none of the content photos"):
        PhotoCrops([bad], size=32, seed=0)[0]


def test_workers_share_a_step_without_overlap_or_gap() -> None:
    samplers = [
        StepSampler(first_step=3, last_step=6, batch_size=2, rank=rank, world_size=3)
        for rank in range(3)
    ]
    steps = zip(*samplers, strict=True)
    taken = [sorted(index for batch in step for index in batch) for step in steps]
    assert taken == [list(range(18, 24)), list(range(24, 30)), list(range(30, 36))]


def test_loading_in_processes_gives_the_same_batches(photos: Path) -> None:
    crops = PhotoCrops(find_photos(photos), size=32, seed=0)
    sampler = StepSampler(first_step=0, last_step=3, batch_size=2)
    here = list(picture_loader(crops, sampler))
    elsewhere = list(picture_loader(crops, sampler, processes=1))
    for first, second in zip(here, elsewhere, strict=True):
        assert torch.equal(first, second)
