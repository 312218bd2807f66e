"""Connecting to Ray: an embedded one in this process, or a running cluster."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib import import_module

from cluster.auth_token import use_token
from cluster.embedded_ray import EMBEDDED_ENVIRONMENT, Start, end_embedded_ray, start_embedded_ray
from cluster.environment import NODE_ENVIRONMENT
from cluster.head import AUTO, check_head, is_local_host, with_port
from cluster.nodes.records import running_node
from cluster.ray_private import init_ray, keep_stdout_for_results
from nst_core.errors import EnvironmentProblem
from nst_core.libraries import first_import
from nst_core.wording import first_line
from pipeline.work.background import wait_for

LOCAL = "local"
_ENVIRONMENT_BEFORE_IMPORT = {
    **NODE_ENVIRONMENT,
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # `ray.train.report` waits for this poll
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "20",  # then it asks again which nodes are left
    "TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S": "5",  # in vain, where one of the group is gone
}
_SECONDS_TO_SPAWN = 5.0
"""At most: what the caller does next, such as importing a job, would hold up Ray's first steps, and
goes well beside the others, which processes of their own do."""
_SECONDS_TO_LEAVE = 3.0
"""Longest time for leaving a cluster before the command goes on to its end."""
_begun: Future[None] | None = None
"""A connection that ``connecting_ahead`` has begun; sessions wait for it."""


def prepare_environment(address: str = LOCAL) -> None:
    """Set what Ray reads once, when it is first imported: call it before any ``import ray``."""
    for name, value in _ENVIRONMENT_BEFORE_IMPORT.items():
        os.environ.setdefault(name, value)
    if address == LOCAL or is_local_host(address):
        # The name is Ray's; on Linux, too, 0 keeps every server on 127.0.0.1, and a client from
        # taking that address for another of this machine's.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    if address == LOCAL:
        for name, value in EMBEDDED_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
    else:
        use_token()


@contextmanager
def ray_session(address: str = LOCAL) -> Iterator[None]:
    """Be connected to Ray inside the block.

    ``address`` is ``local`` for an embedded Ray that lives as long as the block and listens on
    loopback only; ``auto`` for the cluster that this machine is a node of; or HOST:PORT of a
    running cluster's head. Already connected: that connection is used, and left open.
    Raises EnvironmentProblem when there is no connection to be had. When it is lost for good,
    Ray may end this process.
    """
    if _begun is not None:
        _import_for_messages()
        wait_for(_begun)
    address = address if address == LOCAL else resolve(address)
    prepare_environment(address)
    with first_import("ray"):
        import ray

    if ray.is_initialized():
        yield
        return
    _open(address)
    try:
        yield
    finally:
        _close(address)


@contextmanager
def connecting_ahead() -> Iterator[None]:
    """Start an embedded Ray beside what the block does; a session in the block waits for it.

    It lives as long as the block. Where it cannot start, the session raises, not this. Already
    connected: that connection is used, and left open.
    """
    global _begun
    prepare_environment(LOCAL)
    with first_import("ray"):
        import ray  # in this thread: beside another import it takes three times as long

    if ray.is_initialized():
        yield
        return
    with ThreadPoolExecutor(1, thread_name_prefix="ray") as thread:
        start = Start()
        _begun = thread.submit(_open_ahead, start)
        try:
            start.spawned.wait(_SECONDS_TO_SPAWN)
            yield
        finally:
            start.unwanted.set()
            try:
                with suppress(EnvironmentProblem):  # who needed it has been told
                    wait_for(_begun)
            finally:
                _begun = None
                end_embedded_ray()


def _open_ahead(start: Start) -> None:
    try:
        _open(LOCAL, start)
    finally:
        start.spawned.set()


def _open(address: str, start: Start | None = None) -> None:
    """Connect; ``start`` is that of an embedded Ray."""
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        if address == LOCAL:
            start_embedded_ray(start or Start())
        else:
            check_head(address)
            _connect(address)
    except EnvironmentProblem:
        raise
    except Exception as error:  # Ray raises a bare Exception when a node does not come up
        raise EnvironmentProblem(
            f"no Ray at {address} ({first_line(error)}); "
            "check --address, or leave it out to work on this machine"
        ) from error
    keep_stdout_for_results()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray's own dumps its stack on stderr


def _import_for_messages() -> None:
    """Import, while Ray starts, what it would import when it is ready, at its first message."""
    for package in ("pydantic.v1.fields", "pyarrow.json"):
        with suppress(ImportError):
            import_module(package)


def cluster_resources() -> dict[str, float]:
    """Return what all nodes of the connected Ray offer together, such as ``CPU`` and ``GPU``."""
    import ray

    resources: dict[str, float] = ray.cluster_resources()
    return resources


def resolve(address: str) -> str:
    """Return HOST:PORT of the head that ``--address`` names. Raises EnvironmentProblem."""
    if address != AUTO:
        return with_port(address)
    given = os.environ.get("RAY_ADDRESS", "")
    if given and given != AUTO and "://" not in given:
        return with_port(given)  # by Ray to a job's entrypoint, or by the user
    node = running_node()
    if node is None:
        raise EnvironmentProblem(
            "--address auto: this machine is no node of a cluster; start one here with "
            "`nst cluster up`, or name the head of one that runs with --address HOST:PORT"
        )
    return node.address


def _close(address: str) -> None:
    """End an embedded Ray, or leave a cluster.

    One whose head is lost cannot be left: Ray waits for it, and what has been done would not be
    told. It is left to wait.
    """
    import ray

    if address == LOCAL:
        end_embedded_ray()
        return
    thread = threading.Thread(target=ray.shutdown, name="leave the cluster", daemon=True)
    thread.start()
    thread.join(_SECONDS_TO_LEAVE)


def _connect(address: str) -> None:
    init_ray(address=address, _node_ip_address=_node_here(address))


def _node_here(address: str) -> str:
    """Return the IP address of the cluster's node that this machine is.

    Ray, left alone, takes the head to be here, or looks for long and tells in many lines.
    """
    from cluster.nodes.overview import addresses_of_this_machine, nodes_of

    mine = addresses_of_this_machine()
    for node in nodes_of(address):
        if node.alive and node.address in mine:
            return node.address
    raise EnvironmentProblem(
        f"--address {address}: this machine is no node of that cluster; make it one with "
        f"`nst cluster up --join {address} --cpus 0`, or use `nst jobs submit`"
    )
