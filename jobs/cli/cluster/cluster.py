"""`nst cluster up`, `status` and `down`: a cluster of this machine and those that join it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from operator import not_
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.nodes.start import NodeSpec
from jobs.cli import console, options
from jobs.cli.cluster import render
from jobs.cli.cluster.words import overview_lines, work_on
from jobs.cli.spec_options import Looks, from_specifications
from nst_core.errors import EnvironmentProblem, InputError

if TYPE_CHECKING:
    from cluster.nodes.records import NodeRecord

app = typer.Typer(no_args_is_help=True, help="Start, look at and end a cluster; files for others.")
app.add_typer(render.app, name="render")

_CHECK_SECONDS = 1.0


_LOOKS: Looks = {
    "join": {"metavar": "HOST:PORT"},
    "listen": {"metavar": "IP|NAME"},
    "port": {"help": "Of the head; 0 for one that is free."},
    "dashboard_listen": {"metavar": "IP|NAME"},
    "dashboard_port": {"help": "Of the dashboard and the Jobs API; 0 for one that is free."},
    "token": {
        "names": ("--no-token",),
        "default": False,
        "read": not_,
        "help": "Let everybody on this machine use the cluster.",
    },
}


@app.command()
@from_specifications(_LOOKS)
def up(
    spec: NodeSpec,
    head: Annotated[
        bool, typer.Option("--head", help="Start a head (what happens without --join, too).")
    ] = False,
    block: Annotated[
        bool, typer.Option("--block", help="Stay, and end the node at Ctrl-C or SIGTERM.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Start a head on this machine, or a worker node that joins one; `down` ends it.

    Example: nst cluster up --listen 10.0.0.1
    """
    from cluster.nodes.start import start_node

    if head and spec.join:
        raise InputError(f"--head and --join {spec.join}: a node is one of both; leave one out")
    record = start_node(spec, console.hint)
    tell = partial(_tell_started, record, with_token=spec.token, json=json)
    if block:
        _stay(record, tell)
    else:
        tell()


@app.command()
def status(address: options.ClusterAddress = "auto", json: options.Json = False) -> None:
    """Show what a cluster consists of, what is free, and what is at work on it.

    Example: nst cluster status
    """
    import grpc

    from cluster.connection import prepare_environment, resolve
    from cluster.head import check_head
    from cluster.nodes.overview import look_at

    address = resolve(address)
    prepare_environment(address)
    check_head(address)
    try:
        overview = look_at(address)
    except grpc.RpcError as error:  # lost between two questions
        raise EnvironmentProblem(f"{address}: the head does not answer any more") from error
    if json:
        console.print_json(asdict(overview))
        return
    for line in overview_lines(overview):
        console.say(line)


@app.command()
def down(
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="End what still runs there without being asked.")
    ] = False,
    json: options.Json = False,
) -> None:
    """End the nodes that `nst cluster up` has started on this machine, and nothing else.

    Jobs and commands that run on a head of this machine end with it: they are named, and on a
    terminal you are asked before.

    Example: nst cluster down
    """
    from cluster.nodes.records import read_records
    from cluster.nodes.start import end_node

    # Workers first: a head that goes before them would leave them complaining.
    records = sorted(read_records(), key=lambda record: record.is_head)
    at_work = [each for record in records if record.is_head for each in work_on(record)]
    for each in at_work:
        console.note(f"still at work: {each}")
    if at_work and not yes and sys.stdin.isatty() and not typer.confirm("End all?", err=True):
        console.note("nothing is ended")
        raise typer.Exit(console.SOME_FAILED)
    left = []
    for record in records:
        left += end_node(record)
        if not json:
            console.say(f"ended  {_name(record)}")
    if json:
        ended = [asdict(record) for record in records]
        console.print_json({"ended": ended, "at_work": at_work, "left": left})
    elif not records:
        console.say("no node of `nst cluster up` is here")
    if left:
        console.note(f"error: still there: the processes {', '.join(map(str, left))}")
        raise typer.Exit(console.SOME_FAILED)


@app.command()
def token() -> None:
    """Make the token where there is none, and say where it is; its text is never shown.

    Example: nst cluster token
    """
    from cluster.auth_token import make_token, token_file

    made = make_token()
    console.hint("made a token" if made else "there is a token already")
    console.say(str(token_file()))


def _stay(record: NodeRecord, tell: Callable[[], None]) -> None:
    from cluster.nodes.start import end_node

    try:
        tell()  # whoever reads it may end the command at once
        while record.is_running:
            time.sleep(_CHECK_SECONDS)
    except KeyboardInterrupt:  # of SIGTERM, too: what was asked for
        console.note(f"ended  {_name(record)}")
        return
    finally:
        end_node(record)
    console.note(f"error: {_name(record)} has ended by itself")
    raise typer.Exit(console.SOME_FAILED)


def _name(record: NodeRecord) -> str:
    return f"{'head' if record.is_head else 'worker node of'} {record.address}"


def _tell_started(record: NodeRecord, *, with_token: bool, json: bool) -> None:
    if json:
        console.print_json(asdict(record))
    else:
        _tell_how_to_use(record, with_token=with_token)
    sys.stdout.flush()


def _tell_how_to_use(record: NodeRecord, *, with_token: bool) -> None:
    from cluster.auth_token import token_file
    from cluster.nodes.start import join_command

    console.say(f"up         {_name(record)}")
    if record.is_head:
        console.say(f"jobs       nst jobs submit --address {record.dashboard} -- stylize video ...")
        console.say(f"here       nst stylize video ... --address {record.address}")
        console.say(f"token      {token_file() if with_token else 'none'}")
        join = join_command(record)
        console.say(f"workers    {join or 'from this machine only; --listen IP lets others join'}")
    console.say("end        nst cluster down")
