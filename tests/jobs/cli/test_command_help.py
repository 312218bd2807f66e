"""Help, versions and wrong words: what a new user types first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from nst_core import __version__
from tests.kit.command_line import app, nst


def _commands(command: Any, name: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for word, each in getattr(command, "commands", {}).items():
        if hasattr(each, "commands"):
            yield from _commands(each, (*name, word))
        else:
            yield (*name, word), each


COMMANDS = dict(_commands(typer.main.get_command(app)))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_by_three_names_that_cuts_nothing(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    helped = nst(*command, "--help")
    assert helped.code == 0
    assert f"Example: nst {' '.join(command)}" in " ".join(helped.out.split())
    assert helped.out == nst(*command, "-h").out == nst("help", *command).out
    words = helped.out.replace(",", " ").split()
    for parameter in COMMANDS[command].params:
        assert {*parameter.opts, *parameter.secondary_opts} <= {*words} or (
            parameter.param_type_name == "argument"
        )
    assert {"-q", "--quiet", "-v", "--verbose", "-h", "--help"} <= {*words}
    assert "…" not in helped.out
    assert max(map(len, helped.out.splitlines())) <= 60


@pytest.mark.parametrize("group", ["stylize", "train", "styles", "cluster", "jobs"])
def test_a_group_alone_shows_its_help_and_is_wrong_use(group: str) -> None:
    alone = nst(group)
    assert alone.code == 2
    assert "Commands:" in alone.out
    assert alone.error == ""
    assert nst("help", group).out.strip() == alone.out.strip()


def test_the_help_of_all_names_every_command_in_full() -> None:
    helped = nst("help")
    assert helped.out == nst("-h").out == nst("--help").out
    assert nst().out.strip() == helped.out.strip()
    for name in {command[0] for command in COMMANDS}:
        assert f"\n  {name} " in helped.out
    assert "..." not in helped.out.partition("Commands:")[2]


def test_the_version_is_told_by_two_names() -> None:
    assert nst("version").out == nst("--version").out == f"nst {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("stylise video a.mp4", "(did you mean 'stylize'"),
        ("stylize vidio a.mp4", "(did you mean 'video'?)"),
        ("help stylize vidio", "(did you mean 'video'?)"),
        ("stylize video a.mp4 -o b.mp4 --style wave --keepcolors", "(did you mean --keep-colors"),
        ("stylize video a.mp4 -o b.mp4 --style wave --codec h246", "(did you mean h264?)"),
        ("stylize video a.mp4 -o b.mp4 --style wave --workers two", "two: a whole number"),
        ("stylize video a.mp4 -o b.mp4 --style wave --crf 1.5", "1.5: a whole number"),
        ("stylize video a.mp4 -o b.mp4 --style wave --crf ''", "--crf ''"),
        ("stylize video a.mp4 -o b.mp4 --style wave --segment-seconds x", "x: a number is needed"),
        ("stylize video a.mp4 -o b.mp4 --style wave --json=3", "does not take a value"),
        ("stylize video a.mp4 -o b.mp4", "Missing option '--style'"),
        ("stylize video a.mp4 --style wave", "Missing option '--output'"),
        ("stylize video", "Missing argument 'INPUT...'"),
        ("bench --quick 3", "unexpected"),
        ("jobs submit", "Missing argument"),
        ("evaluate --video a.mp4", "2 arguments"),
        ("synthesize brick -o a.png --size 64", "(did you mean bricks?)"),
        ("upscale a.png -o b --model X4", "(did you mean x4?)"),
        ("styles show Starry-Night", "(did you mean starry_night?)"),
        ("styles export wavee -o a.onnx", "(did you mean wave?)"),
        ("stylize images a.jpg -o b --style pack:wav=1,udnie", "(did you mean wave?)"),
        ("stylize images a.jpg -o b --style wave.safetensors", "(did you mean wave?)"),
    ],
)
def test_a_wrong_word_is_one_line_that_says_what_is_allowed(arguments: str, words: str) -> None:
    ended = nst(*(word.strip("'") if words != "--crf ''" else word for word in arguments.split()))
    assert ended.code == 2
    assert words in ended.error_line
    for foreign in ("Input should be", "Value error", "pydantic", "?;", ".."):
        assert foreign not in ended.error_line.replace("...", "")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_option_of_one_value_is_taken_twice(command: tuple[str, ...]) -> None:
    parser = COMMANDS[command]
    for option in parser.params:
        if option.param_type_name != "option" or option.multiple or option.is_flag:
            continue
        name = option.opts[-1]
        values = [[f"{each}{n}" for n in range(option.nargs)] for each in ("1", "2")]
        ended = nst(*command, name, *values[0], name, *values[1])
        assert ended.code == 2
        assert "is given twice" in ended.error_line
        assert name in ended.error_line


def test_of_two_opposite_flags_none_wins() -> None:
    arguments = ("stylize", "video", "a.mp4", "-o", "b.mp4", "--style", "wave")
    assert "is given twice" in nst(*arguments, "--resume", "--no-resume").error_line
    assert "no such file" in nst(*arguments, "--resume", "--resume").error_line  # nothing is lost


def test_a_fault_of_the_program_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise KeyError("with\ntwo lines")

    monkeypatch.setattr("jobs.doctor.examine", fail)
    ended = nst("doctor")
    assert ended.code == 1
    assert "KeyError" in ended.error_line
    assert "Traceback" in nst("doctor", "--debug").error


def test_quiet_leaves_out_progress_and_keeps_results_and_errors(clip: Path, tmp_path: Path) -> None:
    arguments = ("--style", "identity", "--workers", "0")
    told = nst("stylize", "video", clip, "-o", tmp_path / "a.mp4", *arguments)
    quiet = nst("-q", "stylize", "video", clip, "-o", tmp_path / "b.mp4", *arguments)
    behind = nst("stylize", "video", clip, "-o", tmp_path / "c.mp4", *arguments, "--quiet")
    assert "48 of 48 frames" in told.error
    assert quiet.error == behind.error == ""
    assert quiet.out.startswith(str(tmp_path / "b.mp4"))
    failed = nst("stylize", "video", clip, "-o", tmp_path / "c.mp4", *arguments, "-q", "--crf", "9")
    assert failed.code == 2
    assert "exists" in failed.error_line


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("nst stylize images a -o b --style wave --style sta", {"starry_night"}),
        ("nst styles show bri", {"bricks"}),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (
                ("nst stylize video a.mp4 --style wa", {"wave", "water_lilies"}),
                ("nst stylize video a.mp4 --style ide", {"identity"}),
                ("nst upscale a.jpg --model x", {"x4"}),
                ("nst synthesize peb", {"pebble"}),
                ("nst styles export sh", {"shipwreck"}),
                ("nst optimize a.jpg --keep", set()),
            )
        ),
    ],
)
def test_names_are_completed_by_the_shell(typed: str, expected: set[str]) -> None:
    words = typed.split(" ")
    completed = subprocess.run(
        [sys.executable, "-m", "jobs.cli"],
        env={
            "_NST_COMPLETE": "complete_bash",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert {*completed.stdout.split()} == expected
