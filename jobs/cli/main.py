"""The command `nst`, and how errors become one line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import nullcontext

from typer.exceptions import Abort, TyperException

from jobs.cli import console, wrong_use
from jobs.cli.import_path import leave_current_folder_out
from jobs.cli.process import streams, supervision
from jobs.cli.process.last_words import last_words
from jobs.cli.registry import ONLY_LOOK, app_for, command_of
from nst_core.errors import EnvironmentProblem, InputError, NstError


def main() -> None:
    """Entry point of the console script."""
    leave_current_folder_out()
    streams.prepare()
    address = supervision.address_asked_for(sys.argv[1:])
    watched = nullcontext() if supervision.is_watched(address) else last_words(sys.argv[1:])
    with watched:
        console.heed_hangup()
        if address is not None:
            sys.exit(_without_results(supervision.supervise(address)))
        run()


def run() -> None:
    """Run the command line in this process, to its exit code."""
    debug = _take_debug(sys.argv)
    console.heed_interrupts()
    supervision.heed_supervisor()
    try:
        app = app_for(sys.argv[1:])
        code = app(prog_name="nst", standalone_mode=False) or console.ALL_DONE
    except (Abort, KeyboardInterrupt):
        code = console.INTERRUPTED
    except TyperException as error:
        code = wrong_use.tell(error)
    except Exception as error:
        if debug:
            traceback.print_exc()
        code = _tell(error)
    # Typer turns Ctrl-C into this code by itself; jobs and trainings say more of themselves, and
    # what only looks has nothing to keep.
    makes_nothing = command_of(sys.argv[1:]) == "plan" or ONLY_LOOK & {*sys.argv}
    is_told = makes_nothing or command_of(sys.argv[1:]) in ("jobs", "train")
    if code == console.INTERRUPTED and not is_told:
        console.note("interrupted; what is finished is kept: run again to go on")
    code = _finish(code)
    supervision.tell_supervisor(code)
    sys.exit(code)


def _finish(code: int) -> int:
    """See that results are written; returns the exit code, another one where they are not."""
    try:
        sys.stdout.flush()
    except OSError as error:
        streams.close_to_nobody(sys.stdout)
        console.note(f"error: the results could not be written to stdout ({error.strerror})")
        return code or console.SOME_FAILED
    return _without_results(code)


def _without_results(code: int) -> int:
    """Return another exit code than 0 where JSON was asked for and there is no stdout."""
    asked = sys.argv[: sys.argv.index("--")] if "--" in sys.argv else sys.argv
    if code == console.ALL_DONE and "--json" in asked and streams.stdout_was_closed():
        console.note("error: the results could not be written to stdout (it is closed)")
        return console.SOME_FAILED
    return code


def _tell(error: Exception) -> int:
    """Say in one line what went wrong; returns the exit code."""
    if isinstance(error, NstError):
        console.note("error: " + " ".join(str(error).split()))
        could_not_start = isinstance(error, InputError | EnvironmentProblem)
        return console.WRONG_USE if could_not_start else console.SOME_FAILED
    if isinstance(error, OSError):
        console.note(f"error: {error.filename or 'system'}: {error.strerror or error}")
        return console.WRONG_USE
    words = " ".join(f"{type(error).__name__}: {error}".split())
    console.note(f"error: {words}; a fault of the program, not yours: --debug shows where")
    return console.SOME_FAILED


def _take_debug(arguments: list[str]) -> bool:
    """Accept --debug anywhere before a ``--``."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    if "--debug" in arguments[:end]:
        arguments.remove("--debug")
        return True
    return bool(os.environ.get("NST_DEBUG"))
