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
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from jobs.cli import console, options
from nst_core import __version__
from nst_core.wording import quoted

if TYPE_CHECKING:
    from cluster.job_client import Job, JobRequest, Jobs
    from jobs.cli.entrypoint import CommandLine

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
    from cluster.job_environment import handed_on, withheld
    from jobs.cli.entrypoint import check_names, check_output_stays, read_command_line

    line = read_command_line(command)
    check_names(line, working_dir or Path())
    if working_dir is not None:
        check_output_stays(line)
    jobs = _jobs(address)
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
    for job in jobs:
        console.say(f"{job.id:32}  {_state(job):14}  {_time(job.started):19}  {job.command}")


@app.command()
def status(job_id: _Id, address: _Url = None, json: options.Json = False) -> None:
    """Show what has become of a job, with the report of its command.

    Example: nst jobs status stylize-video-1f2e3d4c
    """
    jobs = _jobs(address)
    job = jobs.get(job_id)
    report = jobs.report(job_id)
    if json:
        console.print_json({**asdict(job), "report": report})
        return
    console.say(f"{job.id}  {_state(job)}  {_time(job.started)} {_time(job.ended)}")
    for name, value in job.metadata.items():
        console.say(f"{name:10}{' '.join(value.split())}")
    if job.status == "FAILED" and job.exit_code is None:
        console.say(f"{'message':10}{job.message}")
    if report is not None:
        console.print_json(report)


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
    job = _jobs(address).stop(job_id)
    if json:
        console.print_json(asdict(job))
    else:
        console.say(f"{job.id}  {_state(job)}")
    if job.is_live:
        console.note(f"error: {job.id} has not ended yet; see `nst jobs status {quoted(job.id)}`")
        raise typer.Exit(console.SOME_FAILED)


def _jobs(address: str | None) -> Jobs:
    from cluster.job_client import Jobs, default_url

    return Jobs(address or default_url())


def _request(
    line: CommandLine,
    job_id: str | None,
    working_dir: Path | None,
    folder: str | None,
    environment: dict[str, str],
) -> JobRequest:
    import hashlib
    import platform

    import ray

    from cluster.job_client import JobRequest
    from cluster.working_folder import FOLDER_IN_PACKAGE, pack_folder

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
            "versions": f"nst {__version__}, ray {ray.__version__}, "
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
    if as_json:
        console.print_json({**asdict(job), "report": jobs.report(job_id)})
    if job.status == "SUCCEEDED":
        return
    console.note(f"job {job_id}: {_state(job)}")
    if job.status == "STOPPED":
        raise typer.Exit(console.INTERRUPTED)
    if job.exit_code is None:
        console.note(f"error: the job could not be run: {job.message}")
    raise typer.Exit(console.WRONG_USE if job.exit_code is None else job.exit_code)


def _show(lines: Iterable[str], results: TextIO = sys.stdout) -> None:
    from cluster.job_output import shown_lines

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
