"""`nst demo`: what the program does, shown on a clip that it makes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli import console, options
from jobs.cli.spec_options import from_specifications
from jobs.specs.applying import PoolSpec


@from_specifications(options.LOOKS, without="address cpus_per_worker gpus_per_worker")
def demo(
    pool: PoolSpec,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the files.")] = Path(
        "demo"
    ),
    json: options.Json = False,
) -> None:
    """Make a short clip with sound, stylize it and a picture, and say where they are.

    Example: nst demo -o demo
    """
    options.check_folder_name(output)
    from jobs.demo.demo import run_demo

    with console.shown_progress() as show:
        report = run_demo(output, pool=pool, on_progress=show)
    console.report(asdict(report), as_json=json)
    if json:
        return
    console.say(f"clip            {report.clip}")
    console.say(f"stylized clip   {report.stylized_clip}")
    console.say(f"before / after  {report.before_after}")
