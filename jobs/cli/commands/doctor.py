"""`nst doctor`: whether this machine has what the program needs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from jobs.cli import console, options

_Gpu = Annotated[bool, typer.Option("--gpu", help="A GPU is needed, and what compiles for it.")]


def doctor(json: options.Json = False, gpu: _Gpu = False) -> None:
    """Look at versions, devices, engines, codecs and weights; exit 1 if something is missing.

    Example: nst doctor
    """
    from jobs.doctor import examine

    findings = examine(needs_gpu=gpu)
    if json:
        console.print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            mark = "ok" if finding.ok else "MISSING" if finding.needed else "-"
            console.say(f"{mark:8}{finding.name:22}{finding.text}")
    if any(finding.needed and not finding.ok for finding in findings):
        raise typer.Exit(console.SOME_FAILED)
