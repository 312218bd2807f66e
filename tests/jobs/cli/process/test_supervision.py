"""What the supervising process makes of how the watched one ended."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from jobs.cli.process import supervision

_TELL = "import os, time; from jobs.cli.process.supervision import tell_supervisor; "


class _Watch:
    """Sees the head lost when the watched process has had time to tell its code; or never."""

    seconds = 3.0

    def __init__(self, address: str) -> None:
        self._end = time.monotonic() + self.seconds

    @property
    def lost(self) -> bool:
        return time.monotonic() >= self._end

    def is_silent(self) -> bool:
        return False

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    numbers = signal.SIGINT, signal.SIGTERM
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("program", "loses_head", "code", "line"),
    [
        ("tell_supervisor(0); time.sleep(60)", True, 0, ""),
        ("tell_supervisor(1); time.sleep(60)", True, 2, "error: the head at here:1 is lost"),
        ("time.sleep(60)", True, 2, "error: the head at here:1 is lost"),
        ("tell_supervisor(1); os._exit(1)", False, 1, ""),
        ("tell_supervisor(130); os.abort()", False, 130, ""),
        ("os.abort()", False, 1, "error: the command has died (signal 6)"),
    ],
)
def test_a_told_code_counts_unless_the_head_was_lost_before_all_was_done(
    program: str,
    loses_head: bool,
    code: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(supervision, "_RUN", _TELL + program)
    monkeypatch.setattr(supervision, "_HeadWatchLater", _Watch)
    monkeypatch.setattr(_Watch, "seconds", 3.0 if loses_head else 300.0)
    assert supervision.supervise("here:1") == code
    told = capsys.readouterr().err
    assert told.startswith(line)
    assert bool(told) == bool(line)
