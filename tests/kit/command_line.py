"""The whole command line, for tests that call it in their own process."""

from __future__ import annotations

import io
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from jobs.cli import console
from jobs.cli.main import run
from jobs.cli.registry import app_for

app = app_for(())


@dataclass(frozen=True)
class Ended:
    """What a command line came to."""

    code: int
    out: str
    error: str

    @property
    def error_line(self) -> str:
        """The one line of an error that nothing was printed beside."""
        assert self.out == "", self.out
        assert self.error.startswith("error: "), self.error
        assert self.error.count("\n") == 1, self.error
        return self.error.strip()


def nst(*arguments: str | Path) -> Ended:
    """Run a command line as the console script does, in this process."""
    out, error = io.StringIO(), io.StringIO()
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    line = ["nst", *map(str, arguments)]
    with (
        mock.patch.object(sys, "argv", line),
        mock.patch.object(console, "_quiet", False),
        mock.patch.object(console, "_verbose", False),
        redirect_stdout(out),
        redirect_stderr(error),
    ):
        try:
            run()
        except SystemExit as end:
            code = end.code
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    assert isinstance(code, int)
    return Ended(code, out.getvalue(), error.getvalue())
