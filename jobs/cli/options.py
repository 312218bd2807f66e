"""How options of applied networks look, and the few that belong to no specification."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from jobs.cli.spec_options import Look, Looks
from nst_core.engines.names import Tile
from nst_core.errors import InputError
from nst_core.wording import quoted
from pipeline.films.span import time_of

if TYPE_CHECKING:
    from nst_core.checkpoints.library import Command


def complete(*commands: Command) -> Callable[[str], list[str]]:
    """Complete, for the shell, the names of what ships with the program for these commands."""

    def names(incomplete: str) -> list[str]:
        from nst_core.checkpoints.fitted import fitted_styles
        from nst_core.checkpoints.library import IDENTITY, bundled, bundled_styles

        known: list[str] = []
        for command in commands:
            if command == "stylize":
                own = [style.name for style in fitted_styles() if style.is_named]
                known += [*bundled_styles(), *own, IDENTITY]
            else:
                known += bundled(command)
        return [name for name in known if name.startswith(incomplete)]

    return names


_SAME_RATE = Fraction(1, 200)
"""Frames a second by which 23.98 misses 24000/1001."""


def check_folder_name(output: Path) -> None:
    """Raise InputError for a name that ends as a file's and is no folder's."""
    if output.suffix.lower() in _OF_FILES and not output.is_dir():
        raise InputError(
            f"-o {output}: a file's name, and a folder is needed, such as {quoted(output.stem)}"
        )


_OF_FILES = (
    *(".mp4", ".mov", ".mkv", ".png", ".jpg", ".jpeg", ".gif", ".webp"),
    *(".yaml", ".yml", ".json", ".zip", ".tar", ".safetensors", ".txt"),
)


def tile_of(text: str) -> Tile:
    """Read the value of ``--tile``. Raises InputError."""
    if text == "auto":
        return "auto"
    if text == "off":
        return "off"
    if not text.isdecimal():
        raise InputError(f"--tile {text}: auto, off, or a number of pixels is allowed")
    return int(text)


def encoders_of(text: str) -> int | Literal["auto"]:
    """Read the value of ``--encoders``. Raises InputError."""
    if text == "auto":
        return "auto"
    if not text.isdecimal():
        raise InputError(f"--encoders {text}: auto, or how many there are to be, is allowed")
    return int(text)


def strength_of(text: str, *, named: bool) -> Any:
    """Read the value of ``--strength``: one number, or with ``named`` those of single styles.

    Raises InputError.
    """
    if "=" not in text:
        return () if named else _number("--strength", text)
    if not named:
        return None
    parts = [part.strip().rpartition("=") for part in text.split(",")]
    return tuple((name, _number("--strength", number)) for name, _, number in parts)


def fps_of(text: str | None) -> Fraction | None:
    """Read the value of ``--fps``: 24, 24000/1001, or 23.976, which means that. Raises InputError.

    None stays None.
    """
    if text is None:
        return None
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"--fps {text}: a number is needed, such as 24 or 24000/1001") from error
    of_television = Fraction(round(rate) * 1000, 1001)
    return of_television if abs(rate - of_television) < _SAME_RATE else rate


def _let_style_be_left_out(context: typer.Context, timeline: Path | None) -> Path | None:
    """Let --style be left out where a timeline names styles: all else is the source as it is."""
    for each in context.command.params:
        if timeline is not None and each.name == "style":
            each.required, each.default = False, ["identity"]
    return timeline


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"{option} {text}: a number from 0 to 1 is needed, or one for each style, such as "
            "wave=1,udnie=0.4"
        ) from None


def panel(look: Look, fields: str) -> dict[str, Look]:
    """Give the options of ``fields``, separated by spaces, the same look: a panel of the help."""
    return dict.fromkeys(fields.split(), look)


OUTPUT: Look = {"names": ("--output", "-o")}
VIDEOS: Look = {"rich_help_panel": "Videos"}
_STYLE: Look = {"rich_help_panel": "Style"}
_REFINING: Look = {"rich_help_panel": "Refining by optimisation"}
_POOL: Look = {"rich_help_panel": "Where it runs"}

LOOKS: Looks = {
    **panel(_POOL, "workers cpus_per_worker gpus_per_worker engine device"),
    "address": _POOL | {"envvar": "NST_ADDRESS"},
    "precision": _POOL | {"help": "Of the network's numbers."},
    "encoders": _POOL | {"metavar": "N|auto", "kind": str, "read": encoders_of, "default": "0"},
    **panel(VIDEOS, "encoder tonemap input_format output_format"),
    **{
        name: VIDEOS | {"metavar": "TIME", "kind": str, "read": partial(time_of, f"--{name}")}
        for name in ("start", "end", "duration")
    },
    "fps": VIDEOS | {"metavar": "N", "kind": str, "read": fps_of},
    "inputs": {"metavar": "INPUT..."},
    "sources": {"metavar": "SRC..."},
    "output": OUTPUT | {"kind": str},  # a Path would lose the slash at its end
    "style": _STYLE | {"metavar": "NAME|FILE|PICTURE", "autocompletion": complete("stylize")},
    "strength": _STYLE
    | {"metavar": "0..1", "kind": str, "default": "1", "read": partial(strength_of, named=False)},
    "strengths": {"names": ("--strength",), "read": partial(strength_of, named=True)},
    "keep_colors": _STYLE | {"names": ("--keep-colors", "--keep-colours")},
    "stroke": _STYLE | {"metavar": "0.5..2"},
    "noise": _STYLE | {"metavar": "K"},
    "fit_steps": _STYLE | {"metavar": "N"},
    "loss_network_weights": _STYLE | {"envvar": "NST_LOSS_NETWORK_WEIGHTS"},
    "mask": _STYLE | {"metavar": "FILE|DIR"},
    "mask_style": _STYLE | {"metavar": "NAME|FILE|PICTURE", "autocompletion": complete("stylize")},
    "timeline": _STYLE | {"metavar": "FILE", "is_eager": True, "callback": _let_style_be_left_out},
    "styles_per_image": {"metavar": "K"},
    "max_side": {"metavar": "N"},
    "max_pixels": {"metavar": "N"},
    "tile": {"metavar": "auto|off|N", "kind": str, "read": tile_of, "default": "auto"},
    "seed": {"help": "Of that choice, and of the noise of texture networks."},
    "format": {"help": "Of the pictures written."},
    "quality": {"help": "Of JPEG, WebP and AVIF, 1 to 100."},
    "refine": _REFINING | {"metavar": "N"},
    "refine_styles": _REFINING | {"metavar": "PICTURE", "names": ("--refine-style",)},
    "report": {"metavar": "FILE"},
    "annotations": {"metavar": "FILE|DIR"},
    "max_failures": {"metavar": "N|P%", "kind": str},
    "split": {"metavar": "NAME=SHARE,..."},
    "shard_pictures": {"metavar": "N"},
    "shard_megabytes": {"metavar": "N"},
}
"""How the options of specifications look, by field."""

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Tell what would be done and how long it takes; see `nst plan`."
    ),
]
ClusterAddress = Annotated[
    str,
    typer.Option(
        "--address",
        envvar="NST_ADDRESS",
        help="`auto`: the cluster that this machine is a node of; or HOST:PORT of its head.",
        metavar="ADDRESS",
    ),
]
