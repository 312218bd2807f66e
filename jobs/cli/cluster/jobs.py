"""`nst jobs`: the other commands, run on a cluster's head."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from jobs.cli import console, options
from nst_core import __version__
from nst_core.wording import columns, quoted

if TYPE_CHECKING:
    from cluster.submission.client import Job, JobRequest, Jobs
    from jobs.cli.command_line import CommandLine

app = typer.Typer(no_args_is_help=True, help="Run commands as jobs on a cluster, and follow them.")

_Url = Annotated[
    str | None,
    typer.Option(
        "--address",
        envvar="NST_JOBS_ADDRESS",
        metavar="URL",
        help="Of the cluster's dashboard; default: the head here, or http://127.0.0.1:8265.",
    ),
]
_Id = Annotated[str, typer.Argument(metavar="ID", help="As `submit` and `list` print it.")]
_Follow = Annotated[
    bool,
    typer.Option("--follow", "-f", help="Show what the job prints until it ends; then its code."),
]


@app.command(context_settings={"ignore_unknown_options": True})
def submit(
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND...", help="A command line, without nst.")
    ],
    address: _Url = None,
    follow: _Follow = False,
    working_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Send this folder (less than 100 MB) and run in its copy; default: run in the "
            "folder of this name on the head, such as one on shared storage.",
        ),
    ] = None,
    id: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Of the job: the same submit again, even when it has succeeded, is safe.",
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Run a command on the cluster's head; the same submit again finds the job that runs.

    Example: nst jobs submit --follow -- stylize video film.mp4 -o out.mp4 --style wave
    """
    from cluster.submission.client import is_head_here
    from cluster.submission.environment import handed_on, withheld
    from jobs.cli import command_line

    line = command_line.read_command_line(command)
    command_line.check_names(line, working_dir or Path())
    if working_dir is not None:
        command_line.check_output_stays(line)
    jobs = _jobs(address)
    command_line.check_inputs(
        line,
        working_dir or Path.cwd(),
        is_copy=working_dir is not None,
        is_here=is_head_here(jobs.url),
    )
    with tempfile.TemporaryDirectory() if working_dir else nullcontext() as folder:
        request = _request(line, id, working_dir, folder, handed_on(os.environ))
        job_id, is_new = jobs.submit(request)
    if is_new and line.names_uris and (names := withheld(os.environ)):
        console.note(
            f"warning: {', '.join(names)}: not sent, as every list of jobs would show it; the "
            "cluster's nodes need their own"
        )
    console.hint(f"job {job_id}: {'submitted' if is_new else _told_again(jobs.get(job_id))}")
    if follow:
        _follow(jobs, job_id, as_json=json)
    elif json:
        console.print_json({**asdict(jobs.get(job_id)), "new": is_new})
    else:
        console.say(job_id)


@app.command("list")
def list_jobs(address: _Url = None, json: options.Json = False) -> None:
    """Show all jobs of the cluster, the latest last.

    Example: nst jobs list
    """
    jobs = _jobs(address).list()
    if json:
        console.print_json({"jobs": [asdict(job) for job in jobs]})
        return
    for line in columns((job.id, _state(job), _time(job.started), job.command) for job in jobs):
        console.say(line)


@app.command()
def status(job_id: _Id, address: _Url = None, json: options.Json = False) -> None:
    """Show what has become of a job, with the report of its command.

    Example: nst jobs status stylize-video-1f2e3d4c
    """
    jobs = _jobs(address)
    job = jobs.get(job_id)
    told = _told_by_command(jobs, job)
    if json:
        console.print_json({**asdict(job), **told})
        return
    console.say(f"{job.id}  {_state(job)}  {_time(job.started)} {_time(job.ended)}")
    for name, value in job.metadata.items():
        console.say(f"{name:10}{' '.join(value.split())}")
    if job.status == "FAILED" and (words := told["error"] or job.message):
        console.say(f"{'error':10}{words}")
    if told["report"] is not None:
        console.print_json(told["report"])


@app.command()
def logs(job_id: _Id, address: _Url = None, follow: _Follow = False) -> None:
    """Print what a job has printed: results on stdout, the rest on stderr.

    Example: nst jobs logs stylize-video-1f2e3d4c --follow
    """
    jobs = _jobs(address)
    jobs.get(job_id)
    if follow:
        _follow(jobs, job_id)
    else:
        _show(jobs.log(job_id).rstrip("\n").split("\n"))  # splitlines would split at the marks


@app.command()
def stop(job_id: _Id, address: _Url = None, json: options.Json = False) -> None:
    """End a job as Ctrl-C would: what is finished is kept, and the same submit goes on.

    Example: nst jobs stop stylize-video-1f2e3d4c
    """
    jobs = _jobs(address)
    before = jobs.get(job_id)
    job = jobs.stop(job_id) if before.is_live else before
    if json:
        console.print_json(asdict(job))
    elif not before.is_live:
        console.say(
            f"{job.id}  {_state(job)} at {_time(job.ended)} already; there is nothing to stop"
        )
    else:
        console.say(f"{job.id}  {_state(job)}")
    if job.is_live:
        console.note(f"error: {job.id} has not ended yet; see `nst jobs status {quoted(job.id)}`")
        raise typer.Exit(console.SOME_FAILED)


def _jobs(address: str | None) -> Jobs:
    from cluster.submission.client import Jobs, default_url

    return Jobs(address or default_url(), console.note)


def _request(
    line: CommandLine,
    job_id: str | None,
    working_dir: Path | None,
    folder: str | None,
    environment: dict[str, str],
) -> JobRequest:
    import hashlib
    import platform
    from importlib.metadata import version

    from cluster.submission.client import JobRequest
    from cluster.submission.working_folder import FOLDER_IN_PACKAGE, pack_folder

    package, where = None, Path.cwd()
    if working_dir is not None and folder is not None:
        package = Path(folder, "working_dir.zip")
        pack_folder(working_dir, package)
    content = hashlib.sha256(package.read_bytes()).hexdigest() if package else str(where)
    return JobRequest(
        name=line.name(content, *(f"{name}={value}" for name, value in environment.items())),
        id=job_id,
        entrypoint=line.for_shell(Path(FOLDER_IN_PACKAGE) if package else where),
        package=package,
        environment=environment,
        metadata={
            "command": line.text(),
            "inputs": "\n".join(line.inputs),
            "folder": str(working_dir.resolve() if working_dir else where),
            "from": platform.node(),
            "versions": f"nst {__version__}, ray {version('ray')}, "
            f"python {platform.python_version()}",
        },
    )


def _follow(jobs: Jobs, job_id: str, *, as_json: bool = False) -> None:
    """Show a job's log to its end, and leave with its code; Ctrl-C leaves the job running."""
    try:
        _show(jobs.follow(job_id), results=sys.stderr if as_json else sys.stdout)
        job = jobs.wait(job_id)
    except KeyboardInterrupt as error:
        console.note(
            f"detached; the job goes on: `nst jobs logs {quoted(job_id)} --follow` shows it "
            f"again, `nst jobs stop {quoted(job_id)}` ends it"
        )
        raise typer.Exit(console.INTERRUPTED) from error
    told = _told_by_command(jobs, job)
    if as_json:
        console.print_json({**asdict(job), **told})
    if job.status == "SUCCEEDED":
        return
    if job.status == "STOPPED":
        console.note(f"job {job_id}: {_state(job)}")
        raise typer.Exit(console.INTERRUPTED)
    if job.exit_code is None:
        console.note(f"error: the job could not be run: {job.message}")
        raise typer.Exit(console.WRONG_USE)
    words = f": {told['error']}" if told["error"] else ""
    console.note(f"job {job_id}: {_state(job)}{words}")
    raise typer.Exit(job.exit_code)


def _told_by_command(jobs: Jobs, job: Job) -> dict[str, Any]:
    """Return a job's report, and the last error of one that failed; None for what is not there."""
    from cluster.submission.output import find_error, find_report

    log = jobs.log(job.id)
    error = find_error(log) if job.status == "FAILED" else None
    return {"error": error, "report": find_report(log)}


def _show(lines: Iterable[str], results: TextIO = sys.stdout) -> None:
    from cluster.submission.output import shown_lines

    for stream, line in shown_lines(lines):
        print(line, file=results if stream == "stdout" else sys.stderr, flush=True)


def _told_again(job: Job) -> str:
    """Say what has become of a job that was submitted before."""
    if job.is_live:
        return f"is {job.status.lower()} already; nothing new is started"
    return f"has {job.status.lower()} already; nothing is run again"


def _state(job: Job) -> str:
    return job.status.lower() + (f" ({job.exit_code})" if job.exit_code else "")


def _time(seconds: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else "-"
