"""A command on a cluster runs in a process of its own, beside one that watches over it.

When the head or the node of this machine is lost, Ray ends the process that is connected to it
without a word, or lets it wait for minutes: only another process can tell the user.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobs.cli import console
from jobs.cli.registry import is_long_work

if TYPE_CHECKING:
    from cluster.head import HeadWatch

_CHANNEL = "NST_SUPERVISOR_CHANNEL"
"""In the environment of the watched process: the number of its end of the channel."""
_MOST_BYTES_TOLD = 16
_SECONDS_BETWEEN_LOOKS = 0.1
_RUN = "from jobs.cli.main import main; main()"


def address_asked_for(arguments: Sequence[str]) -> str | None:
    """Return the cluster that a command line wants to run on; None where it needs no watching."""
    if _CHANNEL in os.environ or not is_long_work(arguments):
        return None
    address = _value(arguments, "--address") or os.environ.get("NST_ADDRESS", "")
    in_this_process = _value(arguments, "--workers") == "0"
    return None if address in ("local", "") or in_this_process else address


def is_watched(address: str | None) -> bool:
    """Whether another process tells of this one's end: it is watched, or is to be the watcher."""
    return address is not None or _CHANNEL in os.environ


def _value(arguments: Sequence[str], option: str) -> str | None:
    """Return the value that a command line gives to an option, the last where it gives several."""
    value = None
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument == option:
            value = following
        elif argument.startswith(f"{option}="):
            value = argument.partition("=")[2]
    return value


def supervise(address: str) -> int:
    """Run this very command line in another process, to its end; returns the exit code."""
    ours, theirs = socket.socketpair()
    # Modules come from where they come from here, whatever lies in the current folder.
    program = f"import sys; sys.path[:] = {sys.path!r}; sys.argv[0] = 'nst'; {_RUN}"
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", program, *sys.argv[1:]],
        pass_fds=[theirs.fileno()],
        env={**os.environ, _CHANNEL: str(theirs.fileno())},
    )
    theirs.close()

    def pass_on(number: int, frame: object) -> None:
        process.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)  # from a terminal it has come twice: that is one
    watch = _HeadWatchLater(address)
    try:
        while process.poll() is None and not watch.lost:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        if process.poll() is None:
            process.kill()  # it waits for what is gone; its work is kept at all times
        code = process.wait()
        told = _told_code(ours)
        if told is not None and not (told and watch.lost):
            return told
        return _tell(address, code, lost=watch.lost or watch.is_silent())
    finally:
        watch.close()
        ours.close()


def heed_supervisor() -> None:
    """In the watched process: end when the one that watches is gone."""
    if _CHANNEL not in os.environ:
        return
    channel = _channel()

    def wait() -> None:
        if channel.recv(1) == b"":
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="supervisor", daemon=True).start()


def tell_supervisor(code: int) -> None:
    """In the watched process: say which exit code is meant; it may be kept from exiting with it."""
    if _CHANNEL in os.environ:
        _channel().send(str(code).encode())


class _HeadWatchLater:
    """A HeadWatch that comes into being beside the command: importing Ray takes a while."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._watch: HeadWatch | None = None
        self._thread = threading.Thread(target=self._begin, daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        return self._watch is not None and self._watch.lost

    def is_silent(self) -> bool:
        self._thread.join()
        return self._watch is not None and self._watch.is_silent()

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()

    def _begin(self) -> None:
        from cluster.connection import prepare_environment, resolve
        from cluster.head import HeadWatch
        from nst_core.errors import NstError

        try:
            address = resolve(self._address)
        except NstError:  # the command itself will say so
            return
        prepare_environment(address)
        self._watch = HeadWatch(address)


def _channel() -> socket.socket:
    return socket.socket(fileno=os.dup(int(os.environ[_CHANNEL])))


def _told_code(channel: socket.socket) -> int | None:
    channel.setblocking(False)
    try:
        return int(channel.recv(_MOST_BYTES_TOLD))
    except (BlockingIOError, ValueError):  # it still waits, or has died without a word
        return None


def _tell(address: str, code: int, *, lost: bool) -> int:
    if lost:
        console.note(
            f"error: the head at {address} is lost; what is finished is kept: "
            "run again on a new cluster to go on (training: --resume)"
        )
        return console.WRONG_USE
    how = f"signal {-code}" if code < 0 else f"code {code}"
    console.note(
        f"error: the command has died ({how}), such as for want of memory, or with this machine's "
        "node; what is finished is kept: run again to go on (training: --resume)"
    )
    return console.SOME_FAILED
