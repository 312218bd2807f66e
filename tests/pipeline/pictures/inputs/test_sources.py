"""What users name as pictures: files, folders, globs and lists."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from nst_core.errors import EnvironmentProblem, InputError, MediaError
from pipeline.pictures.inputs.sources import find_images
from pipeline.storage.open import storage_for

NAMES = ("a.jpg", "x/a.JPG", "x/y/b.tif", "x/notes.md", "x/y/c.webp", "d.scan")
PICTURES = {"a.jpg", "x/a.JPG", "x/y/b.tif", "x/y/c.webp"}


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A tree with pictures and others: here, and behind a URI."""
    root = str(tmp_path / "in") if request.param == "disk" else "memory://bucket/in"
    for name in NAMES:
        storage_for(root).write(f"{root}/{name}", name.encode())
    yield root
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def _found(*sources: str, without: str | None = None) -> dict[str, str]:
    """Names to paths; no name comes twice."""
    found = list(find_images(sources, without=without))
    names = {each.name: each.path for each in found}
    assert len(names) == len(found)
    return names


def _list(path: Path, *lines: str, end: str = "\n") -> str:
    path.write_bytes(os.fsencode("".join(line + end for line in lines)))
    return str(path)


def test_a_folder_gives_its_tree_of_pictures_and_nothing_else(folder: str) -> None:
    expected = {name: f"{folder}/{name}" for name in PICTURES}
    assert _found(folder) == _found(folder + "/") == expected


def test_a_file_gives_its_name_and_is_taken_for_a_picture(folder: str) -> None:
    assert _found(f"{folder}/x/y/b.tif") == {"b.tif": f"{folder}/x/y/b.tif"}
    assert _found(f"{folder}/d.scan") == {"d.scan": f"{folder}/d.scan"}


def test_a_glob_gives_names_below_the_folder_before_its_wildcard(folder: str) -> None:
    assert _found(f"{folder}/x/**/*.[tw]*") == {
        "y/b.tif": f"{folder}/x/y/b.tif",
        "y/c.webp": f"{folder}/x/y/c.webp",
    }


def test_several_sources_come_one_after_the_other(folder: str) -> None:
    found = [each.name for each in find_images([f"{folder}/x/y/*", f"{folder}/a.jpg"])]
    assert (sorted(found[:2]), found[2:]) == (["b.tif", "c.webp"], ["a.jpg"])


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("none", "none: no such file or folder"),
        ("none/*.jpg", "none/*.jpg: no match for this glob"),
        ("x/*.png", "x/*.png: no match for this glob"),
    ],
)
def test_a_source_that_is_not_there_is_refused(folder: str, source: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        list(find_images([f"{folder}/{source}"]))
    assert str(caught.value) == f"{folder}/{reason}"


def test_a_folder_without_pictures_is_refused_with_the_endings_of_pictures(folder: str) -> None:
    storage_for(folder).write(f"{folder}/texts/a.md", b"")
    with pytest.raises(InputError, match=r"texts: no pictures in this folder \(.*\.jpg, .*\.png"):
        list(find_images([f"{folder}/texts"]))


def test_a_folder_with_nothing_but_a_loop_of_links_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    with pytest.raises(InputError) as caught:
        list(find_images([str(tmp_path)]))
    assert str(caught.value).startswith(f"{tmp_path}: no pictures in this folder (")
    assert str(caught.value).endswith(f"); {tmp_path}/deep/loop: links to a folder above it")
    (tmp_path / "a.jpg").touch()
    assert [bool(each.problem) for each in find_images([str(tmp_path)])] == [False, True]


def test_a_folder_that_cannot_be_listed_is_refused_with_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=rf"^{tmp_path}: cannot be listed \(Permission denied\)$"):
        list(find_images([str(tmp_path)]))


def test_the_output_folder_is_no_source_unless_it_is_the_source_itself(folder: str) -> None:
    inside = {name: path for name, path in _found(folder).items() if not name.startswith("x/y/")}
    assert _found(folder, without=f"{folder}/x/y") == inside
    assert set(_found(folder, without=folder)) == PICTURES


def test_a_list_names_pictures_below_the_folder_that_they_share(
    folder: str, tmp_path: Path
) -> None:
    lines = [f"{folder}/x/a.JPG", "", "# a remark", f"  {folder}/x/y/b.tif "]
    expected = {"a.JPG": f"{folder}/x/a.JPG", "y/b.tif": f"{folder}/x/y/b.tif"}
    for end in ("\n", "\r\n"):
        assert _found(_list(tmp_path / "list.TXT", *lines, end=end)) == expected


def test_a_list_of_one_names_it_by_its_last_part(folder: str, tmp_path: Path) -> None:
    path = f"{folder}/x/y/b.tif"
    assert _found(_list(tmp_path / "list.lst", path)) == {"b.tif": path}


def test_a_list_behind_a_uri_is_read_there(folder: str) -> None:
    storage_for(folder).write(f"{folder}/list.txt", f"{folder}/x/a.JPG\n".encode())
    assert _found(f"{folder}/list.txt") == {"a.JPG": f"{folder}/x/a.JPG"}


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (("memory://one/x/a.jpg", "memory://two/a.jpg"), ["one/x/a.jpg", "two/a.jpg"]),
        (("/one/a.jpg", "/two/a.jpg"), ["one/a.jpg", "two/a.jpg"]),
        (("/one/a.jpg", "memory://two/a.jpg"), ["one/a.jpg", "memory/two/a.jpg"]),
        (("memory://one/ab/a.jpg", "memory://one/ac/a.jpg"), ["ab/a.jpg", "ac/a.jpg"]),
        (("memory://one//a.jpg", "memory://one/b.jpg"), ["a.jpg", "b.jpg"]),
        (("file:///one/a.jpg", "/one/b.jpg"), ["a.jpg", "b.jpg"]),
    ],
)
def test_names_of_a_list_stay_in_the_output_folder_wherever_the_pictures_lie(
    tmp_path: Path, lines: tuple[str, ...], names: list[str]
) -> None:
    found = _found(_list(tmp_path / "list.txt", *lines))
    assert list(found) == names
    assert list(found.values()) == [line.removeprefix("file://") for line in lines]


def test_a_path_in_a_list_may_be_relative_and_no_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"caf\xe9.jpg")
    assert _found(_list(tmp_path / "list.txt", f"x/{name}")) == {name: f"{tmp_path}/x/{name}"}


def test_a_picture_of_a_list_that_is_not_there_is_left_to_be_named_by_its_reader(
    tmp_path: Path,
) -> None:
    (found,) = find_images([_list(tmp_path / "list.txt", "/none/a.jpg")])
    assert (found.path, found.size, found.version) == ("/none/a.jpg", 0, "")


def test_a_list_without_a_picture_is_refused(tmp_path: Path) -> None:
    source = _list(tmp_path / "list.txt", "# nothing", "")
    with pytest.raises(InputError, match=r"list\.txt: a list without a picture"):
        list(find_images([source]))


def test_a_list_with_an_unknown_scheme_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="s4:// is unknown"):
        list(find_images([_list(tmp_path / "list.txt", "s4://a/b.jpg")]))


def test_storage_that_does_not_answer_is_not_taken_for_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(MemoryFileSystem, "info", refuse)
    with pytest.raises(EnvironmentProblem, match=r"^memory://a/b\.jpg: Access Denied"):
        list(find_images(["memory://a/b.jpg"]))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_list_in_the_encodings_of_windows_is_read(
    encoding: str, end: str, tmp_path: Path
) -> None:
    text = f"# \u0a0a\u3042{end}x/\u0a0a \u00e9.jpg{end}x/b.jpg"
    mark = "\ufeff" if encoding.endswith("e") else ""
    path = tmp_path / "list.txt"
    path.write_bytes((mark + text).encode(encoding))
    names = {"\u0a0a \u00e9.jpg", "b.jpg"}
    assert set(_found(str(path))) == names


@pytest.mark.parametrize("content", [b"a\0.\0p\0n\0g\0\n\0", b"a.png\0b.png\0", b"\xff\xfea\0b"])
def test_a_list_with_zero_bytes_or_cut_short_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"list\.txt: .*UTF-8"):
        list(find_images([str(path)]))


def test_a_list_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "list.txt")
    with pytest.raises(MediaError, match="not a regular file"):
        list(find_images([str(tmp_path / "list.txt")]))
