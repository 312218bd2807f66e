"""`nst help`."""

from __future__ import annotations

from typing import Annotated

import typer


def help(  # noqa: A001 - the name of the command
    command: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND...", help="Such as: stylize video.")
    ] = None,
) -> None:
    """Show the help of a command, as --help does behind it.

    Example: nst help stylize video
    """
    from jobs.cli.registry import app_for

    words = command or []
    app_for(words)([*words, "--help"], prog_name="nst", standalone_mode=False)
