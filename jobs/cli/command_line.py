"""A command line on its way to a cluster: mistakes in it are told before it is sent."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from jobs.cli.registry import app_for, command_of
from nst_core.checkpoints.library import Command
from nst_core.errors import InputError, StyleNotFitted
from nst_core.utf8_paths import is_utf8
from pipeline.storage.local import LocalStorage

_NOT_FOR_JOBS = ("cluster", "jobs")
_SECRET_IN_URI = re.compile(r"[a-zA-Z][\w+.-]*://[^/@\s]+@")
_HASH_CHARACTERS = 8
_NAMES: dict[str, dict[str, Command]] = {
    "stylize": {"style": "stylize"},
    "preview": {"style": "stylize"},
    "upscale": {"model": "upscale"},
    "synthesize": {"checkpoint": "synthesize"},
    "evaluate": {"checkpoint": "stylize", "super_resolution": "upscale"},
}
"""Parameters of commands that name a network, and what applies it."""
_READS = ("inputs", "sources", "style_images", "texture_image", "content", "images", "video")
"""Parameters of commands that name files and folders to read."""
_NO_PATH = re.compile(r"-$|[a-zA-Z][\w+.-]+:/|.*%\d*d")
"""A pipe, a URI (pathlib makes one slash of two), or the pattern of numbered pictures."""


@dataclass(frozen=True)
class CommandLine:
    """A command of ours, without `nst`."""

    arguments: tuple[str, ...]
    words: tuple[str, ...]
    """The command's names, such as stylize and video."""
    values: dict[str, Any]
    """Values of its parameters, by their Python names."""

    @property
    def inputs(self) -> list[str]:
        """Files and folders that it reads, networks and a painting of `optimize` apart."""
        named = [self.values.get(name) for name in _READS]
        lists = [[each] if isinstance(each, str | Path) else each or () for each in named]
        return [str(each) for values in lists for each in values]

    @property
    def names_uris(self) -> bool:
        """Whether it reads or writes behind a URI."""
        return any("://" in argument for argument in self.arguments)

    def text(self) -> str:
        """Return it for people and shells."""
        return shlex.join(("nst", *self.arguments))

    def name(self, *details: str) -> str:
        """Return a job's name: the same for the same arguments and ``details``."""
        content = "\0".join((*self.arguments, *details))
        digest = hashlib.sha256(content.encode()).hexdigest()[:_HASH_CHARACTERS]
        return "-".join((*self.words, digest))

    def for_shell(self, folder: Path) -> str:
        """Return the shell command that runs it in ``folder``. Raises InputError."""
        if not is_utf8(str(folder)):
            raise InputError(
                f"{folder}: a folder whose name is no UTF-8 cannot be named to a cluster; rename "
                "it, or send a folder with --working-dir"
            )
        there = shlex.quote(str(folder))
        problem = shlex.quote(
            f"error: {folder}: no such folder on the cluster's head; submit from shared storage, "
            "or send a folder with --working-dir"
        )
        return f"cd {there} || {{ echo {problem} >&2; exit 2; }}; exec {self.text()}"


def read_command_line(arguments: Sequence[str]) -> CommandLine:
    """Read a command line as `nst` itself would.

    Raises InputError, or Typer's own errors, for what cannot be run as a job.
    """
    if not arguments:
        raise InputError("no command: name one behind --, such as `-- stylize video film.mp4 ...`")
    name = command_of(arguments)
    if name in _NOT_FOR_JOBS:
        raise InputError(f"{name}: such commands run here, without `nst jobs submit`")
    for argument in arguments:
        if not is_utf8(argument):
            raise InputError(
                f"{argument!a}: a name that is no UTF-8 cannot be sent to a cluster; rename it, or "
                "name the folder that it is in"
            )
        if _SECRET_IN_URI.search(argument):
            raise InputError(
                "a URI with a user name or password: every list of processes and jobs would show "
                "it; give the cluster's nodes the credentials in their environment"
            )
    return parsed(arguments)


def parsed(arguments: Sequence[str]) -> CommandLine:
    """Parse any command line of ours, without running it. Raises Typer's errors."""
    command: Any = typer.main.get_command(app_for(arguments))
    context = command.make_context("nst", list(arguments))
    words = []
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        if not rest:  # `nst evaluate` may be called without a command
            break
        name, command, rest = command.resolve_command(context, rest)
        words.append(str(name))
        context = command.make_context(name, rest, parent=context)
    return CommandLine(tuple(arguments), tuple(words), context.params)


def check_names(command: CommandLine, folder: Path) -> None:
    """Refuse a style that does not exist, here in ``folder`` nor, by its look, on the cluster.

    A path is left to the cluster where there is no such file here. Raises InputError.
    """
    from nst_core.checkpoints.fitted import find_fitted
    from nst_core.checkpoints.library import find_for

    for parameter, applied_by in _NAMES.get(command.words[0], {}).items():
        value = command.values.get(parameter)
        for text in [value] if isinstance(value, str) else value or ():
            path = Path(folder, text.partition(":")[0])
            is_path = "/" in text or bool(path.suffix)
            if path.exists() and not path.is_dir():
                text = str(Path(folder, text))
            elif is_path:
                continue
            fitted = find_fitted(text)
            if fitted is not None and fitted.is_named:
                raise InputError(
                    f"{text}: a style of this machine's own; name its checkpoint, {fitted.path}, "
                    "from where the cluster sees it, or the picture"
                )
            try:
                find_for(applied_by, text)
            except StyleNotFitted:
                if command.words[0] != "stylize":  # which fits it
                    raise


def check_inputs(command: CommandLine, folder: Path, *, is_copy: bool, is_here: bool) -> None:
    """Refuse an input that is known to be missing where the job will look for it.

    ``folder`` is where the command is to run, ``is_copy`` whether that is a copy of it, and
    ``is_here`` whether the cluster's head sees this machine's files. Raises InputError.
    """
    if is_copy and not folder.is_dir():
        return  # packing it says so
    missing = [
        text
        for text in command.inputs
        if (is_here or (is_copy and not Path(text).is_absolute())) and not _exists(folder, text)
    ]
    if missing:
        where = f"--working-dir {folder}" if is_copy else str(folder)
        raise InputError(
            f"{', '.join(missing)}: no such file or folder (in {where}, where the job would run); "
            "check the name, nothing is sent"
        )


def _exists(folder: Path, text: str) -> bool:
    """Whether a path or glob leads to something; what is neither is left to the command."""
    path = str(Path(folder, text))
    if _NO_PATH.match(text) or os.path.lexists(path):
        return True
    return glob.has_magic(text) and any(LocalStorage().glob(path, without=None))


def check_output_stays(command: CommandLine) -> None:
    """Refuse an output that only the cluster's copy of a folder would have. Raises InputError."""
    output = command.values.get("output")
    if output is None or "://" in str(output) or Path(output).is_absolute():
        return
    raise InputError(
        f"-o {output}: with --working-dir it would be written into the cluster's copy of the "
        "folder, and lost; name an absolute path on shared storage, or a URI"
    )
