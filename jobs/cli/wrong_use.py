"""What the parser did not understand, in one line: what came, what is allowed, where it stands."""

from __future__ import annotations

import ast
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from typer.exceptions import TyperException

from jobs.cli import console
from nst_core.pictures.formats import PICTURE_SUFFIXES
from nst_core.wording import did_you_mean, quoted

_NEEDED = {
    "int": "a whole number is needed",
    "float": "a number is needed",
    "bool": "true or false is needed",
}
"""By what the type of a validation error begins with."""
_NO_COMMAND = re.compile(r"No such command (.*?)\.")
_COMMAND_ALIKE = re.compile(r"\. Did you mean (.*)\?")


def tell(error: TyperException) -> int:
    """Say what was wrong, a bare `nst` or group with its help; returns the exit code."""
    if type(error).__name__ == "NoArgsIsHelpError":
        console.say(error.format_message())
    else:
        console.note(f"error: {words(error)}")
    return console.WRONG_USE


def words(error: TyperException) -> str:
    """Return what was wrong, and which help tells more."""
    context = getattr(error, "ctx", None)
    said = _of_value(error) or _of_option(error) or error.format_message()
    if wanted := _wanted_command(error):
        said = f"{said.rstrip('.')}{wanted}"
    said = _COMMAND_ALIKE.sub(r" (did you mean \1?)", " ".join(said.split())).rstrip(".")
    return f"{said}; see `{context.command_path} --help`" if context else said


def _wanted_command(error: Any) -> str:
    """Name the command that takes a picture, a video or a folder where a command is needed."""
    from pipeline.films.sources import VIDEO_SUFFIXES

    unknown = _NO_COMMAND.fullmatch(error.format_message())
    context = getattr(error, "ctx", None)
    if unknown is None or context is None:
        return ""
    name, group = str(ast.literal_eval(unknown[1])), context.command_path
    suffix, is_folder = Path(name).suffix.lower(), Path(name).is_dir()
    commands = []
    if suffix in PICTURE_SUFFIXES or is_folder:
        commands.append("train style" if group == "nst train" else "stylize images")
    if (suffix in VIDEO_SUFFIXES or is_folder) and group != "nst train":
        commands.append("stylize video")
    if not commands or group not in ("nst", "nst stylize", "nst train"):
        return ""
    return f" (did you mean {' or '.join(f'`nst {each} {quoted(name)}`' for each in commands)}?)"


def _of_value(error: Any) -> str | None:
    """A value of another type, in our words instead of the validator's."""
    errors = getattr(error.__cause__, "errors", None)
    if errors is None or error.param is None:
        return None
    first = errors()[0]
    name = (error.param.opts or [error.param.name])[0]
    came = f"{name} {first['input']}" if isinstance(first["input"], str) else name
    choices = [str(each) for each in error.param.type_descriptor.choices or ()]
    if choices:
        return f"{came}{did_you_mean(first['input'], choices)}: {', '.join(choices)} are allowed"
    needed = _NEEDED.get(first["type"].partition("_")[0])
    return f"{came}: {needed or first['msg'].removeprefix('Value error, ')}"


def _of_option(error: Any) -> str | None:
    """An option that does not exist."""
    if getattr(error, "possibilities", None) is None:
        return None
    alike = " or ".join(get_close_matches(error.option_name, error.possibilities))
    return f"{error.message}{f' (did you mean {alike}?)' if alike else ''}"
