"""`nst clean`: empties what the program keeps to be faster next time."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from jobs.cli import console, options


def clean(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    all: Annotated[
        bool,
        typer.Option(
            "--all",
            help="The loss networks' weights too; then only a download or `nst weights add` brings "
            "them back.",
        ),
    ] = False,
    json: options.Json = False,
) -> None:
    """Empty the program's own caches: compiled styles, and styles fitted to pictures.

    They are made anew when they are needed. Downloads that were interrupted go too. Styles with a
    name, outputs, work folders and, without --all, the loss networks' weights stay.

    Example: nst clean --yes
    """
    from nst_core.caches import caches
    from nst_core.caches import clean as remove
    from nst_core.errors import InputError
    from nst_core.wording import counted

    full = [cache for cache in caches() if cache.files]
    found = [cache for cache in full if all or not cache.stays]
    for cache in full:
        amount = f"{counted(cache.files, 'files')}, {cache.size / 1e6:.1f} MB"
        stays = "" if cache in found else ", which stay without --all"
        console.note(f"{cache.name}: {amount} in {cache.path}{stays}")
    if found and not yes:
        if not sys.stdin.isatty():
            raise InputError("nst clean asks before it removes anything; --yes answers")
        typer.confirm("Remove them?", abort=True, err=True)
    freed = remove(everything=all) if found else 0
    if json:
        console.print_json({"freed": freed, "caches": [str(cache.path) for cache in found]})
        return
    console.say(f"freed {freed / 1e6:.1f} MB" if found else "nothing to remove")
