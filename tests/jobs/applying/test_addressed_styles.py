"""Styles by their address, in whole commands."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from nst_core.checkpoints.library import Style
from tests.kit.command_line import nst
from tests.kit.file_server import serve
from tests.kit.image_jobs import contents, save_pictures
from tests.kit.media import make_clip


def test_pictures_and_films_in_a_style_of_an_address_say_its_hash(
    style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path / "cache"))
    assert style.path is not None
    content = style.path.read_bytes()
    source = save_pictures(tmp_path / "in", "a.png")
    film = tmp_path / "film.mp4"
    make_clip(film, frames=4)
    with serve({"candy.safetensors": content}) as state:
        address = f"{state.url}/candy.safetensors"
        ended = nst(
            "stylize", "images", source, "-o", tmp_path / "out", "--style", address, "--json"
        )
        assert ended.code == 0, ended.error
        report = json.loads(ended.out)
        assert report["styles"] == {"candy": hashlib.sha256(content).hexdigest()}
        assert (
            json.loads((tmp_path / "out" / "report.json").read_text())["styles"] == report["styles"]
        )
        assert len(state.asked) == 1
    options = ("--style", address, "--json", "--workers", "0")  # the server is gone
    ended = nst("stylize", "video", film, "-o", tmp_path / "out.mp4", *options)
    assert ended.code == 0, ended.error
    assert json.loads(ended.out)["inputs"][0]["styles"] == report["styles"]
    nst("stylize", "images", source, "-o", tmp_path / "local", "--style", str(style.path))
    assert contents(tmp_path / "local") == contents(tmp_path / "out")


def test_an_address_that_gives_nothing_ends_the_command_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path / "cache"))
    source = save_pictures(tmp_path / "in", "a.png")
    with serve({}) as state:
        address = f"{state.url}/candy.safetensors"
        ended = nst("stylize", "images", source, "-o", tmp_path / "out", "--style", address)
    assert ended.code == 2
    assert "cannot be fetched" in ended.error_line
    assert not (tmp_path / "out").exists()
