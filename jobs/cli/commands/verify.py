"""`nst verify`: whether outputs still are as they were made."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from jobs.cli import console, options
from nst_core.wording import counted


def verify(
    output: Annotated[
        str,
        typer.Argument(
            metavar="OUT", help="A film, or a folder of films, pictures or tar shards, or its URI."
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            metavar="SRC", help="What it was made of, or the folder of that; default: where it was."
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Prove that outputs are as they were made, at any time and on any machine.

    Pictures and shards are held against their manifest, films against the record beside them; both
    also against their sources, where these are at hand. Exit code 1 where something is missing or
    was changed, or where pictures or shards were added.

    Example: nst verify out
    """
    from jobs.applying.verify import verify_output
    from jobs.cli.reports import note_all

    with console.shown_progress() as show:
        found = verify_output(output, source, show)
    console.report(asdict(found), as_json=json)
    lines = [(each["path"], f"{each['kind']}: {each['finding']}") for each in found.findings]
    note_all("error", lines, "pictures" if found.pictures else "films")
    for note in found.notes:
        console.note(f"note: {note}")
    if not json:
        of = [
            counted(n, what) for n, what in ((found.films, "films"), (found.pictures, "pictures"))
        ]
        things = " and ".join(each for each in of if not each.startswith("0 "))
        how = (
            "as made" if found.verified else ", ".join(f"{n} {k}" for k, n in found.counts.items())
        )
        sources = f", {counted(found.sources, 'sources')} compared"
        console.say(f"{output}: {things}{sources}, {how}, {found.seconds:.1f} s")
    if not found.verified:
        raise typer.Exit(console.SOME_FAILED)
