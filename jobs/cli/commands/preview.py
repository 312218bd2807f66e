"""`nst preview`."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

import typer

from jobs.cli import console, options
from jobs.cli.spec_options import Looks, from_specifications
from jobs.cli.training.options import numbers
from jobs.specs.preview import Preview
from nst_core.wording import counted

_LOOKS: Looks = {
    "inputs": {"metavar": "INPUT..."},
    "output": options.OUTPUT | {"metavar": "SHEET.png|PAGE.html"},
    "styles": options.LOOKS["style"] | {"names": ("--style",)},
    "frames": {"metavar": "N"},
    "at": {"metavar": "TIME"},
    "strokes": {
        "kind": str,
        "default": "",
        "read": partial(numbers, "--strokes"),
        "metavar": "STROKE,...",
    },
    "strengths": {
        "kind": str,
        "default": "",
        "read": partial(numbers, "--strengths"),
        "metavar": "STRENGTH,...",
    },
    "keep_colors": options.LOOKS["keep_colors"],
    "mask": options.LOOKS["mask"],
    "mask_style": options.LOOKS["mask_style"],
    "timeline": options.LOOKS["mask"] | {"metavar": "FILE"},
    "max_side": {"metavar": "N"},
    "fit_steps": options.LOOKS["fit_steps"],
    "loss_network_weights": options.LOOKS["loss_network_weights"],
}


@from_specifications(_LOOKS, argument="inputs")
def preview(job: Preview, json: options.Json = False) -> None:
    """Show a few frames of a film, or pictures, in many styles: a look before the run.

    Example: nst preview film.mp4 -o film.html
    """
    with console.shown_progress() as show:
        from jobs.preview.preview import preview as run

        report = run(job, show)
    console.report(asdict(report), as_json=json)
    for failure in report.failures:
        console.note(f"error: {' '.join(failure['error'].split())}")
    for note in report.notes:
        console.hint(f"note: {note}")
    if not json:
        shown = (
            "frames" if any(each["seconds"] is not None for each in report.frames) else "pictures"
        )
        console.say(
            f"{report.output}: {counted(len(report.frames), shown)} in "
            f"{counted(len(report.styles), 'styles')}, {report.seconds:.1f} s"
        )
    if report.failures:
        raise typer.Exit(console.SOME_FAILED)
