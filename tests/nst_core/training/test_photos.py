from __future__ import annotations

import math
import struct
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nst_core.errors import InputError, MediaError
from nst_core.training.photos import (
    Batch,
    BlankPictures,
    PhotoCrops,
    Sample,
    StepSampler,
    batches_of_steps,
    open_photo,
)


@pytest.fixture
def paths(photos: Path) -> list[str]:
    return sorted(map(str, photos.rglob("*.jpg")))


@pytest.fixture
def corrupt(tmp_path: Path, paths: list[str]) -> list[str]:
    """No picture at all, nothing at all, a JPEG cut in its header."""
    contents = {
        "text.jpg": b"\xff\xd8 not a picture",
        "empty.png": b"",
        "cut.jpg": Path(paths[0]).read_bytes()[:100],
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return [str(tmp_path / name) for name in contents]


def test_a_crop_depends_on_seed_and_number_alone(paths: list[str]) -> None:
    first, again = (PhotoCrops(paths, size=32, seed=5) for _ in range(2))
    crops = [first[number].picture for number in range(25)]
    for number in (24, 3, 11):  # in another order, as after a resume
        assert again[number].number == number
        torch.testing.assert_close(again[number].picture, crops[number], rtol=0, atol=0)
    other = PhotoCrops(paths, size=32, seed=6)
    assert not any(torch.equal(other[number].picture, crops[number]) for number in range(10))


def test_a_photo_gives_another_crop_in_each_epoch(paths: list[str]) -> None:
    crops = PhotoCrops(paths[:1], size=32, seed=0)
    pictures = [crops[number].picture for number in range(8)]
    assert not any(torch.equal(pictures[0], other) for other in pictures[1:])


def test_crops_have_the_size_and_range_that_was_asked_for(paths: list[str]) -> None:
    crops = PhotoCrops(paths, size=80, seed=0)  # larger than some of the photos
    for number in range(10):
        picture = crops[number].picture
        assert picture.shape == (3, 80, 80)
        assert 0 <= picture.min() <= picture.max() <= 1


def test_crops_come_from_everywhere_mirrored_and_not(tmp_path: Path) -> None:
    # Red says where a pixel is from left to right, green from top to bottom.
    y, x = np.mgrid[:64, :96]
    ramp = np.stack([x * 255 // 95, y * 255 // 63, 0 * x], axis=-1).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    crops = PhotoCrops([str(tmp_path / "ramp.png")], size=32, seed=0)
    pictures = torch.stack([crops[number].picture for number in range(200)])
    mirrored = pictures[:, 0, :, 0].mean(dim=1) > pictures[:, 0, :, -1].mean(dim=1)
    assert 70 < mirrored.sum() < 130
    assert (pictures[:, 1, 0].mean(dim=1) < pictures[:, 1, -1].mean(dim=1)).all()
    for channel in (0, 1):  # edges of the photo are seen, and so is its whole height or nearly
        lowest = pictures[:, channel].amin(dim=(1, 2))
        assert lowest.min() < 0.02
        assert pictures[:, channel].amax() > 0.98
    heights = pictures[:, 1].amax(dim=(1, 2)) - pictures[:, 1].amin(dim=(1, 2))
    # Of photos resized to 1 to 2 times the crop, half to all of the height is seen.
    assert 0.45 < heights.min() < 0.55
    assert heights.max() > 0.95


def test_native_crops_keep_the_photos_own_pixels(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    photo = random.integers(0, 256, (50, 60, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    crops = PhotoCrops([str(tmp_path / "photo.png")], size=32, seed=0, native=True)
    windows = {
        window.tobytes()
        for mirrored in (photo, photo[:, ::-1])
        for top in range(19)
        for left in range(29)
        for window in [np.ascontiguousarray(mirrored[top : top + 32, left : left + 32])]
    }
    for number in range(6):
        pixels = (crops[number].picture * 255).round().byte().permute(1, 2, 0).contiguous()
        assert pixels.numpy().tobytes() in windows


def test_an_epoch_visits_every_photo_once_in_a_new_order(paths: list[str]) -> None:
    read: list[str] = []

    def remembering(path: str, shrink_towards: int | None) -> Image.Image:
        read.append(path)
        return open_photo(path, shrink_towards)

    crops = PhotoCrops(paths, size=32, seed=0, open_photo=remembering)
    for number in range(30):
        crops[number]
    epochs = [read[start : start + 10] for start in (0, 10, 20)]
    assert all(sorted(epoch) == paths for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_sixteen_photos_are_enough_for_larger_steps(paths: list[str]) -> None:
    few = (paths * 2)[:16]
    sampler = StepSampler(first_step=0, last_step=2, samples_per_step=24, batch_size=24)
    for (batch,) in batches_of_steps(PhotoCrops(few, size=32, seed=0), sampler):
        assert batch.pictures.shape == (24, 3, 32, 32)
        assert not batch.unreadable


def test_a_corrupt_photo_is_named_and_replaced(paths: list[str], corrupt: list[str]) -> None:
    mixed = [*paths[:5], *corrupt]
    crops = PhotoCrops(mixed, size=32, seed=0)
    sampler = StepSampler(first_step=0, last_step=4, samples_per_step=4, batch_size=4)
    batches = [batch for step in batches_of_steps(crops, sampler) for batch in step]
    named: dict[str, str] = {}
    for batch in batches:
        assert batch.pictures.shape == (4, 3, 32, 32)
        named |= batch.unreadable
    assert sorted(named) == sorted(corrupt)
    for path, error in named.items():
        assert Path(path).name in error
        assert "\n" not in error


def test_a_good_photos_crop_does_not_depend_on_its_neighbours(
    paths: list[str], corrupt: list[str]
) -> None:
    good, mixed = paths[:8], [*paths[:7], corrupt[0]]
    all_good, with_bad = (PhotoCrops(chosen, size=32, seed=0) for chosen in (good, mixed))
    differing = [n for n in range(8) if not all_good[n].picture.equal(with_bad[n].picture)]
    assert len(differing) == 1
    assert list(with_bad[differing[0]].unreadable) == [corrupt[0]]


def test_nothing_readable_ends_with_a_clear_line(corrupt: list[str]) -> None:
    with pytest.raises(InputError, match="none of the 3 content photos") as caught:
        PhotoCrops(corrupt, size=32, seed=0)[0]
    assert "\n" not in str(caught.value)


def _line_of_pixels(length: int) -> bytes:
    """A PNG of length x 1 grey pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", length, 1, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" + b"\x80" * length)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    )


def test_a_line_of_pixels_is_no_photo(paths: list[str], tmp_path: Path) -> None:
    # Resized to crops of 256 it would be 10 GB.
    (tmp_path / "line.png").write_bytes(_line_of_pixels(50_000))
    line = str(tmp_path / "line.png")
    with pytest.raises(MediaError, match="50000x1 pixels"):
        open_photo(line, None)
    samples = [PhotoCrops([line, paths[0]], size=256, seed=0)[number] for number in range(2)]
    assert [path for sample in samples for path in sample.unreadable] == [line]
    panorama = open_photo("panorama", None, lambda _: _line_of_pixels(32))
    assert (panorama.size, panorama.mode) == ((32, 1), "RGB")


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize(("samples", "batch_size"), [(6, 2), (7, 2), (8, 3), (4, 8), (3, 1)])
def test_workers_share_each_step_without_overlap_or_gap(
    workers: int, samples: int, batch_size: int
) -> None:
    samplers = [
        StepSampler(
            first_step=3,
            last_step=6,
            samples_per_step=samples,
            batch_size=batch_size,
            rank=rank,
            world_size=workers,
        )
        for rank in range(workers)
    ]
    taken: Counter[int] = Counter()
    for sampler in samplers:
        batches = list(sampler)
        assert len(batches) == len(sampler) == 3 * sampler.batches_per_step
        for place, numbers in enumerate(batches):
            assert 1 <= len(numbers) <= batch_size
            step = 3 + place // sampler.batches_per_step
            assert {number // samples for number in numbers} == {step}
            taken.update(numbers)
    assert taken == Counter(range(3 * samples, 6 * samples))
    shares = [len(sampler.share) for sampler in samplers]
    assert max(shares) - min(shares) <= 1
    assert all(s.batches_per_step == math.ceil(len(s.share) / batch_size) for s in samplers)


def test_more_workers_than_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="3 workers"):
        StepSampler(first_step=0, last_step=1, samples_per_step=2, batch_size=2, world_size=3)


def test_each_step_has_its_batches_in_order(paths: list[str]) -> None:
    sampler = StepSampler(first_step=2, last_step=4, samples_per_step=5, batch_size=2)
    crops = PhotoCrops(paths, size=32, seed=0)
    steps = list(batches_of_steps(crops, sampler))
    numbers = [[batch.samples for batch in batches] for batches in steps]
    assert numbers == [[(10, 11), (12, 13), (14,)], [(15, 16), (17, 18), (19,)]]
    assert torch.equal(steps[0][1].pictures[1], crops[13].picture)


@pytest.mark.slow
def test_loading_in_processes_gives_the_same_batches(paths: list[str], corrupt: list[str]) -> None:
    crops = PhotoCrops([*paths[:4], corrupt[0]], size=32, seed=0)
    sampler = StepSampler(first_step=0, last_step=3, samples_per_step=3, batch_size=2)
    here = list(batches_of_steps(crops, sampler))
    elsewhere = list(batches_of_steps(crops, sampler, processes=1))
    for first, second in zip(here, elsewhere, strict=True):
        for ours, theirs in zip(first, second, strict=True):
            assert ours.samples == theirs.samples
            assert ours.unreadable == theirs.unreadable
            assert torch.equal(ours.pictures, theirs.pictures)
    assert any(batch.unreadable for step in here for batch in step)


def test_blank_pictures_have_a_size_alone() -> None:
    batch = Batch.of([BlankPictures(40)[number] for number in (3, 9)])
    assert batch.samples == (3, 9)
    assert batch.pictures.shape == (2, 3, 40, 40)
    assert not batch.pictures.any()


class _BoundOfPictures(BlankPictures):
    """Is white where Pillow has no bound on pixels."""

    def __getitem__(self, index: int) -> Sample:
        return Sample(index, torch.full((3, 1, 1), float(Image.MAX_IMAGE_PIXELS is None)))


def test_libraries_are_set_up_in_loading_processes() -> None:
    sampler = StepSampler(first_step=0, last_step=1, samples_per_step=1, batch_size=1)
    [[batch]] = batches_of_steps(_BoundOfPictures(1), sampler, processes=1)
    assert batch.pictures.all()


def test_an_error_of_a_loading_process_is_one_line(corrupt: list[str]) -> None:
    crops = PhotoCrops(corrupt[:1], size=32, seed=0)
    sampler = StepSampler(first_step=0, last_step=1, samples_per_step=1, batch_size=1)
    with pytest.raises(InputError) as caught:
        list(batches_of_steps(crops, sampler, processes=1))
    assert str(caught.value).startswith("none of the 1 content photos can be read")
    assert "\n" not in str(caught.value)
