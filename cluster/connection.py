"""Connecting to Ray: an embedded one in this process, or a running cluster."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from nst_core.errors import EnvironmentProblem

LOCAL = "local"
_OBJECT_STORE_BYTES = 1 << 30
_CONNECT_SECONDS = 5.0
_ENVIRONMENT_BEFORE_IMPORT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # `ray.train.report` waits for this poll
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "20",  # then it asks again which nodes are left
    "TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S": "5",  # in vain, where one of the group is gone
}


def prepare_environment(address: str = LOCAL) -> None:
    """Set what Ray reads once, when it is first imported: call it before any ``import ray``."""
    for name, value in _ENVIRONMENT_BEFORE_IMPORT.items():
        os.environ.setdefault(name, value)
    if address == LOCAL:
        # The name is Ray's; on Linux, too, 0 keeps every server on 127.0.0.1.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")


@contextmanager
def ray_session(address: str = LOCAL, *, dashboard: bool = False) -> Iterator[None]:
    """Be connected to Ray inside the block.

    ``address`` is ``local`` for an embedded Ray that lives as long as the block and listens on
    loopback only, or the address of a running cluster. Already connected: that connection is
    used, and left open. Raises EnvironmentProblem when there is no connection to be had.
    """
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
            _connect(address)
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
    """Connect within seconds or not at all: Ray itself tries a dead address for many minutes."""
    import ray

    host, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdigit():
        with socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS):
            pass
    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
