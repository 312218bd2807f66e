from __future__ import annotations

from pathlib import Path

import pytest

from nst_core.errors import CheckpointError, InputError
from nst_core.style_library import (
    IDENTITY,
    Command,
    Style,
    bundled,
    bundled_styles,
    find_for,
    find_style,
)


def test_the_bundled_styles_are_there_and_say_how_they_were_made() -> None:
    assert {"starry_night", "wave"} <= set(bundled_styles())
    for name in bundled_styles():
        style = find_style(name)
        assert style.info is not None
        for key in ("style_image", "content", "training", "objective", "loss_network"):
            assert style.info.training.get(key), f"{name} does not say its {key}"
        assert style.info.training["training"]["steps"] >= 1000


def test_bundled_textures_and_enlargers_go_with_their_commands() -> None:
    assert {"bricks", "pebble", "red-peppers"} <= set(bundled("synthesize"))
    assert "x4" in bundled("upscale")
    commands: tuple[Command, ...] = ("stylize", "synthesize", "upscale")
    for command in commands:
        for name in bundled(command):
            style = find_for(command, name)
            assert style.info is not None
            assert style.info.training["training"]["steps"] >= 400


def test_what_is_bundled_is_small_together() -> None:
    commands: tuple[Command, ...] = ("stylize", "synthesize", "upscale")
    paths = [find_style(name).path for command in commands for name in bundled(command)]
    assert sum(path.stat().st_size for path in paths if path) < 30_000_000


def test_an_unknown_style_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="wave"):
        find_style("monet")


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(CheckpointError, match=r"notes\.txt"):
        find_style(str(path))


def test_fingerprints_tell_styles_apart(style: Style) -> None:
    assert find_style(IDENTITY).fingerprint == IDENTITY
    prints = {find_style(name).fingerprint for name in bundled_styles()}
    assert len(prints | {style.fingerprint}) == len(bundled_styles()) + 1
