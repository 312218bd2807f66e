"""The command line as scripts see it: exit codes, one line for an error, JSON alone on stdout."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import typer
from PIL import Image

from jobs.cli.registry import app_for
from nst_core import __version__
from nst_core.checkpoints.library import Style
from nst_core.errors import InputError
from tests.kit.command_line import nst
from tests.kit.media import moving_picture


def test_version_and_help() -> None:
    command = (sys.executable, "-m", "jobs.cli", "--version")
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.strip() == f"nst {__version__}"
    shown = nst("--help").out
    assert all(word in shown for word in ("stylize", "train", "styles", "demo", "doctor", "bench"))


def test_help_imports_nothing_heavy() -> None:
    # The reason why `nst --help` answers at once; its time is for benchmarks to measure.
    code = (
        "import sys; from jobs.cli.registry import app_for; app_for(()); "
        "print([m for m in ('torch', 'ray', 'av', 'numpy', 'PIL', 'openvino') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_a_command_line_reads_its_own_command_only() -> None:
    code = (
        "import sys, typer; from jobs.cli.registry import app_for; "
        "typer.main.get_command(app_for(('upscale', 'a.png'))); "
        "print(*sorted(m for m in sys.modules if m.startswith('jobs.cli.')))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    read = {name.rpartition(".")[2] for name in result.stdout.split() if name.count(".") == 3}
    assert "upscale" in read
    assert not read & {"stylize", "train", "cluster", "bench", "jobs", "styles", "evaluate"}


@pytest.mark.parametrize(
    "command",
    [
        ("stylize", "video"),
        ("stylize", "images"),
        ("train", "style"),
        ("train", "texture"),
        ("train", "super-resolution"),
        ("styles", "list"),
        ("styles", "show"),
        ("styles", "import"),
        ("styles", "export"),
        ("styles", "push"),
        ("upscale",),
        ("synthesize",),
        ("optimize",),
        ("demo",),
        ("evaluate",),
        ("doctor",),
        ("bench",),
        ("styles", "calibrate"),
    ],
)
def test_every_command_has_an_example(command: tuple[str, ...]) -> None:
    result = nst(*command, "--help")
    assert result.code == 0
    assert f"Example: nst {' '.join(command)}" in " ".join(result.out.split())


def test_a_text_named_mp4_is_one_line_and_exit_2(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_text("this is a text")
    result = nst("stylize", "video", film, "-o", tmp_path / "o.mp4", "--style", "wave")
    assert result.code == 2
    assert "not a readable video" in result.error_line


def test_a_missing_video_is_one_line_and_exit_2(tmp_path: Path) -> None:
    result = nst(
        "stylize", "video", tmp_path / "no.mp4", "-o", tmp_path / "o.mp4", "--style", "wave"
    )
    assert result.code == 2
    assert "no such file" in result.error_line


def test_an_empty_folder_is_one_line_and_exit_2(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = nst("stylize", "images", tmp_path / "empty", "-o", tmp_path / "o", "--style", "wave")
    assert result.code == 2
    assert "no pictures" in result.error_line


@pytest.mark.parametrize("kind", ["video", "images"])
def test_an_unknown_style_is_one_line_and_exit_2(kind: str, clip: Path, tmp_path: Path) -> None:
    result = nst("stylize", kind, clip, "-o", tmp_path / "o.mp4", "--style", "monet")
    assert result.code == 2
    assert "wave" in result.error_line


def test_words_that_the_parser_does_not_know_are_one_line_and_exit_2() -> None:
    for arguments in (("stylize", "video"), ("paint",), ("demo", "--colour")):
        result = nst(*arguments)
        assert result.code == 2
        assert "--help" in result.error_line


def test_training_without_weights_and_network_names_both_ways(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    painting = tmp_path / "painting.png"
    Image.fromarray(moving_picture(0)).save(painting)
    # No proxy is there: wherever this runs, the download is refused at once.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    output = tmp_path / "s.safetensors"
    ended = nst("train", "style", painting, "--content", photos, "-o", output)
    assert ended.code == 2
    assert ended.out == ""
    line = ended.error.strip().splitlines()[-1]  # torch announces its download before
    assert line.startswith("error: ")
    assert "--loss-network-weights FILE" in line
    assert "connect to the internet" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--workers", "1:two"), "--workers 1:two"),
        (("--workers", "2:1"), "--workers 2:1"),
        (("--workers", "0"), "--workers 0: 1 or more"),
        (("--average", "1"), "--average 1"),
        (("--stability-weight", "-1"), "--stability-weight -1"),
        (("--architecture", "texture", "--width", "32", "--stability-weight", "1"), "new noise"),
        (("--preset", "best"), "--help"),
        (("--extend", "no.safetensors"), "no.safetensors: no such file"),
        (("--extend", "no.safetensors", "--width", "16"), "leave out --width"),
    ],
)
def test_what_training_does_not_take_is_one_line_and_exit_2(
    arguments: tuple[str, ...], words: str, photos: Path, tmp_path: Path
) -> None:
    painting = tmp_path / "painting.png"
    Image.fromarray(moving_picture(0)).save(painting)
    output = tmp_path / "s.safetensors"
    result = nst("train", "style", painting, "--content", photos, "-o", output, *arguments)
    assert result.code == 2
    assert words in result.error_line


def test_two_pictures_of_one_name_cannot_be_two_styles(photos: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(moving_picture(0)).save(tmp_path / folder / "wave.png")
    pictures = (tmp_path / "a" / "wave.png", tmp_path / "b" / "wave.png")
    output = tmp_path / "s.safetensors"
    result = nst("train", "style", *pictures, "--content", photos, "-o", output)
    assert result.code == 2
    assert "two style images called wave" in result.error_line


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = nst("styles", "show", "monet", "--debug")
    assert result.code == 2
    assert "Traceback" in result.error


def test_json_is_alone_on_stdout_and_has_the_contracts_fields(
    clip: Path, style: Style, tmp_path: Path
) -> None:
    arguments = ("-o", tmp_path / "out", "--style", style.path or "", "--workers", "0", "--json")
    missing = tmp_path / "missing.mp4"
    result = nst("stylize", "video", clip, missing, *arguments)
    assert result.code == 1  # one of the two
    report = json.loads(result.out)
    assert set(report) >= {"engine", "workers", "inputs"}
    done, failed = report["inputs"]
    assert set(done) >= {
        *("input", "output", "status", "error", "frames_in", "frames_out", "missing_pts_seconds"),
        *("segments", "verified", "warnings", "seconds", "frames_per_second"),
        "corrupt_pts_seconds",
    }
    lines = [line for line in result.error.splitlines() if not line.startswith("error: ")]
    assert lines[-1] == "48 of 48 frames, 100 %"
    assert set(done["segments"]) >= {"total", "done", "reused", "retried"}
    checks = ("frame_count", "pts", "copied_streams")
    assert all(done["verified"][what] is True for what in checks)
    assert set(done["seconds"]) >= {"scan", "stylize", "mux", "verify", "total"}
    assert (failed["status"], failed["verified"]) == ("failed", None)

    result = nst("stylize", "images", "pictures/*.png", *arguments)
    assert result.code == 2
    Image.fromarray(moving_picture(0)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no picture")
    result = nst("stylize", "images", tmp_path / "[ab].png", *arguments)
    assert result.code == 1
    report = json.loads(result.out)
    assert set(report) >= {
        *("total", "done", "reused", "failed", "failures", "images_per_second", "seconds"),
        *("engine", "workers"),
    }
    assert (report["total"], report["done"], report["failed"]) == (2, 1, 1)


def test_a_damaged_video_is_exit_1_unless_that_is_allowed(data: Path, tmp_path: Path) -> None:
    source = data / "hostile" / "17c_corrupt_hevc.mp4"
    arguments = ("stylize", "video", source, "-o", tmp_path / "o.mp4", "--style", "identity")
    result = nst(*arguments, "--workers", "0")
    assert result.code == 1
    assert "15 frames missing (3.08 s, 3.17-3.71 s)" in result.error
    assert "damaged, 129 of 144 frames" in result.out
    allowed = nst(*arguments, "--workers", "0", "--overwrite", "--allow-damaged")
    assert allowed.code == 0
    assert allowed.out.split(", verified")[0] == result.out.split(", verified")[0]


def test_styles_are_listed_and_shown() -> None:
    assert "wave" in nst("styles", "list").out
    assert "identity" in json.loads(nst("styles", "list", "--json").out)["styles"]
    shown = json.loads(nst("styles", "show", "wave", "--json").out)
    assert shown["training"]["style_image"].startswith("wave.jpg")
    assert shown["strokes"] == [0.5, 1, 2]
    pack = json.loads(nst("styles", "show", "pack", "--json").out)
    assert {"wave", "starry_night"} < set(pack["styles"])
    assert len(pack["training"]["style_factors"]) == 3 * len(pack["styles"])


def test_doctor_finds_what_is_needed() -> None:
    result = nst("doctor", "--json")
    findings = {finding["name"]: finding for finding in json.loads(result.out)["findings"]}
    assert result.code == 0, result.out
    assert findings["engine openvino"]["ok"]
    assert findings["encoder h264"]["ok"]


@pytest.mark.parametrize("command", ["video", "images", "style", "super-resolution", "upscale"])
@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_every_option_that_is_a_number_wants_a_finite_one(command: str, number: str) -> None:
    group = {"video": "stylize", "images": "stylize", "upscale": ""}.get(command, "train")
    words = [word for word in (group, command) if word]
    parser: Any = typer.main.get_command(app_for(words))
    for word in words:
        parser = parser.commands[word]
    parameters = inspect.signature(
        inspect.unwrap(parser.callback), eval_str=True
    ).parameters.items()
    floats = [name for name, each in parameters if float in _types(each.annotation)]
    assert floats
    for name in floats:
        with pytest.raises(InputError, match=f"^--{name.replace('_', '-')} {number}: a finite"):
            parser.invoke(SimpleNamespace(params={name: float(number)}))


def _types(annotation: Any) -> set[Any]:
    return {annotation, *(one for part in get_args(annotation) for one in _types(part))}
