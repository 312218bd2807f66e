"""Connecting to Ray: an embedded one in this process, or a running cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from nst_core.errors import EnvironmentProblem

LOCAL = "local"
_OBJECT_STORE_BYTES = 1 << 30
_ENVIRONMENT_BEFORE_IMPORT = {
    # Ray reads these once, when it is imported.
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # `ray.train.report` waits for this poll
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}


@contextmanager
def ray_session(address: str = LOCAL, *, dashboard: bool = False) -> Iterator[None]:
    """Be connected to Ray inside the block.

    ``address`` is ``local`` for an embedded Ray that lives as long as the block and listens on
    loopback only, or the address of a running cluster. Already connected: that connection is
    used, and left open. Raises EnvironmentProblem when there is no connection to be had.
    """
    for name, value in _ENVIRONMENT_BEFORE_IMPORT.items():
        os.environ.setdefault(name, value)
    if address == LOCAL:
        # The name is Ray's; on Linux, too, 0 keeps every server on 127.0.0.1.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        if address == LOCAL:
            ray.init(
                address="local",
                include_dashboard=dashboard,
                log_to_driver=False,
                logging_level="ERROR",
                object_store_memory=_OBJECT_STORE_BYTES,
            )
        else:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise EnvironmentProblem(
            f"no Ray at {address} ({str(error).splitlines()[0]}); "
            "check --address, or leave it out to work on this machine"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
