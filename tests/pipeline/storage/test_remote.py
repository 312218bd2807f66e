"""Files behind URIs, in fsspec's own memory: what does not need a service."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from nst_core.errors import EnvironmentProblem, InputError, MediaError
from pipeline.storage.files import Storage, below
from pipeline.storage.local import LocalStorage
from pipeline.storage.open import storage_for

NAMES = ("a.jpg", "b.JPG", "x/a.jpg", "x/b c.png", "x/y/a.jpg", "x/y/[1].jpg", "z.txt")
HIDDEN = (".a.jpg", "x/.y.jpg", ".folder/a.jpg")
FOLDER = "memory://bucket/photos"


@pytest.fixture(autouse=True)
def _empty_memory() -> Iterator[None]:
    yield
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture
def storage() -> Storage:
    return storage_for(FOLDER)


def _fill(storage: Storage, folder: str, names: tuple[str, ...] = NAMES) -> None:
    for name in names:
        storage.write(below(folder, name), name.encode())


def _fails(*_: object, **__: object) -> Any:
    raise PermissionError("Access\n  Denied")


def test_what_is_written_is_found_read_and_removed(storage: Storage) -> None:
    path = below(FOLDER, "x/a.jpg")
    assert (storage.size(path), storage.is_file(path), storage.is_folder(FOLDER)) == (None, 0, 0)
    storage.write(path, b"content")
    assert (storage.size(path), storage.is_file(path), storage.is_folder(FOLDER)) == (7, 1, 1)
    assert (storage.is_file(FOLDER), storage.is_folder(path)) == (False, False)
    assert storage.read(path) == b"content"
    assert list(storage.lines(path)) == [b"content"]
    storage.remove(path)
    storage.remove(path)
    assert storage.size(path) is None


def test_a_walk_finds_all_files_but_the_hidden_ones(storage: Storage) -> None:
    _fill(storage, FOLDER, NAMES + HIDDEN)
    _fill(storage, "memory://bucket/photos2", ("c.jpg",))
    found = {each.name: each for each in storage.walk(FOLDER)}
    assert sorted(found) == sorted(NAMES)
    for name, each in found.items():
        assert (each.path, each.real) == (below(FOLDER, name), below(FOLDER, name))
        assert (each.size, each.version != "", each.problem) == (len(name), True, None)


def test_a_folder_that_is_not_there_holds_nothing(storage: Storage) -> None:
    assert list(storage.walk("memory://bucket/none")) == []
    assert list(storage.glob("memory://bucket/none/*.jpg")) == []


def test_a_folder_left_out_stays_out(storage: Storage) -> None:
    _fill(storage, FOLDER, ("a.jpg", "out/b.jpg", "out2/c.jpg"))
    found = storage.walk(FOLDER, without=below(FOLDER, "out"))
    assert sorted(each.name for each in found) == ["a.jpg", "out2/c.jpg"]
    found = storage.glob(below(FOLDER, "**/*.jpg"), without=below(FOLDER, "out"))
    assert sorted(each.name for each in found) == ["a.jpg", "out2/c.jpg"]


@pytest.mark.parametrize(
    "pattern",
    [
        *("*.jpg", "?.jpg", "[ab].jpg", "*", "*/*.jpg", "x/*/a.jpg", "x/b*", "none*"),
        *("**", "**/*", "**/*.jpg", "**/a.jpg", "x/**/*.jpg", "*/**/a.jpg", "**/y/*", "a**.jpg"),
        *("**/[!a].jpg", "**/*.JPG", "**.jpg"),
    ],
)
def test_globs_match_what_they_match_on_disks(
    storage: Storage, tmp_path: Path, pattern: str
) -> None:
    here = LocalStorage()
    _fill(storage, FOLDER, NAMES + HIDDEN)
    _fill(here, str(tmp_path), NAMES + HIDDEN)
    found = {each.name: each.path for each in storage.glob(below(FOLDER, pattern))}
    root, names = pattern.split("*")[0].split("?")[0].split("[")[0], []
    for each in here.glob(f"{tmp_path}/{pattern}"):
        names.append(each.name)
    assert sorted(found) == sorted(names)
    for name, path in found.items():
        assert path == below(below(FOLDER, root.rpartition("/")[0]), name)


def test_a_new_content_has_a_new_version(storage: Storage) -> None:
    path = below(FOLDER, "a.jpg")
    storage.write(path, b"one")
    before = storage.find(path).version
    assert storage.find(path).version == before != ""
    storage.write(path, b"two")
    assert storage.find(path).version != before


@pytest.mark.parametrize("name", ["a b", "ü", "#1", "%20", "q?x=1", "+", "[1]", "*"])
def test_odd_names_are_names(storage: Storage, name: str) -> None:
    path = below(FOLDER, f"{name}.jpg")
    storage_for(path).write(path, b"content")
    (found,) = storage.walk(FOLDER)
    assert (found.name, found.path) == (f"{name}.jpg", path)
    assert storage_for(found.path).read(found.path) == b"content"
    assert storage.is_file(path)


def test_an_unknown_scheme_is_refused_with_some_that_are_known() -> None:
    with pytest.raises(InputError, match=r"^s4://a/b: the scheme s4:// is unknown; try s3://"):
        storage_for("s4://a/b")


@pytest.mark.parametrize(("scheme", "module"), [("gs", "gcsfs"), ("s3", "s3fs")])
def test_a_scheme_whose_package_is_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, scheme: str, module: str
) -> None:
    # It remembers what it has imported; the package hides its module of the same name.
    known = importlib.import_module("fsspec.registry")
    monkeypatch.setattr(known, "registry", {})
    monkeypatch.setitem(sys.modules, module, None)  # to Python: there is no such module
    with pytest.raises(EnvironmentProblem, match=rf"^{scheme}://a: .*pip install {module}$"):
        storage_for(f"{scheme}://a")


def test_a_scheme_without_an_extra_says_what_its_file_system_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "paramiko", None)
    with pytest.raises(EnvironmentProblem, match=r"^sftp://host/a: .*paramiko"):
        storage_for("sftp://host/a")


@pytest.mark.parametrize(
    ("method", "question", "expected"),
    [
        ("cat_file", "read", MediaError),
        ("pipe_file", "write", MediaError),
        ("info", "size", EnvironmentProblem),
        ("info", "is_file", EnvironmentProblem),
        ("isdir", "is_folder", EnvironmentProblem),
        ("rm_file", "remove", EnvironmentProblem),
        ("walk", "walk", EnvironmentProblem),
    ],
)
def test_a_service_that_refuses_is_told_in_one_line_that_names_the_file(
    monkeypatch: pytest.MonkeyPatch,
    storage: Storage,
    method: str,
    question: str,
    expected: type[Exception],
) -> None:
    path = below(FOLDER, "a.jpg")
    storage.write(path, b"content")
    monkeypatch.setattr(MemoryFileSystem, method, _fails)
    ask = getattr(storage, question)
    with pytest.raises(expected) as caught:
        ask(path, b"") if question == "write" else list(ask(path) or ())
    assert str(caught.value).startswith(f"{path}: ")
    assert "Access Denied" in str(caught.value)


def test_a_file_that_cannot_be_looked_at_is_left_to_be_read_and_named(
    monkeypatch: pytest.MonkeyPatch, storage: Storage
) -> None:
    monkeypatch.setattr(MemoryFileSystem, "info", _fails)
    found = storage.find(below(FOLDER, "a.jpg"))
    assert (found.name, found.size, found.problem) == ("a.jpg", 0, None)


def test_where_files_grow_as_they_are_written_they_get_their_name_last(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = f"local://{tmp_path}/x/a.jpg"  # a file system behind a URI, and no object store
    storage = storage_for(path)
    assert storage.is_remote
    storage.write(path, b"old")
    assert [each.name for each in (tmp_path / "x").iterdir()] == ["a.jpg"]

    def breaks_off(self: LocalFileSystem, name: str, content: bytes, **_: object) -> None:
        Path(name).write_bytes(content[:2])
        raise OSError("connection lost")

    monkeypatch.setattr(LocalFileSystem, "pipe_file", breaks_off)
    with pytest.raises(MediaError, match=r"a\.jpg: cannot be written \(connection lost\)"):
        storage.write(path, b"new content")
    assert storage.read(path) == b"old"
    assert [each.name for each in storage.walk(f"local://{tmp_path}")] == ["x/a.jpg"]
