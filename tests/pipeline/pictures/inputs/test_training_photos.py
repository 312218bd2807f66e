"""Which photographs a training finds, here and behind a URI."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from nst_core.errors import InputError, MediaError
from nst_core.training.photos import PhotoCrops
from pipeline.pictures.inputs.training_photos import find_content, read_photo
from pipeline.storage.open import storage_for
from tests.kit.media import moving_picture

BUCKET = "memory://photos"


@pytest.fixture(autouse=True)
def _empty_memory() -> Iterator[None]:
    yield
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def _fill_bucket(count: int) -> list[str]:
    paths = []
    for number in range(count):
        file = io.BytesIO()
        Image.fromarray(moving_picture(number)).save(file, "PNG")
        paths.append(f"{BUCKET}/train/{number}.png")
        storage_for(BUCKET).write(paths[-1], file.getvalue())
    return paths


def test_every_picture_below_a_folder_is_found_in_sorted_order(photos: Path) -> None:
    found = find_content([str(photos)])
    assert found == tuple(sorted(str(path) for path in photos.rglob("*.jpg")))
    assert len(found) == 10


def test_folders_files_globs_and_lists_go_together_and_each_photo_counts_once(
    photos: Path, tmp_path: Path
) -> None:
    even, odd = sorted((photos / "even").iterdir()), sorted((photos / "odd").iterdir())
    listed = tmp_path / "some.txt"
    listed.write_text("".join(f"{path}\n" for path in (odd[0], odd[2], even[0])))
    sources = [str(photos / "even"), str(odd[0]), str(photos / "odd" / "[13].jpg"), str(listed)]
    assert find_content(sources) == tuple(sorted(map(str, {*even, *odd[:2], odd[2]})))


def test_relative_paths_become_absolute_for_workers_elsewhere(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    assert find_content(["even"]) == find_content([str(photos / "even")])


def test_where_there_is_none_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pictures"):
        find_content([str(tmp_path)])
    with pytest.raises(InputError, match="no such file or folder"):
        find_content([str(tmp_path / "nowhere")])


def test_photos_behind_a_uri_are_found_and_learnt_from(tmp_path: Path) -> None:
    paths = _fill_bucket(3)
    found = find_content([f"{BUCKET}/train"])
    assert found == tuple(paths)
    here = tmp_path / "0.png"
    here.write_bytes(storage_for(BUCKET).read(paths[0]))
    there = PhotoCrops(found[:1], size=32, seed=0, open_photo=read_photo)[5]
    same = PhotoCrops([str(here)], size=32, seed=0, open_photo=read_photo)[5]
    assert there.picture.equal(same.picture)


def test_what_has_gone_is_told_of_here_and_there(tmp_path: Path) -> None:
    for path in (str(tmp_path / "gone.jpg"), f"{BUCKET}/gone.jpg"):
        with pytest.raises(MediaError, match=r"gone\.jpg"):
            read_photo(path, None)


def test_a_photo_that_has_gone_behind_a_uri_gives_way_to_the_next() -> None:
    paths = _fill_bucket(2)
    storage_for(BUCKET).remove(paths[0])
    samples = [PhotoCrops(paths, size=32, seed=0, open_photo=read_photo)[n] for n in range(2)]
    assert [path for sample in samples for path in sample.unreadable] == [paths[0]]
