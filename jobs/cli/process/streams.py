"""Standard streams that are closed, or whose reader has left: the work goes on all the same."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from nst_core.errors import InputError

_OUT, _ERR = 1, 2

_closed: set[int] = set()
"""Streams that the shell had closed."""


def prepare() -> None:
    """Make stdin, stdout and stderr usable, whatever the shell has done to them.

    A closed one becomes the null device, before another file gets its number; one whose reader
    leaves becomes so then. What a stream cannot encode, such as a name that is no UTF-8, is
    written with escapes.
    """
    for number in (0, _OUT, _ERR):
        try:
            os.fstat(number)
        except OSError:
            _closed.add(number)
            _open_null(number)
    sys.stdin = sys.stdin or io.TextIOWrapper(io.FileIO(0, closefd=False))
    sys.stdout, sys.stderr = _patient(sys.stdout, _OUT), _patient(sys.stderr, _ERR)


def take_pipes(*, reads: bool = True) -> tuple[int | None, int]:
    """Take stdin and stdout for a stream, as descriptors: what else is printed goes to stderr.

    Of a film that is a file nothing ``reads`` stdin: None. Raises InputError where either is a
    terminal.
    """
    if (reads and os.isatty(0)) or os.isatty(_OUT):
        raise InputError(
            "- and -o - are pipes, and here is a terminal: ffmpeg ... | nst stylize video - -o - "
            "| ffmpeg ..."
        )
    source, output = os.dup(0) if reads else None, os.dup(_OUT)
    _open_null(0)
    os.dup2(_ERR, _OUT)
    return source, output


def stdout_was_closed() -> bool:
    """Whether the shell gave no stdout: results go nowhere."""
    return _OUT in _closed


def close_to_nobody(stream: TextIO) -> None:
    """Drop what a stream still has to write, and all that comes."""
    _open_null(stream.fileno())


def _open_null(number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)


class _PatientStream(io.TextIOWrapper):
    """Text for a reader who may leave before the end, as `head` does."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._bear(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._bear(error)

    def _bear(self, error: OSError) -> None:
        """Go on without a reader; messages go on without a place, too, such as a full disk."""
        if not isinstance(error, BrokenPipeError) and self.fileno() != _ERR:
            raise error
        close_to_nobody(self)


def _patient(stream: TextIO | None, number: int) -> TextIO:
    buffer = io.BufferedWriter(io.FileIO(number, "w", closefd=False))
    return _PatientStream(
        buffer,
        encoding=stream.encoding if stream is not None else "utf-8",
        errors="backslashreplace",
        line_buffering=number == _ERR or buffer.isatty(),
    )
