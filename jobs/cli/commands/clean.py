"""`nst clean`: empties what the program keeps to be faster next time."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from jobs.cli import console, options


def clean(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: options.Json = False,
) -> None:
    """Empty the program's own caches: compiled styles, and styles fitted to pictures.

    They are made anew when they are needed. Styles with a name, outputs, work folders and the loss
    network's weights stay.

    Example: nst clean --yes
    """
    from nst_core.caches import caches
    from nst_core.caches import clean as remove
    from nst_core.errors import InputError
    from nst_core.wording import counted

    found = [cache for cache in caches() if cache.files]
    for cache in found:
        amount = f"{counted(cache.files, 'files')}, {cache.size / 1e6:.1f} MB"
        console.note(f"{cache.name}: {amount} in {cache.path}")
    if found and not yes:
        if not sys.stdin.isatty():
            raise InputError("nst clean asks before it removes anything; --yes answers")
        typer.confirm("Remove them?", abort=True, err=True)
    freed = remove() if found else 0
    if json:
        console.print_json({"freed": freed, "caches": [str(cache.path) for cache in found]})
        return
    console.say(f"freed {freed / 1e6:.1f} MB" if found else "nothing to remove")
