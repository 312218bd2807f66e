"""`nst synthesize`."""

from __future__ import annotations

import re
from dataclasses import asdict

from jobs.cli import console, options
from jobs.cli.spec_options import Looks, from_specifications
from jobs.specs.single import Synthesize
from nst_core.errors import InputError


def parse_size(text: str) -> tuple[int, int]:
    """Height and width of ``512x768``, or of ``512`` for a square. Raises InputError."""
    match = re.fullmatch(r"(\d{1,6})(?:[xX\u00d7](\d{1,6}))?", text.strip(), re.ASCII)
    if match is None:
        raise InputError(
            f"--size {text}: height x width in pixels is needed, such as 512x768, or one number"
        )
    height, width = match.groups()
    return int(height), int(width or height)


_LOOKS: Looks = {
    "checkpoint": {"autocompletion": options.complete("synthesize")},
    "output": options.OUTPUT,
    "size": {"kind": str, "read": parse_size, "metavar": "HxW"},
    "seed": {"help": "Of the noise: each gives another picture."},
}


@from_specifications(_LOOKS, argument="checkpoint")
def synthesize(job: Synthesize, json: options.Json = False) -> None:
    """Make a picture of a learnt texture, of any size.

    Example: nst synthesize pebbles.safetensors -o pebbles.png --size 512x768 --seed 1
    """
    from jobs.applying.synthesize import synthesize as make

    report = make(job)
    if not report.tiles:
        multiple = report.multiple
        console.hint(
            f"note: {report.height}x{report.width} will show a seam where it is tiled; "
            f"multiples of {multiple} pixels do not, such as "
            f"{_near(report.height, multiple)}x{_near(report.width, multiple)}"
        )
    console.report(asdict(report), as_json=json)
    if not json:
        console.say(f"{report.output}: {report.height}x{report.width}, {report.seconds:.1f} s")


def _near(side: int, multiple: int) -> int:
    """The next multiple that tiles; Synthesize allows no side so large that it is out of bounds."""
    return max(2, -(-side // multiple)) * multiple
