"""The lines of a job's log: stdout and stderr share one, and must be told apart again.

What a command in a job prints as a result, and its report, begin with a control character that no
text has; whoever shows the log takes it off.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

JOB_VARIABLE = "NST_JOB"
"""In the environment of a job's entrypoint: its submission id."""

ERROR = "error: "
"""Beginning of the line with which a command says why it failed."""
_RESULT = "\x1e"
_REPORT = "\x1d"

Stream = Literal["stdout", "stderr"]

_OF_RAY = re.compile(r"^Running entrypoint for job |^[-\d]+ [:,\d]+\tINFO job_manager\.py")
"""What Ray itself writes into the log of each job, before the command's first line."""


def in_a_job() -> bool:
    """Whether this process is a job's entrypoint."""
    return bool(os.environ.get(JOB_VARIABLE))


def result_lines(text: str) -> str:
    """Mark each line of ``text`` as a result, for the log."""
    return "\n".join(_RESULT + line for line in text.split("\n"))


def report_line(report: dict[str, Any]) -> str:
    """Return the line of the log that holds a command's report."""
    return _REPORT + json.dumps(report)


def shown_lines(lines: Iterable[str]) -> Iterator[tuple[Stream, str]]:
    """Yield the lines of a log as the command has printed them, and where; the report is none."""
    for line in lines:
        if _OF_RAY.match(line):
            continue
        if line.startswith(_RESULT):
            yield "stdout", line.removeprefix(_RESULT)
        elif not line.startswith(_REPORT):
            yield "stderr", line


def find_error(log: str) -> str | None:
    """Return the last error line of a job's log, without ``error: ``; None where it has none."""
    lines = [line for _, line in shown_lines(log.split("\n")) if line.startswith(ERROR)]
    return lines[-1].removeprefix(ERROR) if lines else None


def find_report(log: str) -> dict[str, Any] | None:
    """Return the report in a job's log; None as long as there is none."""
    for line in reversed(log.split("\n")):
        if line.startswith(_REPORT):
            report: dict[str, Any] = json.loads(line.removeprefix(_REPORT))
            return report
    return None
