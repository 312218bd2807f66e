"""The commands of `nst`, each in a module of its name: of them only the one asked for is read.

Reading them all, with all their options, takes longer than a picture (measured: 0.2 s).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from jobs.cli import console
from jobs.cli.parsing import SETTINGS, Group, Quiet, Verbose, prepare
from nst_core import __version__

_GROUPS = {
    "stylize": "commands.stylize",
    "train": "training.train",
    "styles": "networks.styles",
    "weights": "networks.weights",
    "cluster": "cluster.cluster",
    "jobs": "cluster.jobs",
    "evaluate": "commands.evaluate",
}
_ALONE = (
    *("preview", "upscale", "synthesize", "optimize", "bench", "demo"),
    *("doctor", "clean", "help", "plan", "verify"),
)
_ELSEWHERE = {"plan": "planning.plan"}
"""Modules of commands that are not in ``commands``."""
ONLY_LOOK = frozenset({"--help", "-h", "--dry-run", "--shots", "-"})
"""Options with which a command makes nothing, or nothing that stays, through a pipe: it needs no
cluster, and has nothing to keep."""


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """Return the parser of a command line (without `nst`), for the command that it begins with.

    It knows all commands where that is none of them.
    """
    app = typer.Typer(
        cls=Group,
        context_settings=SETTINGS,
        rich_markup_mode=None,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help="Stylize whole videos and image datasets, and train the networks that do it.",
        epilog="Exit codes: 0 all done, 1 some inputs failed or are damaged, 2 wrong use or "
        "nothing could start, 130 interrupted. --debug anywhere shows the traceback of an error.",
    )
    app.callback()(nst)
    first = command_of(arguments)
    for name in [first] if first in (*_GROUPS, *_ALONE) else [*_GROUPS, *_ALONE]:
        place = {**_GROUPS, **_ELSEWHERE}.get(name, f"commands.{name}")
        module = import_module(f"jobs.cli.{place}")
        if name in _GROUPS:
            app.add_typer(module.app, name=name)
        else:
            settings = getattr(module, "CONTEXT", None)
            command = app.command(cls=getattr(module, "COMMAND", None), context_settings=settings)
            command(getattr(module, name))
    app.command()(version)
    prepare(app)
    return app


def command_of(arguments: Sequence[str]) -> str:
    """Return the first word of a command line that is no option of `nst` itself, such as -q."""
    return next((each for each in arguments if not each.startswith("-")), "")


def is_long_work(arguments: Sequence[str]) -> bool:
    """Whether a command line is for work that may take hours."""
    is_long = command_of(arguments) in ("stylize", "upscale", "train")
    return is_long and not ONLY_LOOK & {*arguments}


def version() -> None:
    """Print the version, as --version does.

    Example: nst version
    """
    console.say(f"nst {__version__}")


def _print_version(asked: bool) -> None:
    if asked:
        version()
        raise typer.Exit


def nst(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Stylize whole videos and image datasets, and train the networks that do it."""
