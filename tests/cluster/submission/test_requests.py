"""Command lines, folders and logs on their way to a cluster and back."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from typer.exceptions import TyperException

from cluster.submission import working_folder
from cluster.submission.environment import HANDED_ON, OF_A_MACHINE, SECRET, handed_on, withheld
from cluster.submission.output import find_report, report_line, result_lines, shown_lines
from cluster.submission.working_folder import FOLDER_IN_PACKAGE, pack_folder
from jobs.cli.command_line import (
    check_inputs,
    check_names,
    check_output_stays,
    read_command_line,
)
from jobs.cli.process.supervision import address_asked_for
from nst_core.checkpoints.fitted import path_by_name
from nst_core.checkpoints.library import Style, find_style
from nst_core.errors import InputError

_PACKAGES = ("nst_core", "pipeline", "cluster", "jobs")
_IMAGES = ("stylize", "images", "a b", "c", "-o", "out", "--style", "wave")


def test_a_command_line_is_read_as_nst_would() -> None:
    line = read_command_line(_IMAGES)
    assert line.words == ("stylize", "images")
    assert line.inputs == ["a b", "c"]
    assert shlex.split(line.text()) == ["nst", *_IMAGES]
    train = read_command_line(("train", "style", "x.jpg", "--content", "photos", "-o", "y"))
    assert train.inputs == ["x.jpg", "photos"]


def test_a_name_is_of_the_command_and_of_what_it_works_in() -> None:
    line = read_command_line(_IMAGES)
    assert re.fullmatch(r"stylize-images-[0-9a-f]{8}", line.name("/here"))
    assert line.name("/here") == read_command_line(_IMAGES).name("/here")
    others = {line.name("/there"), read_command_line((*_IMAGES, "--json")).name("/here")}
    assert line.name("/here") not in others
    assert len(others) == 2


def test_mistakes_are_told_before_anything_is_sent() -> None:
    with pytest.raises(TyperException, match="No such command 'imges'"):
        read_command_line(("stylize", "imges"))
    with pytest.raises(TyperException, match="No such option"):
        read_command_line((*_IMAGES, "--stile", "wave"))
    with pytest.raises(InputError, match="no command"):
        read_command_line(())
    for words in (("cluster", "down"), ("jobs", "list"), ("-q", "cluster", "down")):
        with pytest.raises(InputError, match="run here"):
            read_command_line(words)


@pytest.mark.parametrize("uri", ["s3://key:secret@bucket/x", "https://token@host/x"])
def test_secrets_in_a_uri_are_not_sent_and_not_shown(uri: str) -> None:
    with pytest.raises(InputError, match="credentials") as caught:
        read_command_line(("stylize", "images", uri, "-o", "out", "--style", "wave"))
    assert "secret" not in str(caught.value)
    assert "token" not in str(caught.value)


def test_the_shell_runs_it_in_its_folder_or_says_that_there_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "it's here"
    folder.mkdir()
    line = read_command_line(_IMAGES)
    printed = line.for_shell(folder).replace("exec nst", "exec printf '%s\\n' \"$PWD\"")
    result = subprocess.run(["sh", "-c", printed], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [str(folder), *_IMAGES]
    folder.rmdir()
    result = subprocess.run(["sh", "-c", printed], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert f"error: {folder}: no such folder on the cluster's head" in result.stderr


def test_an_output_in_the_copy_of_a_folder_is_refused() -> None:
    with pytest.raises(InputError, match="-o out: with --working-dir"):
        check_output_stays(read_command_line(_IMAGES))
    for output in ("/shared/out", "s3://bucket/out"):
        command = ["stylize", "images", "a", "-o", output, "--style", "wave"]
        check_output_stays(read_command_line(command))


def test_a_folder_is_packed_without_what_nobody_wants_there(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    wanted = ["a.jpg", "deep/b.jpg"]
    unwanted = [".git/c", ".venv/bin/python", "deep/__pycache__/d.pyc", "wave.run/e", ".hidden"]
    for name in (*wanted, *unwanted):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    os.mkfifo(folder / "pipe")
    (folder / "link-to-nowhere").symlink_to("nothing")
    package = tmp_path / "package.zip"
    pack_folder(folder, package)
    with zipfile.ZipFile(package) as archive:
        inside = [f"{FOLDER_IN_PACKAGE}/{name}" for name in ("", *wanted)]
        assert archive.namelist() == inside
        assert archive.read(inside[-1]) == b"deep/b.jpg"
    before = package.read_bytes()
    (folder / "a.jpg").touch()
    pack_folder(folder, package)
    assert package.read_bytes() == before  # of the content, whatever its dates


def test_no_module_can_be_imported_from_where_a_package_is_unpacked(tmp_path: Path) -> None:
    folder, package, unpacked = (tmp_path / name for name in ("folder", "p.zip", "unpacked"))
    folder.mkdir()
    (folder / "numpy.py").touch()
    pack_folder(folder, package)
    with zipfile.ZipFile(package) as archive:
        archive.extractall(unpacked)
    assert not any(path.name.isidentifier() or path.suffix for path in unpacked.iterdir())


def test_names_that_are_no_utf8_are_not_sent(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    odd.touch()
    with pytest.raises(InputError, match="no UTF-8"):
        pack_folder(tmp_path, tmp_path / "package.zip")
    with pytest.raises(InputError, match="no UTF-8"):
        read_command_line(("stylize", "images", odd.name, "-o", "out", "--style", "wave"))
    with pytest.raises(InputError, match="no UTF-8"):
        read_command_line(_IMAGES).for_shell(odd)


def test_a_folder_that_is_too_large_is_refused_with_what_makes_it_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working_folder, "MOST_BYTES", 3 << 20)
    (tmp_path / "small.txt").write_text("small")
    with (tmp_path / "film.mp4").open("wb") as file:
        file.truncate(5 << 20)
    with pytest.raises(InputError, match=r"5 MB are to be sent.*largest: film\.mp4 5 MB"):
        pack_folder(tmp_path, tmp_path / "package.zip")
    assert not (tmp_path / "package.zip").exists()
    with pytest.raises(InputError, match="no such folder"):
        pack_folder(tmp_path / "nothing", tmp_path / "package.zip")


def test_a_log_is_told_apart_into_what_the_command_had_printed() -> None:
    log = [
        "2026-01-01 10:00:00,000\tINFO job_manager.py:1 -- Runtime env is setting up.",
        "Running entrypoint for job x: nst stylize",
        "1 of 2 pictures",
        *result_lines('{\n "done": 2\n}').split("\n"),
        report_line({"done": 2}),
        "warning: a line",
    ]
    assert list(shown_lines(log)) == [
        ("stderr", "1 of 2 pictures"),
        ("stdout", "{"),
        ("stdout", ' "done": 2'),
        ("stdout", "}"),
        ("stderr", "warning: a line"),
    ]
    assert find_report("\n".join(log)) == {"done": 2}
    assert find_report("1 of 2 pictures\n") is None


@pytest.mark.parametrize(
    ("words", "variable", "address"),
    [
        ("stylize video a -o b", None, None),
        ("stylize video a -o b --address local", "10.0.0.1:6379", None),
        ("stylize video a -o b", "10.0.0.1:6379", "10.0.0.1:6379"),
        ("train style a --address auto", None, "auto"),
        ("stylize video a -o b --workers 0", "auto", None),
        ("stylize video a -o b --workers 2", "auto", "auto"),
        ("upscale a --address=10.0.0.1:6379", None, "10.0.0.1:6379"),
        ("cluster status --address 10.0.0.1:6379", None, None),
        ("stylize video --help --address auto", None, None),
        ("stylize video -h --address auto", None, None),
        ("-q stylize video a -o b --address auto", None, "auto"),
        ("", "auto", None),
    ],
)
def test_what_runs_on_a_cluster_is_watched_over(
    words: str, variable: str | None, address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NST_ADDRESS", raising=False)
    if variable is not None:
        monkeypatch.setenv("NST_ADDRESS", variable)
    assert address_asked_for(words.split()) == address


def test_every_variable_that_the_program_reads_is_handed_on_or_of_a_machine() -> None:
    root = Path(__file__).parents[3]
    sources = [path.read_text() for name in _PACKAGES for path in (root / name).rglob("*.py")]
    read = {name for text in sources for name in re.findall(r"\bNST_[A-Z_]*[A-Z]\b", text)}
    assert "NST_LOSS_NETWORK_WEIGHTS" in read
    assert read <= {*HANDED_ON, *OF_A_MACHINE}
    assert not {*HANDED_ON} & {*OF_A_MACHINE, *SECRET}


def test_what_the_user_has_set_goes_with_a_job_but_for_secrets() -> None:
    secrets = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    own = {"NST_LOSS_NETWORK_WEIGHTS": "/shared/vgg19.pth", "AWS_ENDPOINT_URL": "http://minio"}
    here = {"NST_ADDRESS": "local", "HOME": "/home/me", "PATH": "/bin", "NST_DEBUG": ""}
    assert handed_on({**secrets, **own, **here}) == own
    assert withheld({**secrets, **own, **here}) == list(secrets)
    assert withheld(own) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("stylize video a.mp4 -o b.mp4 --style wavee", "did you mean wave?"),
        ("stylize video a.mp4 -o b.mp4 --style pack:wave=1,udny=1", "did you mean udnie?"),
        ("evaluate --checkpoint painting.jpg --content a --style b.jpg", "a picture"),
        ("stylize video a.mp4 -o b.mp4 --style of-my-own", "a style of this machine's own"),
        ("stylize images a -o b --style wave --style wavo", "did you mean wave?"),
        ("stylize images a -o b --style x4", "nst upscale"),
        ("upscale a -o b --model x5", "x4"),
        ("synthesize brick -o a.png --size 64", "did you mean bricks?"),
        ("evaluate --checkpoint wavee --content a --style b.jpg", "did you mean wave?"),
    ],
)
def test_a_wrong_style_is_told_before_anything_is_sent(
    line: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "painting.jpg")
    wave = find_style("wave").path
    assert wave is not None
    monkeypatch.setenv("NST_DATA_DIR", str(tmp_path))
    (tmp_path / "styles").mkdir()
    shutil.copy(wave, path_by_name("of-my-own"))
    with pytest.raises(InputError) as caught:
        check_names(read_command_line(line.split()), tmp_path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "stylize video a.mp4 -o b.mp4 --style wave",
        "stylize video a.mp4 -o b.mp4 --style identity",
        "stylize video a.mp4 -o b.mp4 --style pack:wave=1,udnie=1",
        "stylize video a.mp4 -o b.mp4 --style /only/there.safetensors",
        "stylize video a.mp4 -o b.mp4 --style there.safetensors:wave=1",
        "stylize images a -o b --style wave --style /there/mine",
        "stylize images a -o b --style mine.safetensors",
        "stylize images a -o b --style painting.jpg",
        "train style a.jpg --content photos -o b",
        "doctor",
    ],
)
def test_what_may_be_right_on_the_cluster_is_sent(line: str, style: Style, tmp_path: Path) -> None:
    assert style.path is not None
    (tmp_path / "mine.safetensors").write_bytes(style.path.read_bytes())
    Image.new("RGB", (8, 8)).save(tmp_path / "painting.jpg")
    check_names(read_command_line(line.split()), tmp_path)


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("stylize images phots -o out --style wave", "phots"),
        ("stylize images photos more/*.png -o out --style wave", "more/*.png"),
        ("stylize video a.mp4 b.mp4 -o out --style wave", "a.mp4, b.mp4"),
        ("upscale a.png -o out", "a.png"),
        ("train style a.jpg --content photos -o b", "a.jpg"),
        ("train texture a.jpg -o b", "a.jpg"),
        ("train super-resolution --content phots --scale 4 -o b", "phots"),
        ("optimize a.jpg --style b.jpg -o c.png", "a.jpg"),
        ("evaluate --video photos b.mp4", "b.mp4"),
    ],
)
@pytest.mark.parametrize("is_copy", [False, True])
def test_a_missing_input_is_told_before_anything_is_sent(
    line: str, missing: str, is_copy: bool, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    command = read_command_line(line.split())
    with pytest.raises(InputError, match=re.escape(f"{missing}: no such file or folder")):
        check_inputs(command, tmp_path, is_copy=is_copy, is_here=not is_copy)
    check_inputs(command, tmp_path, is_copy=False, is_here=False)  # the head may have it


@pytest.mark.parametrize(
    "line",
    [
        "stylize images photos ph*/*.jpg s3://bucket/x -o out --style wave",
        "stylize video s3://bucket/x frames/%05d.png -o out --style wave",
        "doctor",
    ],
)
def test_inputs_that_are_there_or_anywhere_are_sent(line: str, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    command = read_command_line(line.split())
    check_inputs(command, tmp_path, is_copy=False, is_here=True)
    (tmp_path / "photos" / "a.jpg").unlink()
    (tmp_path / "photos").rmdir()
    if "photos" in line:  # it was there that made the difference
        with pytest.raises(InputError, match="photos"):
            check_inputs(command, tmp_path, is_copy=False, is_here=True)


def test_an_absolute_path_is_the_heads_unless_that_is_here(tmp_path: Path) -> None:
    command = read_command_line(("stylize", "images", "/nothing/here", "-o", "o", "--style", "a"))
    check_inputs(command, tmp_path, is_copy=True, is_here=False)
    with pytest.raises(InputError, match="/nothing/here: no such"):
        check_inputs(command, tmp_path, is_copy=True, is_here=True)
