"""The command `nst`: its groups, and how errors become one line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from jobs.cli import (
    bench,
    cluster,
    console,
    evaluate,
    jobs,
    optimize,
    options,
    styles,
    stylize,
    supervision,
    synthesize,
    train,
    upscale,
)
from jobs.specs import PoolSpec
from nst_core import __version__
from nst_core.errors import EnvironmentProblem, InputError, NstError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Stylize whole videos and image datasets, and train the networks that do it.",
    epilog="Exit codes: 0 all done, 1 some inputs failed or are damaged, 2 wrong use or nothing "
    "could start, 130 interrupted. --debug anywhere shows the traceback of an error.",
)
app.add_typer(stylize.app, name="stylize")
app.add_typer(train.app, name="train")
app.command()(upscale.upscale)
app.command()(synthesize.synthesize)
app.command()(optimize.optimize)
app.command()(evaluate.evaluate)
app.command()(bench.bench)
app.add_typer(styles.app, name="styles")
app.add_typer(cluster.app, name="cluster")
app.add_typer(jobs.app, name="jobs")


def main() -> None:
    """Entry point of the console script."""
    address = supervision.address_asked_for(sys.argv[1:])
    if address is not None:
        sys.exit(supervision.supervise(address))
    run()


def run() -> None:
    """Run the command line in this process, to its exit code."""
    debug = _take_debug(sys.argv)
    console.heed_interrupts()
    supervision.heed_supervisor()
    try:
        code = app(standalone_mode=False) or console.ALL_DONE
    except (Abort, KeyboardInterrupt):
        code = console.INTERRUPTED
    except TyperException as error:
        code = _wrong_use(error)
    except NstError as error:
        if debug:
            traceback.print_exc()
        console.note("error: " + " ".join(str(error).split()))
        code = console.WRONG_USE if _could_not_start(error) else console.SOME_FAILED
    except OSError as error:
        if debug:
            traceback.print_exc()
        console.note(f"error: {error.filename or 'system'}: {error.strerror or error}")
        code = console.WRONG_USE
    if code == console.INTERRUPTED and sys.argv[1:2] != [
        "jobs"
    ]:  # Typer turns Ctrl-C into this code by itself
        console.note(
            "interrupted; what stylize, upscale and train have finished is kept: "
            "run again to go on (training: --resume)"
        )
    sys.stdout.flush()
    supervision.tell_supervisor()
    sys.exit(code)


def _print_version(asked: bool) -> None:
    if asked:
        console.say(f"nst {__version__}")
        raise typer.Exit


@app.callback()
def nst(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Stylize whole videos and image datasets, and train the networks that do it."""


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the files.")] = Path(
        "demo"
    ),
    workers: options.Workers = PoolSpec.workers,
    json: options.Json = False,
) -> None:
    """Make a short clip with sound, stylize it and a picture, and say where they are.

    Example: nst demo -o demo
    """
    from jobs.demo import run_demo

    with console.shown_progress() as show:
        report = run_demo(output, pool=PoolSpec(workers=workers), on_progress=show)
    console.report(asdict(report), as_json=json)
    if json:
        return
    console.say(f"clip            {report.clip}")
    console.say(f"stylized clip   {report.stylized_clip}")
    console.say(f"before / after  {report.before_after}")


@app.command()
def doctor(json: options.Json = False) -> None:
    """Look at versions, devices, engines, codecs and weights; exit 1 if something is missing.

    Example: nst doctor
    """
    from jobs.doctor import examine

    findings = examine()
    if json:
        console.print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            mark = "ok" if finding.ok else "MISSING" if finding.needed else "-"
            console.say(f"{mark:8}{finding.name:22}{finding.text}")
    if any(finding.needed and not finding.ok for finding in findings):
        raise typer.Exit(console.SOME_FAILED)


def _could_not_start(error: NstError) -> bool:
    return isinstance(error, InputError | EnvironmentProblem)


def _take_debug(arguments: list[str]) -> bool:
    """Accept --debug anywhere before a ``--``."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    if "--debug" in arguments[:end]:
        arguments.remove("--debug")
        return True
    return bool(os.environ.get("NST_DEBUG"))


def _wrong_use(error: TyperException) -> int:
    """Say in one line what the parser did not understand; a bare `nst` or group shows its help."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return console.WRONG_USE  # making that error has printed the help
    words = " ".join(error.format_message().split())
    hint = f" See `{context.command_path} --help`." if context else ""
    console.note(f"error: {words}{hint}")
    return console.WRONG_USE
