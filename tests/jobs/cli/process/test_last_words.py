"""Commands that are killed, or whose terminal is closed: neither ends without a word."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest

from jobs.cli.process import last_words

_BLOCK = """
import os, signal
from jobs.cli.process.last_words import last_words
with last_words({arguments}):
    {does}
"""
_HANGUP = """
import os, signal, subprocess, sys, time
from jobs.cli import console
# The tests themselves may run under nohup.
signal.signal(signal.SIGHUP, signal.SIG_IGN if {ignored} else signal.SIG_DFL)
console.heed_interrupts()
console.heed_hangup()
code = "import signal; print(signal.SIGHUP in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
subprocess.run([sys.executable, "-c", code])
try:
    os.kill(os.getpid(), signal.SIGHUP)
    for _ in range(5 if {ignored} else 3000):  # a signal just before a long sleep would not end it
        time.sleep(0.1)
    print("goes on")
except KeyboardInterrupt:
    print("ends in order")
"""


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False
    )


@pytest.mark.parametrize(
    ("command", "on"), [("train", "--resume goes on"), ("stylize", "run again to go on")]
)
def test_of_a_command_that_is_killed_another_process_tells_how_to_go_on(
    command: str, on: str
) -> None:
    result = _python(
        _BLOCK.format(arguments=[command, "x"], does="os.kill(os.getpid(), signal.SIGKILL)")
    )
    assert result.returncode == -signal.SIGKILL
    assert re.fullmatch(
        f"error: the command has died.*memory.*; what is finished is kept: {on}.*\n", result.stderr
    )


@pytest.mark.parametrize("does", ["pass", "raise SystemExit(7)", "raise KeyboardInterrupt"])
def test_of_a_command_that_comes_to_its_end_nothing_is_told(does: str) -> None:
    result = _python(_BLOCK.format(arguments=["train", "style"], does=does))
    assert "the command has died" not in result.stderr


@pytest.mark.parametrize("arguments", [["styles", "list"], ["train", "style", "--help"], []])
def test_short_commands_have_no_process_beside_them(arguments: list[str]) -> None:
    result = _python(
        _BLOCK.format(arguments=arguments, does="os.kill(os.getpid(), signal.SIGKILL)")
    )
    assert (result.returncode, result.stderr) == (-signal.SIGKILL, "")


def test_what_the_system_ended_for_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_words, "_kills_for_memory", lambda: 3)
    told = last_words._told(["train"], 2)
    assert "has died; meanwhile the system has ended processes for want of memory; " in told
    assert "meanwhile" not in last_words._told(["train"], 3)


@pytest.mark.parametrize(("ignored", "end"), [(False, "ends in order"), (True, "goes on")])
def test_a_closed_terminal_ends_a_command_in_order_unless_nohup_says_otherwise(
    ignored: bool, end: str
) -> None:
    result = _python(_HANGUP.format(ignored=ignored))
    assert result.stdout.splitlines() == [str(not ignored), end], result.stderr
