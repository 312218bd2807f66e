"""The commands of the README are real: every `nst` line in it parses."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from jobs.cli.command_line import parsed

ROOT = Path(__file__).parents[1]


def _commands() -> list[str]:
    commands = []
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for block in re.findall(r"```sh\n(.*?)```", document.read_text(), re.DOTALL):
            lines = block.replace("\\\n", " ").splitlines()
            commands += [line for line in lines if line.split("#")[0].strip().startswith("nst ")]
    return commands


@pytest.mark.parametrize("command", _commands())
def test_a_documented_command_parses(command: str) -> None:
    arguments = shlex.split(command, comments=True)[1:]
    line = parsed(arguments)
    assert line.words == tuple(arguments[: len(line.words)])
    if line.words in (("jobs", "submit"), ("plan",)):
        assert parsed(line.values["command"]).words


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([\w-]+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
