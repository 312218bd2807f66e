"""The papers' experiments: what docs/experiments.md names is there, and every script runs."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobs.cli.command_line import parsed

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "experiments"
DOCUMENT = (ROOT / "docs" / "experiments.md").read_text()
SCRIPTS = sorted({path.stem for path in FOLDER.glob("*.py")} - {"runs"})


def _in_blocks(program: str) -> list[str]:
    """Whole command lines."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL))
    lines = blocks.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith(f"{program} ")]


def _commands(program: str) -> list[str]:
    """Command lines of blocks, and those with options, dots or data within the text."""
    text = re.sub(r"```.*?```", "", DOCUMENT, flags=re.DOTALL)
    quoted = re.findall(rf"`({program} [^`]*(?: -|\.\.\.|DATA)[^`]*)`", text)
    return sorted({*_in_blocks(program), *quoted})


def _whole(command: str) -> list[str]:
    """Words behind `nst`; for dots what the document says that they stand for."""
    words = shlex.split(command, comments=True)[1:]
    if "..." not in words:
        return words
    place = words.index("...")
    lines = [shlex.split(line)[1:] for line in _in_blocks("nst")]
    meant = next(line for line in lines if line[:place] == words[:place])
    return [*meant, *words[place + 1 :]]


@pytest.mark.parametrize("command", _commands("nst"))
def test_a_command_of_the_document_parses(command: str) -> None:
    words = _whole(command)
    line = parsed(words)
    assert line.words == tuple(words[: len(line.words)])


class _ParsedError(Exception):
    """Raised by the parser of a script instead of going on."""


def _read_only(self: argparse.ArgumentParser, *_: Any) -> None:
    namespace, rest = self.parse_known_args()
    if rest:
        self.error(f"unrecognized: {rest}")
    raise _ParsedError(namespace)


@pytest.mark.parametrize("command", _commands("python"))
def test_a_script_of_the_document_takes_its_options(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path, *words = shlex.split(command)
    assert (ROOT / path).is_file()
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(sys, "argv", [path, *words])
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", _read_only)
    script = importlib.import_module(Path(path).stem)
    with pytest.raises(_ParsedError):
        script.main()


def test_every_script_is_named_and_none_is_long() -> None:
    named = {Path(shlex.split(command)[1]).stem for command in _commands("python")}
    assert set(SCRIPTS) - named == {"scores"}  # that of docs/styles.md
    assert all(len((FOLDER / f"{name}.py").read_text().splitlines()) <= 120 for name in SCRIPTS)


def test_files_and_tests_that_the_document_names_exist() -> None:
    for path, test in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", DOCUMENT):
        assert (ROOT / path).is_file(), path
        assert not test or f"def {test}(" in (ROOT / path).read_text(), test
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", DOCUMENT):
        assert (ROOT / "docs" / picture).is_file(), picture


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_runs(script: str, data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    # One folder for all: they share their trainings.
    work = tmp_path_factory.getbasetemp() / "experiments"
    drawn = {path: path.stat().st_mtime_ns for path in (ROOT / "docs" / "images").iterdir()}
    command = [sys.executable, FOLDER / f"{script}.py", data, "--quick", "--work", work]
    run = subprocess.run(
        [*map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        # A script finds runs.py beside it; the tests' own workers are to find nothing so.
        env={name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"},
    )
    assert run.returncode == 0, run.stderr
    table = [line for line in run.stdout.splitlines() if line.startswith("| ")]
    assert len(table) > 1, run.stdout
    assert len({line.count("|") for line in table}) == 1
    for line in run.stdout.splitlines():
        if line.endswith((".jpg", ".png")):
            assert Path(line).is_relative_to(work)
            assert Path(line).is_file()
    assert drawn == {path: path.stat().st_mtime_ns for path in drawn}
