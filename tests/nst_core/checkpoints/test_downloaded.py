"""Styles from elsewhere: fetched once, pinned by their hash, and nothing but styles."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from nst_core.caches import caches, clean, downloaded_styles
from nst_core.checkpoints import downloaded as module
from nst_core.checkpoints.downloaded import downloaded, is_address
from nst_core.checkpoints.library import Style, bundled_packs, find_for, find_style
from nst_core.errors import CheckpointError, EnvironmentProblem, InputError
from tests.kit.file_server import FileServer, serve
from tests.kit.hub import serve_hub


@pytest.fixture(autouse=True)
def _empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def content(style: Style) -> bytes:
    assert style.path is not None
    return style.path.read_bytes()


@pytest.fixture
def server(content: bytes) -> Iterator[FileServer]:
    with serve({"a/candy.safetensors": content}) as state:
        yield state


def _kept() -> list[str]:
    return [path.name for path in downloaded_styles().rglob("*") if path.is_file()]


def test_a_style_is_fetched_once_and_is_there_without_a_network(
    server: FileServer, content: bytes
) -> None:
    address = f"{server.url}/a/candy.safetensors"
    found = find_style(address)
    assert (found.name, found.sha256) == ("candy", hashlib.sha256(content).hexdigest())
    assert found.with_content().content == content  # for workers elsewhere
    server.files.clear()
    assert find_for("stylize", address) == found
    assert len(server.asked) == 1
    assert [(cache.name, cache.files) for cache in caches() if cache.files] == [
        ("downloaded styles", 1)
    ]
    assert clean() == len(content)
    with pytest.raises(EnvironmentProblem, match=r"no copy is kept here.*404"):
        find_style(address)


def test_a_mixture_stands_behind_the_address() -> None:
    (pack,) = bundled_packs()
    path = find_style("wave").path
    assert path is not None
    with serve({"p.safetensors": path.read_bytes()}) as state:
        pin = hashlib.sha256(path.read_bytes()).hexdigest()[:20]
        for address in (f"{state.url}/p.safetensors", f"{state.url}/p.safetensors#sha256={pin}"):
            found = find_style(f"{address}:wave=0.7,starry_night=0.3")
            assert dict(found.mixture) == {"wave": 0.7, "starry_night": 0.3}
    assert pack


def test_a_pin_is_held_against_what_comes_and_what_is_kept(
    server: FileServer, content: bytes
) -> None:
    address = f"{server.url}/a/candy.safetensors"
    pin = hashlib.sha256(content).hexdigest()
    with pytest.raises(EnvironmentProblem, match="another file than the one that is known"):
        downloaded(f"{address}#sha256={'0' * 64}")
    assert _kept() == []
    assert downloaded(f"{address}#sha256={pin.upper()}") == downloaded(address)
    with pytest.raises(EnvironmentProblem):
        downloaded(f"{address}#sha256={'0' * 16}")
    assert downloaded(address).read_bytes() == content  # it stays
    for wrong in ("#sha256=abc", "#md5=0123456789abcdef", "#sha256=" + "x" * 20):
        with pytest.raises(InputError, match="#sha256="):
            downloaded(address + wrong)


def test_what_is_cut_goes_on_and_what_is_too_large_is_refused_while_it_comes(
    server: FileServer, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    server.cuts_after = [1000]
    assert downloaded(f"{server.url}/a/candy.safetensors").read_bytes() == content
    assert server.asked[1].endswith("bytes=1000-")
    clean()
    monkeypatch.setattr(module, "MOST_BYTES", len(content) - 1)
    with pytest.raises(EnvironmentProblem, match="more than"):
        downloaded(f"{server.url}/a/candy.safetensors")
    assert not any(name.endswith(".safetensors") for name in _kept())


@pytest.mark.parametrize(
    ("name", "served", "words"),
    [
        ("page.safetensors", b"<html>" * 100, "not a safetensors file"),
        ("candy.pth", b"PK", "only .safetensors files"),
        ("folder/", b"", "only .safetensors files"),
    ],
)
def test_nothing_else_than_a_style_gets_into_the_cache(
    name: str, served: bytes, words: str
) -> None:
    with (
        serve({name: served}) as state,
        pytest.raises((CheckpointError, InputError), match=words),
    ):
        downloaded(f"{state.url}/{name}")
    assert _kept() == []


def test_what_is_not_encrypted_needs_a_pin_unless_it_is_this_machine() -> None:
    with pytest.raises(InputError, match="not encrypted"):
        downloaded("http://example.invalid/a.safetensors")
    assert is_address("hf://user/name")
    assert not is_address("s3://bucket/a.safetensors")


def test_the_hub_s_styles_by_repository_file_and_revision(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("huggingface_hub")
    files = {"candy.safetensors": content, "README.md": b"# candy"}
    with serve({"candy.safetensors": content}) as elsewhere:
        monkeypatch.setenv("HF_TOKEN", "secret")
        with serve_hub(files, elsewhere.url) as hub:
            monkeypatch.setenv("HF_ENDPOINT", hub.url)
            for address in ("hf://user/name", "hf://user/name@v1/candy.safetensors"):
                assert find_style(address).name == "candy"
                assert downloaded(address).read_bytes() == content
            resolved = [each for each in hub.asked if "/resolve/" in each[0]]
            assert [path for path, _ in resolved] == [
                "/user/name/resolve/main/candy.safetensors",
                "/user/name/resolve/v1/candy.safetensors",
            ]
            assert {token for _, token in resolved} == {"Bearer secret"}
            assert elsewhere.tokens == [None, None]
            files["other.safetensors"] = content
            with pytest.raises(InputError, match=r"name one of candy\.safetensors, other"):
                downloaded("hf://user/name@v2")
    assert find_style("hf://user/name").name == "candy"  # the hub is gone
    monkeypatch.setattr("time.sleep", lambda _: None)  # between attempts
    with pytest.raises(EnvironmentProblem, match="the hub does not answer"):
        downloaded("hf://user/other")
    with pytest.raises(InputError, match="hf://user/name"):
        downloaded("hf://name")


def test_without_the_hub_s_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(EnvironmentProblem, match=r"pip install 'nst\[hub\]'"):
        downloaded("hf://user/name")
