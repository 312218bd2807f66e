"""What the commands of `nst train` have in common: going on with a run, and its report."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import typer

from jobs.cli import console
from jobs.cli.training.recipes import RecipeCommand
from jobs.specs.training import TrainGenerator, run_folder_of
from jobs.training.run_folder import RunFolder
from nst_core.checkpoints.info import read_info
from nst_core.errors import CheckpointError
from nst_core.wording import counted

_COMMAND_LINE = "nst.train.command_line"
"""Key of this command's words in its context."""
_ALWAYS_ANEW = frozenset({"output", "run_dir", "resume", "overwrite", "dry_run", "json"})


class TrainCommand(RecipeCommand):
    """A command whose --resume repeats the options that the run was started with."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Parse, and keep the command line for those who want to go on."""
        context = super().make_context(info_name, list(args), parent, **extra)
        context.meta[_COMMAND_LINE] = f"{context.command_path} {shlex.join(args)}"
        return context

    def defaults_for(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the recipe's values, and those of the run that is gone on with."""
        defaults = super().defaults_for(values)
        if values.get("resume"):
            folder = RunFolder(run_folder_of(values["output"], values["run_dir"]))
            defaults |= folder.read_options()
        return defaults


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


def run(ctx: typer.Context, job: TrainGenerator, *, dry_run: bool, json: bool) -> None:
    """Train as asked for, and say what came of it; or say what would be done."""
    job = replace(job, options=_given(ctx))
    if dry_run:
        from jobs.cli.planning.words import show_plan
        from jobs.planning.trainings import plan_training

        show_plan(partial(plan_training, job), json=json)
        return
    from jobs.training.train import train

    began = time.time()
    try:
        with console.shown_progress() as show:
            report = train(job, show)
    except KeyboardInterrupt:
        _tell_what_is_kept(job, ctx.meta[_COMMAND_LINE], began)
        raise
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


def _tell_what_is_kept(job: TrainGenerator, command_line: str, began: float) -> None:
    """Name the network that an interrupted run has come to, and the command that goes on."""
    folder = RunFolder(job.run_folder)
    so_far = folder.so_far
    on = command_line if job.resume else f"{command_line} --resume"
    record = _record(so_far, since=0.0 if job.resume else began)
    if record is None and _record(job.output, since=began) is not None:
        console.note(
            f"{job.output} is whole and ready for use; only to calibrate it for 8 bits was left: "
            "`nst styles calibrate` does so, too"
        )
        return
    if record is None:  # it came to no step that is kept, or what is there is an earlier run's
        again = on if folder.started else command_line
        console.note(f"interrupted before a step was kept; to begin again: {again}")
        return
    record = record.get("extensions", [record])[-1]
    console.note(
        f"{so_far}: the network after {record['steps_done']} of "
        f"{counted(job.training.steps, 'steps')}, ready for use; to go on: {on}"
    )


def _record(checkpoint: Path, *, since: float) -> dict[str, Any] | None:
    """Return how a checkpoint was trained; None where none was written ``since``."""
    try:
        return read_info(checkpoint).training if checkpoint.stat().st_mtime >= since else None
    except (OSError, CheckpointError):
        return None
