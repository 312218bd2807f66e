"""Asking a cluster's head: is it there, does it take our token, is it the same Ray."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any, Literal

from cluster.auth_token import sent_token
from cluster.ray_private import ask_head
from nst_core.errors import EnvironmentProblem

AUTO = "auto"
DEFAULT_PORT = 6379
_ANSWER_SECONDS = 4.0
_SECONDS_BETWEEN_QUESTIONS = 2.0
_SILENT_SECONDS = 12.0
"""After which a head is taken to be lost; a link may be down for a moment."""
_BUSY_SECONDS = 90.0
"""The same for one whose machine takes connections: its processors may be busy."""
_NEVER_HEARD_SECONDS = 60.0
"""The same for one that has never answered: the command itself says so, and before that."""


def with_port(address: str) -> str:
    """Return HOST:PORT of ``--address``. Raises EnvironmentProblem for another kind of address."""
    if "://" in address:
        raise EnvironmentProblem(
            f"--address {address}: HOST:PORT of a cluster's head is allowed, from one of its "
            "nodes; from elsewhere `nst jobs submit --address http://HOST:8265 -- ...`"
        )
    host, colon, port = address.rpartition(":")
    if not colon:
        return f"{address}:{DEFAULT_PORT}"
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise EnvironmentProblem(f"--address {address}: local, auto or HOST:PORT is allowed")
    return address


def check_head(address: str) -> None:
    """Ask the head at ``address`` (HOST:PORT); it answers within seconds or not at all.

    Raises EnvironmentProblem, in one line, where there is none, where it does not take our token,
    or where it is of another version than the Ray here. To be called after `prepare_environment`.
    """
    import grpc

    try:
        version = _ask_for_version(address)
    except grpc.RpcError as error:
        raise EnvironmentProblem(_why(address, error)) from error
    check_version(address, version)


def check_version(where: str, version: str) -> None:
    """Raise EnvironmentProblem where a cluster's Ray is not the one here: they would not talk."""
    import ray

    if version != ray.__version__:
        raise EnvironmentProblem(
            f"{where}: the cluster runs Ray {version or 'of an unknown version'}, this machine "
            f"{ray.__version__}; install the same on both (pip install ray=={version})"
        )


def refused(where: str) -> str:
    """The line for a cluster that does not take our token, or gets none."""
    if sent_token() is None:
        return (
            f"{where}: the cluster wants a token, and there is none here; copy the head's "
            "~/.ray/auth_token (mode 0600), or name its file in RAY_AUTH_TOKEN_PATH"
        )
    return (
        f"{where}: the cluster does not take this token; copy the head's ~/.ray/auth_token, "
        "or name its file in RAY_AUTH_TOKEN_PATH"
    )


class HeadWatch:
    """Finds out, from a thread, when a head has been silent for too long."""

    def __init__(self, address: str) -> None:
        self.lost = False
        self._address = address
        self._heard = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="head watch", daemon=True)
        self._thread.start()

    def is_silent(self) -> bool:
        """Whether the head does not answer now."""
        return self._ask() != "heard"

    def close(self) -> None:
        """Stop watching."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        silent = 0.0
        while not self._ended.wait(_SECONDS_BETWEEN_QUESTIONS):
            start = time.monotonic()
            state = self._ask()
            if state == "heard":
                silent = 0.0
                continue
            # Not by the clock: a busy machine gives this thread no turns, either.
            silent += _SECONDS_BETWEEN_QUESTIONS + time.monotonic() - start
            patience = _BUSY_SECONDS if state == "busy" else _SILENT_SECONDS
            if silent >= (patience if self._heard else _NEVER_HEARD_SECONDS):
                self.lost = True
                return

    def _ask(self) -> Literal["heard", "busy", "silent"]:
        """Ask once; a refusal is an answer, too."""
        import grpc

        try:
            _ask_for_version(self._address)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                return "silent"
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                return "busy" if takes_connections(self._address) else "silent"
        self._heard = True
        return "heard"


def ask(address: str, service: str, method: str, **fields: Any) -> Any:
    """Return the reply of the head at ``address`` to a request of these ``fields``.

    ``service`` and ``method`` are of Ray's own protocol, such as ``NodeInfoGcsService`` and
    ``GetAllNodeInfo``. Raises grpc.RpcError. To be called after `prepare_environment`.
    """
    return ask_head(address, service, method, timeout=_ANSWER_SECONDS, token=sent_token(), **fields)


def takes_connections(address: str) -> bool:
    """Whether something listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS):
            return True
    except OSError:
        return False


def _ask_for_version(address: str) -> str:
    version: str = ask(address, "NodeInfoGcsService", "CheckAlive").ray_version
    return version


def _why(address: str, error: Exception) -> str:
    import grpc

    assert isinstance(error, grpc.Call)
    if error.code() is grpc.StatusCode.UNAUTHENTICATED:
        return refused(address)
    if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        words = "nothing answers there"
    else:
        words = "what answers there is no head of Ray"
    return (
        f"no Ray at {address} ({words}); check the address and `nst cluster status` on the head, "
        "start a cluster here with `nst cluster up`, or work without one (--address local)"
    )


def is_local_host(address: str) -> bool:
    """Whether HOST:PORT or HOST is this machine's loopback."""
    host = address.rpartition(":")[0] or address
    return host.strip("[]") in ("127.0.0.1", "::1", "localhost")
