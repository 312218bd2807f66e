"""The command `nst`, and how errors become one line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback

from typer.exceptions import Abort, TyperException

from jobs.cli import console, streams, supervision, wrong_use
from jobs.cli.commands import app_for
from jobs.cli.import_path import leave_current_folder_out
from nst_core.errors import EnvironmentProblem, InputError, NstError


def main() -> None:
    """Entry point of the console script."""
    leave_current_folder_out()
    streams.prepare()
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
        app = app_for(sys.argv[1:])
        code = app(prog_name="nst", standalone_mode=False) or console.ALL_DONE
    except (Abort, KeyboardInterrupt):
        code = console.INTERRUPTED
    except TyperException as error:
        code = wrong_use.tell(error)
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
    return code


def _could_not_start(error: NstError) -> bool:
    return isinstance(error, InputError | EnvironmentProblem)


def _take_debug(arguments: list[str]) -> bool:
    """Accept --debug anywhere before a ``--``."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    if "--debug" in arguments[:end]:
        arguments.remove("--debug")
        return True
    return bool(os.environ.get("NST_DEBUG"))
