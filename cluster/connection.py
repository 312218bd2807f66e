"""Connecting to Ray: an embedded one in this process, or a running cluster."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cluster.auth_token import use_token
from cluster.head import AUTO, check_head, is_local_host, with_port
from cluster.node_environment import NODE_ENVIRONMENT
from cluster.node_records import running_node
from nst_core.errors import EnvironmentProblem

LOCAL = "local"
_OBJECT_STORE_BYTES = 1 << 30
_ENVIRONMENT_BEFORE_IMPORT = {
    **NODE_ENVIRONMENT,
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # `ray.train.report` waits for this poll
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "20",  # then it asks again which nodes are left
    "TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S": "5",  # in vain, where one of the group is gone
}


def prepare_environment(address: str = LOCAL) -> None:
    """Set what Ray reads once, when it is first imported: call it before any ``import ray``."""
    for name, value in _ENVIRONMENT_BEFORE_IMPORT.items():
        os.environ.setdefault(name, value)
    if address == LOCAL or is_local_host(address):
        # The name is Ray's; on Linux, too, 0 keeps every server on 127.0.0.1, and a client from
        # taking that address for another of this machine's.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    if address == LOCAL:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    else:
        use_token()


@contextmanager
def ray_session(address: str = LOCAL, *, dashboard: bool = False) -> Iterator[None]:
    """Be connected to Ray inside the block.

    ``address`` is ``local`` for an embedded Ray that lives as long as the block and listens on
    loopback only; ``auto`` for the cluster that this machine is a node of; or HOST:PORT of a
    running cluster's head. Already connected: that connection is used, and left open.
    Raises EnvironmentProblem when there is no connection to be had. When it is lost for good,
    Ray may end this process.
    """
    address = address if address == LOCAL else resolve(address)
    prepare_environment(address)
    import ray

    if ray.is_initialized():
        yield
        return
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        if address == LOCAL:
            _start_embedded(dashboard)
        else:
            check_head(address)
            _connect(address)
    except EnvironmentProblem:
        raise
    except Exception as error:  # Ray raises a bare Exception when a node does not come up
        raise EnvironmentProblem(
            f"no Ray at {address} ({str(error).splitlines()[0]}); "
            "check --address, or leave it out to work on this machine"
        ) from error
    _silence()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray's own dumps its stack on stderr
    try:
        yield
    finally:
        ray.shutdown()


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
            "--address auto: this machine is no node that `nst cluster up` has started; "
            "name the cluster's head as HOST:PORT"
        )
    return node.address


def _start_embedded(dashboard: bool) -> None:
    import ray

    for attempt in (1, 2):
        try:
            ray.init(
                address="local",
                include_dashboard=dashboard,
                log_to_driver=False,
                logging_level="ERROR",
                object_store_memory=_OBJECT_STORE_BYTES,
            )
            return
        except Exception:  # a machine under load may need more than Ray's 30 s
            ray.shutdown()
            if attempt == 2:
                raise


def _silence() -> None:
    """Keep stdout for results: Ray prints there that a node has died, log_to_driver or not."""
    import ray._private.worker as internals

    internals._worker_logs_enabled = False


def _connect(address: str) -> None:
    import ray

    ray.init(
        address=address,
        _node_ip_address=_node_here(address),
        log_to_driver=False,
        logging_level="ERROR",
    )


def _node_here(address: str) -> str:
    """Return the IP address of the cluster's node that this machine is.

    Ray, left alone, takes the head to be here, or looks for long and tells in many lines.
    """
    from cluster.overview import addresses_of_this_machine, nodes_of

    mine = addresses_of_this_machine()
    for node in nodes_of(address):
        if node.alive and node.address in mine:
            return node.address
    raise EnvironmentProblem(
        f"--address {address}: this machine is no node of that cluster; make it one with "
        f"`nst cluster up --join {address} --cpus 0`, or use `nst jobs submit`"
    )
