"""What the commands of `nst train` have in common: going on with a run, and its report."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import typer

from jobs.cli import console
from jobs.cli.parsing import Command
from jobs.run_folder import RunFolder
from jobs.training_specs import TrainGenerator, run_folder_of
from nst_core.errors import InputError
from nst_core.wording import counted

_ALWAYS_ANEW = frozenset({"output", "run_dir", "resume", "overwrite", "json"})


class TrainCommand(Command):
    """A command whose --resume repeats the options that the run was started with."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Parse; with --resume once more, with the run's own options in place of defaults."""
        context = super().make_context(info_name, list(args), parent, **extra)
        values = context.params
        if not values.get("resume"):
            return context
        folder = RunFolder(run_folder_of(values["output"], values["run_dir"]))
        defaults = folder.read_options()
        return super().make_context(info_name, args, parent, **extra, default_map=defaults)


def _given(ctx: typer.Context) -> dict[str, Any]:
    """Options of the command line, or of the run that it goes on with, by parameter."""
    usual = {parameter.name: parameter for parameter in ctx.command.params}
    given = {}
    for name, value in ctx.params.items():
        source = ctx.get_parameter_source(name)
        is_option = usual[name].param_type_name == "option"
        if source is not None and source.name in ("COMMANDLINE", "DEFAULT_MAP") and is_option:
            given[name] = _plain(value)
    return {name: value for name, value in given.items() if name not in _ALWAYS_ANEW}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value.absolute()) if isinstance(value, Path) else value


def workers_of(text: str) -> tuple[int, int]:
    """``2`` or ``1:4``. Raises InputError."""
    least, _, most = text.partition(":")
    try:
        return int(least), int(most or least)
    except ValueError as error:
        raise InputError(
            f"--workers {text}: a number, or at least and at most, is needed; try 1:4"
        ) from error


def run(ctx: typer.Context, job: TrainGenerator, json: bool) -> None:
    """Train as asked for, and say what came of it."""
    from jobs.train import train

    with console.shown_progress() as show:
        report = train(replace(job, options=_given(ctx)), show)
    fields: dict[str, Any] = asdict(report)
    console.report(fields, as_json=json)
    if json:
        return
    losses = ", ".join(f"{name} {value:.4g}" for name, value in report.losses.items())
    console.say(
        f"{report.checkpoint}: {counted(report.steps, 'steps')}, {losses}; run in {report.run_dir}"
    )
    if report.rollbacks:
        console.say(
            f"it diverged {report.rollbacks} times and went back to a checkpoint with a lower "
            "learning rate; see events.jsonl there"
        )
    for photo in report.unreadable:
        console.say(f"skipped: {photo['error']}")
