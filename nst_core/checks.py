"""Checks of numbers that a user gives, with the option in the error."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nst_core.errors import InputError


def option_of(field: str) -> str:
    """Name the command line's option of a specification's field."""
    return f"--{field.replace('_', '-')}"


def check_weight(option: str, weight: float) -> None:
    """Raise InputError for a weight that no term of an objective can have."""
    if not 0 <= weight < float("inf"):
        raise InputError(f"{option} {weight}: a number of 0 or more is needed")


def check_at_least(least: int, option: str, value: int) -> None:
    """Raise InputError for a number below the least one."""
    if value < least:
        raise InputError(f"{option} {value}: at least {least} is needed")


def check_seed(seed: int) -> None:
    """Refuse a seed that no generator takes. Raises InputError."""
    if not 0 <= seed < 2**63:  # what torch's generators take, without the negative numbers
        raise InputError(f"--seed {seed}: a whole number from 0 to {2**63 - 1} is needed")


def check_pixels(option: str, side: int) -> None:
    """Raise InputError for a side that networks and memory do not take."""
    if not 32 <= side <= 4096:
        raise InputError(f"{option} {side}: 32 to 4096 pixels are allowed")


def check_max_side(max_side: int | None) -> None:
    """Raise InputError for a size that no picture is shrunk to."""
    if max_side is not None and max_side < 16:
        raise InputError(f"--max-side {max_side}: at least 16 pixels are needed")


def check_mask_style(mask: object, style: str | None) -> None:
    """Raise InputError for a style of what a mask leaves out, where there is no mask."""
    if style is not None and mask is None:
        raise InputError(f"--mask-style {style} without --mask: name the picture or film with it")


def check_stroke(stroke: float) -> None:
    """Raise InputError for strokes that no style has a use for."""
    if not 0.25 <= stroke <= 4:
        raise InputError(f"--stroke {stroke:g}: 0.25 to 4 is allowed; try 0.5 or 2")


def check_new_file(
    option: str, path: Path, *, inputs: Iterable[Path], overwrite: bool, example: str
) -> None:
    """Raise InputError for a file that cannot or may not be written, with the option that names it.

    One of the ``inputs`` is never replaced. ``example`` is a name for such a file.
    """
    if path.is_dir():
        raise InputError(f"{option} {path}: a folder; name a file, such as {example}")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{option} {path}: no such folder to write into")
    if not path.exists():
        return
    if any(each.exists() and path.samefile(each) for each in inputs):
        raise InputError(f"{option} {path}: the output would replace an input; name another file")
    if not overwrite:
        raise InputError(f"{path} exists; --overwrite replaces it, {option} names another file")
