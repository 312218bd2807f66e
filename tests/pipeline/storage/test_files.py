"""Files on this machine: found, read and written, whatever they are called."""

from __future__ import annotations

import glob
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nst_core.errors import MediaError
from pipeline.storage.files import StoredFile, is_uri, parts_of_pattern
from pipeline.storage.local import LocalStorage
from pipeline.storage.open import storage_for

STORAGE = LocalStorage()
NAMES = ("a.jpg", "b.JPG", "x/a.jpg", "x/b c.png", "x/y/a.jpg", "x/y/[1].jpg", "z.txt")
HIDDEN = (".a.jpg", "x/.y.jpg", ".folder/a.jpg")


def _fill(folder: Path, names: tuple[str, ...] = NAMES) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def _names(folder: Path, without: Path | None = None) -> list[str]:
    found = STORAGE.walk(str(folder), without=None if without is None else str(without))
    return sorted(each.name for each in found)


def _matches(pattern: str) -> list[str]:
    return sorted(each.name for each in STORAGE.glob(pattern))


@contextmanager
def _room_for(size: int) -> Iterator[None]:
    """Let no file grow beyond ``size`` bytes: the kernel then refuses as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_walk_finds_all_files_but_the_hidden_ones(tmp_path: Path) -> None:
    _fill(tmp_path, NAMES + HIDDEN)
    found = {each.name: each for each in STORAGE.walk(str(tmp_path))}
    assert sorted(found) == sorted(NAMES)
    for name, each in found.items():
        path = tmp_path / name
        assert each == StoredFile(str(path), name, len(name), each.version, os.path.realpath(path))


def test_a_walk_and_a_look_at_one_file_agree_on_its_version(tmp_path: Path) -> None:
    for each in STORAGE.walk(str(_fill(tmp_path))):
        assert STORAGE.find(each.path).version == each.version != ""


def test_files_are_told_of_while_others_are_still_to_be_listed(tmp_path: Path) -> None:
    _fill(tmp_path, ("a.jpg", "x/b.jpg"))
    found = STORAGE.walk(str(tmp_path))
    assert next(found).name == "a.jpg"
    (tmp_path / "x" / "new.jpg").write_bytes(b"")
    assert sorted(each.name for each in found) == ["x/b.jpg", "x/new.jpg"]


def test_a_link_to_a_folder_above_is_named_once_and_does_not_loop(tmp_path: Path) -> None:
    _fill(tmp_path, ("a.jpg", "x/b.jpg"))
    (tmp_path / "x" / "back").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "x" / "self").symlink_to("self")
    found = {each.name: each for each in STORAGE.walk(str(tmp_path))}
    assert sorted(found) == ["a.jpg", "x/b.jpg", "x/back", "x/self"]
    assert found["x/back"].problem == f"{tmp_path}/x/back: links to a folder above it"
    assert found["x/self"].problem is None  # reading it will say: too many levels of links
    with pytest.raises(MediaError, match=r"x/self: cannot be read \(Too many levels"):
        STORAGE.read(found["x/self"].path)


def test_a_link_to_a_folder_elsewhere_is_followed_to_the_same_real_files(tmp_path: Path) -> None:
    _fill(tmp_path / "elsewhere", ("b.jpg",))
    _fill(tmp_path / "here", ("a.jpg",))
    for name in ("one", "two"):
        (tmp_path / "here" / name).symlink_to(tmp_path / "elsewhere")
    found = {each.name: each.real for each in STORAGE.walk(str(tmp_path / "here"))}
    real = os.path.realpath(tmp_path / "elsewhere" / "b.jpg")
    assert found == {
        "a.jpg": os.path.realpath(tmp_path / "here" / "a.jpg"),
        "one/b.jpg": real,
        "two/b.jpg": real,
    }


def test_a_folder_left_out_stays_out_by_any_name(tmp_path: Path) -> None:
    _fill(tmp_path, ("a.jpg", "out/b.jpg", "out2/c.jpg"))
    (tmp_path / "alias").symlink_to(tmp_path / "out", target_is_directory=True)
    assert _names(tmp_path, without=tmp_path / "out") == ["a.jpg", "out2/c.jpg"]
    matched = STORAGE.glob(f"{tmp_path}/*/*.jpg", without=str(tmp_path / "out"))
    assert [each.name for each in matched] == ["out2/c.jpg"]
    matched = STORAGE.glob(f"{tmp_path}/**/*.jpg", without=str(tmp_path / "out"))
    assert sorted(each.name for each in matched) == ["a.jpg", "out2/c.jpg"]


PATTERNS = (
    *("*.jpg", "?.jpg", "[ab].jpg", "*", "*/*.jpg", "x/*/a.jpg", "x/b*", "none*"),
    *("**", "**/*", "**/*.jpg", "**/a.jpg", "x/**/*.jpg", "*/**/a.jpg", "**/y/*", "a**.jpg"),
    *("**/[[]1].jpg", "**/[!a].jpg", "**/*.JPG", "**.jpg"),
)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_globs_match_what_python_matches(tmp_path: Path, pattern: str) -> None:
    _fill(tmp_path, NAMES + HIDDEN)
    whole = str(tmp_path / pattern)
    expected = {os.path.realpath(path) for path in glob.glob(whole, recursive=True)}  # noqa: PTH207
    files = sorted(path for path in expected if Path(path).is_file())
    assert sorted(each.real for each in STORAGE.glob(whole)) == files
    folder, _ = parts_of_pattern(whole)
    assert _matches(whole) == sorted(os.path.relpath(path, folder) for path in files)


@pytest.mark.timeout(120)
def test_a_glob_over_links_that_loop_ends_and_finds_each_file_once(tmp_path: Path) -> None:
    _fill(tmp_path, ("a.jpg", "x/b.jpg"))
    for name in ("one", "two", "x/three"):  # Python's own glob finds more than 2 ** 40 paths here
        (tmp_path / name).symlink_to(tmp_path, target_is_directory=True)
    found = list(STORAGE.glob(f"{tmp_path}/**/*.jpg"))
    assert sorted(each.name for each in found if each.problem is None) == ["a.jpg", "x/b.jpg"]
    assert sorted(each.name for each in found if each.problem) == ["one", "two", "x/three"]


def test_a_glob_below_no_folder_matches_nothing(tmp_path: Path) -> None:
    assert _matches(f"{tmp_path}/none/**/*.jpg") == []
    assert _matches(f"{tmp_path}/none/*.jpg") == []


def test_a_pattern_is_parted_before_its_first_wildcard() -> None:
    assert parts_of_pattern("/a/b/*/c?.jpg") == ("/a/b", "*/c?.jpg")
    assert parts_of_pattern("/*.jpg") == ("", "*.jpg")
    assert parts_of_pattern("s3://bucket/a/**") == ("s3://bucket/a", "**")


def test_a_changed_file_has_another_version_though_its_time_is_set_back(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"one")
    before, status = STORAGE.find(str(path)), path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = STORAGE.find(str(path))
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    assert (after.size, after.version != before.version) == (before.size, True)


def test_names_that_are_no_text_are_found_read_and_written(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    Path(os.fsdecode(raw)).write_bytes(b"content")
    (found,) = STORAGE.walk(str(tmp_path))
    assert os.fsencode(found.path) == raw
    assert STORAGE.read(found.path) == b"content"
    STORAGE.write(found.path + "2", b"more")
    assert (found.size, STORAGE.size(os.fsdecode(raw + b"2"))) == (7, 4)


def test_a_file_appears_whole_with_its_folders_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "x" / "y" / "a.jpg"
    for content in (b"first", b"second"):
        STORAGE.write(str(path), content)
        assert path.read_bytes() == content
    assert [each.name for each in path.parent.iterdir()] == ["a.jpg"]


def test_a_file_for_which_there_is_no_room_does_not_appear(tmp_path: Path) -> None:
    old = tmp_path / "old.jpg"
    old.write_bytes(b"old")
    with _room_for(1000):
        for path in (old, tmp_path / "new.jpg"):
            with pytest.raises(MediaError, match=rf"^{path}: cannot be written \(File too large\)"):
                STORAGE.write(str(path), bytes(5000))
    assert [path.name for path in tmp_path.iterdir()] == ["old.jpg"]
    assert old.read_bytes() == b"old"


def test_a_name_as_long_as_names_can_be_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 251 + ".jpg")
    STORAGE.write(str(path), b"content")
    assert path.read_bytes() == b"content"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("none.jpg", "no such file"), ("", "cannot be read (Is a directory)")],
)
def test_what_cannot_be_read_is_named_with_its_reason(
    tmp_path: Path, name: str, reason: str
) -> None:
    path = str(tmp_path / name)
    with pytest.raises(MediaError) as caught:
        STORAGE.read(path)
    assert str(caught.value) == f"{path}: {reason}"


def test_what_has_no_end_is_not_read(tmp_path: Path) -> None:
    pipe, device = tmp_path / "pipe.jpg", tmp_path / "zeros.jpg"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    for path in (pipe, device):
        with pytest.raises(MediaError, match="not a regular file"):
            STORAGE.read(str(path))


def test_what_cannot_be_written_is_named_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(
        MediaError, match=r"file/a\.jpg: cannot be written \((File exists|Not a di)"
    ):
        STORAGE.write(str(tmp_path / "file" / "a.jpg"), b"")


def test_lines_of_a_text_that_is_not_there_are_an_error_of_the_users(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"none\.txt: cannot be read \(No such file"):
        list(STORAGE.lines(str(tmp_path / "none.txt")))


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"")
    STORAGE.remove(str(path))
    STORAGE.remove(str(path))
    assert not path.exists()


def test_files_folders_and_links_that_lead_nowhere_are_told_apart(tmp_path: Path) -> None:
    _fill(tmp_path, ("x/a.jpg",))
    (tmp_path / "nowhere").symlink_to(tmp_path / "none")
    for name, is_file, is_folder, size in (
        ("x", False, True, None),
        ("x/a.jpg", True, False, 7),
        ("nowhere", True, False, None),
        ("none", False, False, None),
    ):
        path = str(tmp_path / name)
        assert (STORAGE.is_file(path), STORAGE.is_folder(path)) == (is_file, is_folder)
        assert is_folder or STORAGE.size(path) == size


def test_a_file_uri_is_a_path_of_this_machine(tmp_path: Path) -> None:
    storage = storage_for(f"file://{tmp_path}/x/../a.jpg")
    assert not storage.is_remote
    assert storage.resolved(f"file://{tmp_path}/x/../a.jpg") == str(tmp_path / "a.jpg")


def test_uris_are_told_from_paths() -> None:
    assert all(map(is_uri, ("s3://bucket/a", "memory://a", "file:///a")))
    assert not any(map(is_uri, ("a/b", "/a//b", "c:/a", "a s3://b", "1://a")))
