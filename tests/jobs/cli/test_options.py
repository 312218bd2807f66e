"""Every option of every command, held against ``options.txt``: names, types, defaults, help.

Where an option is meant to change, ``python -m tests.jobs.cli.test_options`` writes the file anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from tests.kit.command_line import app

_EXPECTED = Path(__file__).with_name("options.txt")


def _lines(command: Any, name: str) -> Iterator[str]:
    """List a command's parameters by their names, then those of the commands below it."""
    yield name
    yield from sorted(_described(parameter) for parameter in command.params)
    for word, each in sorted(getattr(command, "commands", {}).items()):
        yield from _lines(each, f"{name} {word}")


def _described(parameter: Any) -> str:
    kind = parameter.param_type_name
    usual = parameter.opts[0].removeprefix("--").replace("-", "_")
    annotation = parameter.type_descriptor.annotation
    about = {
        "known as": parameter.name if parameter.name != usual else None,
        "of type": annotation.__name__ if isinstance(annotation, type) else str(annotation),
        "shown as": parameter.metavar,
        "default": _plain(parameter.default),
        "required": parameter.required,
        "repeatable": parameter.multiple if kind == "option" else parameter.nargs == -1,
        "values": parameter.nargs if parameter.nargs > 1 else None,
        "environment": parameter.envvar,
        "completed": parameter._custom_shell_complete is not None,
        "hidden": parameter.hidden,
        "in panel": parameter.rich_help_panel,
        "help": parameter.help,
    }
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    said = (
        each if value is True else f"{each} {value}"
        for each, value in about.items()
        if value not in (None, False)
    )
    return f"    {kind} {names}: {'; '.join(said)}"


def _plain(default: Any) -> str | None:
    if isinstance(default, list | tuple):
        return " ".join(map(str, default)) or None
    return None if default is None else str(default)


def _all_options() -> str:
    return "\n".join(_lines(typer.main.get_command(app), "nst")) + "\n"


def test_every_option_is_as_it_was() -> None:
    assert _all_options().splitlines() == _EXPECTED.read_text().splitlines()


if __name__ == "__main__":
    _EXPECTED.write_text(_all_options())
