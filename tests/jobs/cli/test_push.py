"""`nst styles push`: what is published is whole, and is a style again for everybody else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nst_core.checkpoints.library import Style, bundled_packs, find_style
from nst_core.checkpoints.published import destination
from nst_core.errors import InputError
from tests.kit.command_line import nst
from tests.kit.file_server import serve
from tests.kit.hub import Hub, serve_hub


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))  # where a user's token may be


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    pytest.importorskip("huggingface_hub")
    files: dict[str, bytes] = {}
    with serve(files) as elsewhere, serve_hub(files, elsewhere.url) as hub:
        hub.exists = False
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", "secret")
        yield hub


def _card(content: bytes | str) -> tuple[str, str]:
    """Header and body of a model card."""
    text = content.decode() if isinstance(content, bytes) else content
    start, header, body = text.split("---\n", 2)
    assert start == ""
    return header, body


def test_what_is_pushed_to_the_hub_is_a_style_there(hub: Hub, style: Style) -> None:
    assert style.path is not None
    ended = nst("styles", "push", style.path, "--to", "hf://user/name", "--licence", "CC-BY-4.0")
    assert ended.code == 0, ended.error
    file = style.path.name
    assert sorted(hub.files) == sorted(["README.md", file, "preview.jpg"])
    assert hub.files[file] == style.path.read_bytes()
    found = find_style("hf://user/name")
    assert (found.name, found.sha256) == (style.path.stem, style.sha256)
    header, body = _card(hub.files["README.md"])
    assert "license: cc-by-4.0\n" in header
    assert "--style hf://user/name\n" in body
    assert f"| SHA-256 | {style.sha256} |" in body
    posted = [token for path, token in hub.asked if "/commit/" in path]
    assert posted == ["Bearer secret"]


def test_another_style_takes_its_place_only_with_overwrite_also_in_the_cache(
    hub: Hub, style: Style
) -> None:
    assert style.path is not None
    (pack,) = bundled_packs()
    assert nst("styles", "push", style.path, "--to", "hf://user/name").code == 0
    assert find_style("hf://user/name").sha256 == style.sha256
    refused = nst("styles", "push", "wave", "--to", "hf://user/name")
    assert refused.code == 2
    assert "--overwrite replaces" in refused.error_line
    ended = nst("styles", "push", "wave", "--to", "hf://user/name", "--overwrite", "--json")
    assert ended.code == 0, ended.error
    assert json.loads(ended.out)["style"] == "hf://user/name:wave"
    assert sorted(hub.files) == sorted(["README.md", f"{pack}.safetensors", "preview.jpg"])
    assert find_style("hf://user/name:wave").fingerprint == find_style("wave").fingerprint
    header, body = _card(hub.files["README.md"])
    assert "license: apache-2.0\n" in header  # it ships with the program
    assert "--style hf://user/name:wave\n" in body


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("hf://user/name@v1", "hf://user/name is needed, without a revision or a file"),
        ("hf://user/name/a.safetensors", "hf://user/name is needed"),
        ("hf://name", "hf://user/name is needed"),
        ("s3://bucket/name", "a folder on this machine or hf://user/name"),
    ],
)
def test_other_addresses_are_refused(to: str, words: str, hub: Hub) -> None:
    ended = nst("styles", "push", "wave", "--to", to)
    assert ended.code == 2
    assert words in ended.error_line
    assert not hub.asked


def test_what_the_hub_refuses_is_one_line_and_nothing_is_there(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.may_write = False
    ended = nst("styles", "push", "wave", "--to", "hf://user/name")
    assert ended.code == 2
    assert "the token has no right to write there" in ended.error_line
    hub.may_write, hub.breaks_at_commit = True, True
    assert "does not take it" in nst("styles", "push", "wave", "--to", "hf://user/name").error_line
    assert hub.files == {}
    monkeypatch.delenv("HF_TOKEN")
    assert "HF_TOKEN" in nst("styles", "push", "wave", "--to", "hf://user/name").error_line
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda _: None)
    ended = nst("styles", "push", "wave", "--to", "hf://user/name")
    assert ended.code == 2
    assert "the hub does not answer" in ended.error_line


def test_a_folder_has_one_checkpoint_a_card_and_a_picture(style: Style, tmp_path: Path) -> None:
    assert style.path is not None
    folder = tmp_path / "new" / "candy"
    ended = nst("styles", "push", style.path, "--to", folder)
    assert ended.code == 0, ended.error
    (checkpoint,) = folder.glob("*.safetensors")
    assert find_style(str(checkpoint)).sha256 == style.sha256
    header, body = _card((folder / "README.md").read_text())
    assert "license" not in header
    assert "| licence | not stated" in body
    assert str(tmp_path) not in body
    with Image.open(folder / "preview.jpg") as picture:
        assert picture.width > 2 * picture.height  # source and output beside each other
    assert "--overwrite" in nst("styles", "push", "bricks", "--to", folder).error_line
    assert nst("styles", "push", "bricks", "--to", folder, "--overwrite").code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "bricks.safetensors"]
    (folder / "photo.jpg").touch()
    refused = nst("styles", "push", style.path, "--to", folder, "--overwrite")
    assert "has other files (photo.jpg)" in refused.error_line
    assert [path.name for path in folder.parent.iterdir()] == ["candy"]


def test_a_checkpoint_of_another_ending_is_published_under_ours(
    hub: Hub, style: Style, tmp_path: Path
) -> None:
    assert style.path is not None
    named = tmp_path / "candy.ckpt"
    named.write_bytes(style.path.read_bytes())
    assert nst("styles", "push", named, "--to", "hf://user/name").code == 0
    assert find_style("hf://user/name").sha256 == style.sha256
    folder = tmp_path / "out"
    for more in ((), ("--overwrite",)):
        assert nst("styles", "push", named, "--to", folder, *more).code == 0
        assert (folder / "candy.safetensors").read_bytes() == style.path.read_bytes()


@pytest.mark.parametrize("there", [{}, {"a.safetensors": b"old"}])
def test_a_link_stays_and_its_folder_is_replaced(there: dict[str, bytes], tmp_path: Path) -> None:
    real, link = tmp_path / "elsewhere" / "real", tmp_path / "link"
    real.mkdir(parents=True)
    for name, content in there.items():
        (real / name).write_bytes(content)
    link.symlink_to(real)
    destination(str(link), overwrite=True)({"b.safetensors": b"new"})
    assert link.readlink() == real
    assert [path.name for path in real.iterdir()] == ["b.safetensors"]
    assert [path.name for path in real.parent.iterdir()] == ["real"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "link"]


def test_a_link_to_itself_and_a_mount_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InputError, match="name a folder"):
        destination(str(tmp_path / "loop"), overwrite=True)
    monkeypatch.setattr(Path, "is_mount", lambda _: True)
    with pytest.raises(InputError, match=r"a mount.*below it"):
        destination(str(tmp_path), overwrite=True)


def test_a_folder_for_reading_only_is_replaced_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "candy"
    write = destination(str(folder), overwrite=False)
    write({"a.safetensors": b"old"})
    folder.chmod(0o555)
    remove = shutil.rmtree

    def look(path: Path, **how: Any) -> None:
        if path.exists() and path.stat().st_mode & 0o700 == 0o700:  # root may remove others, too
            remove(path, **how)

    monkeypatch.setattr(shutil, "rmtree", look)
    destination(str(folder), overwrite=True)({"b.safetensors": b"new"})
    assert [path.name for path in tmp_path.iterdir()] == ["candy"]


def test_a_refusal_names_all_checkpoints_that_would_go(tmp_path: Path) -> None:
    names = [f"{name}.safetensors" for name in "abcde"]
    for name in ("README.md", *names):
        (tmp_path / name).touch()
    with pytest.raises(InputError) as refused:
        destination(str(tmp_path), overwrite=False)
    assert all(name in str(refused.value) for name in names)


def test_a_folder_that_cannot_be_replaced_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "candy"
    destination(str(folder), overwrite=False)({"a.safetensors": b"old"})
    write = destination(str(folder), overwrite=True)
    renamed = Path.replace

    def fail(path: Path, target: Path) -> Path:
        if path.suffix == ".part":
            raise OSError("the disk is gone")
        return renamed(path, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="gone"):
        write({"b.safetensors": b"new"})
    assert [path.name for path in tmp_path.iterdir()] == ["candy"]
    assert [path.name for path in folder.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("identity", "--to", "out"), "has no network"),
        (("none.safetensors", "--to", "out"), "none.safetensors"),
        (("wave", "--to", "out", "--licence", "all rights: mine"), "SPDX"),
    ],
)
def test_mistakes_are_one_line(
    arguments: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = nst("styles", "push", *arguments)
    assert ended.code == 2
    assert words in ended.error_line
    assert not Path("out").exists()
