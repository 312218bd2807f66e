"""`nst plan`."""

from __future__ import annotations

from typing import Annotated

import typer

from nst_core.errors import InputError
from nst_core.wording import listed

CONTEXT = {"ignore_unknown_options": True, "allow_interspersed_args": False}
_WORDS = (
    *(("stylize", "video"), ("stylize", "images"), ("upscale",), ("optimize",)),
    *(("train", "style"), ("train", "texture"), ("train", "super-resolution")),
)
"""Commands that have --dry-run."""


def plan(
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND...", help="The command, without nst.")
    ],
) -> None:
    """Tell what a long command would do, and how long it takes, without doing it.

    The same as the command with --dry-run: films and folders are looked through, a few frames,
    pictures or steps are really done, and nothing is written.

    Example: nst plan stylize video film.mp4 -o film-wave.mp4 --style wave
    """
    from jobs.cli.registry import app_for

    words = next((each for each in _WORDS if tuple(command[: len(each)]) == each), None)
    if words is None:
        known = listed([" ".join(each) for each in _WORDS])
        raise InputError(f"nst plan {' '.join(command[:2])}: it plans {known}; name one of them")
    arguments = [*words, "--dry-run", *command[len(words) :]]
    code = app_for(arguments)(arguments, prog_name="nst", standalone_mode=False)
    raise typer.Exit(code or 0)
