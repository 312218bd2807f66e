"""What every command of `nst` has beside its own options, and how its help is laid out.

Help is plain text: in tables, names of options were cut on narrow terminals and in pipes.
"""

from __future__ import annotations

import math
import re
from functools import cache, partial
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from jobs.cli import console
from nst_core.errors import InputError
from nst_core.libraries import configure

SETTINGS = {"help_option_names": ["--help", "-h"]}
"""Settings of the context of `nst`, which its commands inherit."""
_ARGUMENTS = "Arguments"
_OPTIONS = "Options"
_BRACES = re.compile(r"\{(.*)\}(\.\.\.)?")
_LONGEST_NAME = 34
"""In characters: longer names have a line of their own."""

Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Neither progress nor hints: results, warnings and errors only.",
        callback=lambda asked: console.be_quiet() if asked else None,
        expose_value=False,
    ),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Tell what is chosen on the way: engine, workers, encoder, segments.",
        callback=lambda asked: console.be_verbose() if asked else None,
        expose_value=False,
    ),
]


class _Strict:
    """Takes -q and -v, no option twice, and no number that is not finite."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, and those that every command has."""
        *own, show_help = super().get_params(ctx)  # type: ignore[misc]
        known = {parameter.name for parameter in own}
        return [*own, *(each for each in _common_options() if each.name not in known), show_help]

    def make_parser(self, ctx: Any) -> Any:
        """Build the parser; it refuses a second value, of which the last would win silently."""
        parser = super().make_parser(ctx)  # type: ignore[misc]
        for argument in parser._args:
            argument.process = partial(_process_argument, argument, ctx)
        for option in {*parser._long_opt.values(), *parser._short_opt.values()}:
            if option.action in ("store", "store_const", "append"):
                option.process = partial(_process_once, option, ctx)
        return parser

    def invoke(self, ctx: Any) -> Any:
        """Run the command, with numbers that are finite. Raises InputError for others."""
        configure()
        for name, value in ctx.params.items():
            if isinstance(value, float) and not math.isfinite(value):
                option = name.replace("_", "-")
                raise InputError(f"--{option} {value}: a finite number is needed")
        return super().invoke(ctx)  # type: ignore[misc]


class Command(_Strict, TyperCommand):
    """A command, whose help has its options by panels."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what the line of usage consists of, ``INPUT...`` for ``{INPUT...}...``."""
        return [_BRACES.sub(r"\1", piece) for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the parameters, those that belong to no panel first: they are needed most."""
        panels: dict[str, list[tuple[str, str]]] = {_ARGUMENTS: [], _OPTIONS: []}
        for parameter in self.get_params(ctx):
            usual = _ARGUMENTS if parameter.param_type_name == "argument" else _OPTIONS
            record = parameter.get_help_record(ctx)
            if record is not None:
                name = record[0].split(" <")[0] if usual == _ARGUMENTS else record[0]
                panel = parameter.rich_help_panel or usual
                panels.setdefault(panel, []).append((name, record[1]))
        for panel, records in panels.items():
            if records:
                with formatter.section(panel):
                    formatter.write_dl(records, col_max=_LONGEST_NAME)


class Group(_Strict, TyperGroup):
    """A group of commands whose help gives the first sentence about each of them in full."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands with what they do, those with commands of their own first."""
        commands = sorted(
            self.commands.items(), key=lambda each: not isinstance(each[1], TyperGroup)
        )
        records = [
            (name, " ".join((command.help or "").split("\n\n")[0].split()))
            for name, command in commands
            if not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(records)


def prepare(app: typer.Typer) -> None:
    """Let all commands and groups of an app be of these kinds."""
    for command in app.registered_commands:
        if command.cls is None or not issubclass(command.cls, Command):
            command.cls = Command
    for group in app.registered_groups:
        group.cls = Group
        assert group.typer_instance is not None
        prepare(group.typer_instance)


@cache
def _common_options() -> tuple[Any, ...]:
    app = typer.Typer(add_completion=False)

    @app.command()
    def common(quiet: Quiet = False, verbose: Verbose = False) -> None: ...

    return tuple(typer.main.get_command(app).params)


_OF_PIPES = "stylize video"
"""The command that reads standard input, and writes standard output."""


def _process_argument(argument: Any, ctx: Any, value: Any, state: Any) -> None:
    for each in value if isinstance(value, tuple) else (value,):
        _check_name(each, argument.obj.metavar or argument.dest, ctx)
    type(argument).process(argument, value, state)


def _process_once(option: Any, ctx: Any, value: Any, state: Any) -> None:
    if option.obj.required:
        _check_name(value, option.obj.opts[0], ctx)
    new = option.const if option.action == "store_const" else value
    old = state.opts.get(option.dest, new)
    if old != new and option.action != "append":
        names = [*option.obj.opts, *option.obj.secondary_opts]
        values = "" if option.action == "store_const" else f" ({_text(old)} and {_text(new)})"
        ctx.fail(f"{' / '.join(names)} is given twice{values}; once is allowed")
    type(option).process(option, value, state)


def _check_name(value: Any, where: str, ctx: Any) -> None:
    if value == "":
        ctx.fail(f"{where}: an empty name, such as of a variable that is not set")
    if value == "-" and not ctx.command_path.endswith(_OF_PIPES):
        ctx.fail(f"{where}: -, standard input or output, is neither read nor written; name a file")


def _text(value: Any) -> str:
    return " ".join(value) if isinstance(value, tuple) else str(value)
