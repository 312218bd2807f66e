"""An embedded Ray that starts in half the time: without the processes that serve people."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_SECONDS_TO_REGISTER = 10.0
_SECONDS_BETWEEN_LOOKS = 0.02


@contextmanager
def lean_node(dashboard: bool, spawned: threading.Event | None) -> Iterator[None]:
    """Let ``ray.init`` start a node without what nobody here would ask; Ray has no setting for it.

    An autoscaler, a reader of workers' logs and a dashboard are each a Python that imports Ray,
    nearly half of the work of starting it. And its agent serves what asks for statistics, which
    the driver would import too, or takes any free port: where another Ray has the usual one it
    would ask for that for four seconds more. A Ray without these insides is started as it is.
    ``spawned`` is set when the node's processes are there, not yet ready.
    """
    try:
        import ray._private.node as internals
        from ray._private import services, utils

        usual, missing = internals.Node, utils.get_dashboard_dependency_error
        look_up = services.get_node
    except (ImportError, AttributeError):
        if spawned:
            spawned.set()
        yield
        return
    unused = {} if dashboard else {"no_monitor": True, "include_log_monitor": False}

    class LeanNode(usual):  # type: ignore[misc, valid-type]
        def __init__(self, ray_params: Any, **how: Any) -> None:
            wanted = {"dashboard_agent_listen_port": 0, **unused}
            ray_params.update(**{n: v for n, v in wanted.items() if hasattr(ray_params, n)})
            super().__init__(ray_params=ray_params, **how)

        def start_api_server(self, **how: Any) -> None:
            if dashboard:
                super().start_api_server(**how)

        def start_raylet(self, *where: Any, **how: Any) -> None:
            super().start_raylet(*where, **how)
            if spawned:
                spawned.set()

    def get_node(head: str, node: str) -> Any:
        _await_node(head)
        return look_up(head, node)

    internals.Node, services.get_node = LeanNode, get_node
    if not dashboard:
        utils.get_dashboard_dependency_error = lambda: ImportError("not asked for")
    try:
        yield
    finally:
        internals.Node, services.get_node = usual, look_up
        utils.get_dashboard_dependency_error = missing


def _await_node(head: str) -> None:
    """Wait until the node is there: Ray itself looks once a second."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    client = GcsClient(address=head)
    give_up = time.monotonic() + _SECONDS_TO_REGISTER
    while time.monotonic() < give_up:
        with suppress(Exception):  # Ray looks once more, and knows what to say
            if client.get_all_node_info():
                return
        time.sleep(_SECONDS_BETWEEN_LOOKS)
