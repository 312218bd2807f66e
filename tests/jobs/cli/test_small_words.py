"""Small things that people met in their first hour: what a command takes, and how it says it."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest
from PIL import Image

from cluster.nodes import start as local_nodes
from cluster.nodes.records import NodeRecord
from jobs.specs.applying import Upscale
from jobs.training.calibration import calibrate_checkpoint
from nst_core.checkpoints.foreign_tensors import read_foreign
from nst_core.checkpoints.library import bundled
from nst_core.errors import CheckpointError, InputError
from nst_core.wording import columns
from tests.kit.command_line import nst
from tests.kit.media import make_clip, moving_picture


def test_an_onnx_file_is_told_by_its_content_in_a_few_words(tmp_path: Path) -> None:
    path = tmp_path / "wave.bin"
    path.write_bytes(b"\x08\x08\x12\x07pytorch\x1a\x052.9.0" + bytes(200))
    with pytest.raises(CheckpointError, match="an ONNX file, which is written here and not read"):
        read_foreign(path)


@pytest.mark.parametrize("name", ["film.gif", "film.mp4"])
def test_a_film_onto_itself_is_refused_at_once_without_advice_that_does_not_help(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "film.mp4", frames=6)
    if name == "film.gif":
        pictures = [Image.fromarray(moving_picture(number)) for number in range(3)]
        pictures[0].save(name, save_all=True, append_images=pictures[1:], duration=100)
    for extra in ([], ["--overwrite"]):
        ended = nst("stylize", "video", name, "-o", name, "--style", "identity", *extra)
        assert ended.code == 2
        assert "would replace its own input" in ended.error
        assert "--overwrite" not in ended.error


def test_quiet_stands_behind_a_group_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(moving_picture(0)).save("a.jpg")
    line = ("images", "a.jpg", "-o", "out.jpg", "--style", "identity", "--workers", "0")
    assert "1 of 1 picture" in nst("stylize", *line).error
    ended = nst("stylize", "-q", *line, "--overwrite")
    assert (ended.code, ended.error) == (0, "")
    assert "--quiet" in nst("stylize", "--help").out


def test_what_enlarges_is_bundled() -> None:
    assert Upscale(("a.jpg",), "large").model.style in bundled("upscale")


def test_logs_are_followed_by_f() -> None:
    assert "-f" in nst("jobs", "logs", "--help").out.replace(",", " ").split()


def test_a_style_is_shown_in_few_lines_and_its_training_when_asked_for() -> None:
    short, long = nst("styles", "show", "wave"), nst("-v", "styles", "show", "wave")
    lines = short.out.splitlines()
    assert len(lines) <= 10
    assert lines[0] == "name: wave"
    assert "learnt from: wave.jpg" in lines
    assert "training:" not in lines
    assert "-v, or --json" in short.error
    assert "training:" in long.out.splitlines()
    assert "training" in json.loads(nst("styles", "show", "wave", "--json").out)


def test_a_style_is_shown_without_a_word_of_python() -> None:
    for name in ("wave", "pack", "x4", "pebble", "identity"):
        for verbose in ((), ("-v",)):
            out = nst(*verbose, "styles", "show", name).out
            assert not any(word in out for word in ("None", "True", "False", "[", "'", "{}", "("))
            assert all(line.partition(": ")[2] or line.endswith(":") for line in out.splitlines())
    assert "clip_norm" not in nst("-v", "styles", "show", "wave").out  # it was not asked for


def test_columns_stand_below_each_other_whatever_the_names() -> None:
    lines = nst("styles", "list").out.splitlines()
    texts = [line.split(maxsplit=1)[1] for line in lines]
    assert len({len(line) - len(text) for line, text in zip(lines, texts, strict=True)}) == 1
    assert list(columns([("a", "b", "c"), ("longer", "", "d")])) == ["a       b  c", "longer     d"]
    assert list(columns([])) == []


def test_the_list_gives_sizes_of_files_and_not_of_a_pack_for_each_of_its_styles() -> None:
    for line in nst("styles", "list").out.splitlines():
        assert not ("mixes with others" in line and " kB" in line)


def test_a_bundled_style_is_calibrated_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, output = tmp_path / "photo.jpg", tmp_path / "out.safetensors"
    Image.fromarray(moving_picture(0)).save(photo)
    asked: list[Path] = []

    def noted(path: Path, photos: object, output: Path, show: object) -> object:
        asked.append(path)
        raise InputError("far enough")

    monkeypatch.setattr("jobs.training.calibration.calibrate_checkpoint", noted)
    ended = nst("styles", "calibrate", "wave", "--content", photo, "-o", output)
    assert "far enough" in ended.error
    assert asked[0].suffix == ".safetensors"
    assert calibrate_checkpoint is not noted


def test_a_second_head_is_told_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(InputError, match="another server may run there"):
            local_nodes._free_port("--port", "127.0.0.1", port)
        import psutil

        started = psutil.Process().create_time()
        head = NodeRecord(
            "head", f"127.0.0.1:{port}", True, None, "", os.getpid(), started or time.time()
        )
        monkeypatch.setattr(local_nodes, "running_heads", lambda: iter([head]))
        with pytest.raises(InputError, match=r"runs on this machine already.*cluster down"):
            local_nodes._free_port("--port", "127.0.0.1", port)


def test_libraries_are_set_up_before_a_command_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    assert nst("version").code == 0
    assert Image.MAX_IMAGE_PIXELS is None
