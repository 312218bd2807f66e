"""Everything that leans on Ray's private parts, for which Ray has no public setting.

A Ray without what `lean_node` needs is started as it comes, which takes longer; the rest has no
other way. A test looks for each of them in the Ray that is installed.
"""

from __future__ import annotations

import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.ray_processes import processes_ended

if TYPE_CHECKING:
    from ray.job_config import JobConfig

_SECONDS_TO_REGISTER = 180.0
_SECONDS_BETWEEN_LOOKS = 0.02


def init_ray(**how: Any) -> None:
    """Connect this process to Ray: `ray.init`, quietly, without a log on our streams."""
    import ray

    with _readable_command_line():
        ray.init(job_config=_config_class()(), log_to_driver=False, logging_level="ERROR", **how)


def keep_stdout_for_results() -> None:
    """Stop Ray from printing there that a node has died, which ``log_to_driver=False`` does not."""
    import ray._private.worker as internals

    internals._worker_logs_enabled = False


def ask_head(
    address: str, service: str, method: str, *, timeout: float, token: str | None, **fields: Any
) -> Any:
    """Return the reply of the head at ``address`` (HOST:PORT) to a request of these ``fields``.

    ``service`` and ``method`` are of Ray's own protocol, such as ``NodeInfoGcsService`` and
    ``GetAllNodeInfo``; ``timeout`` is in seconds. Raises grpc.RpcError.
    """
    import grpc
    from ray.core.generated import gcs_service_pb2 as messages
    from ray.core.generated import gcs_service_pb2_grpc as services

    metadata = [("authorization", f"Bearer {token}")] if token else []
    # A cluster's nodes are reached directly, whatever proxy the environment names.
    options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(address, options) as channel:
        stub = getattr(services, f"{service}Stub")(channel)
        request = getattr(messages, f"{method}Request")(**fields)
        return getattr(stub, method)(request, timeout=timeout, metadata=metadata)


def actor_state(number: int) -> str:
    """Return the name of an actor's state in a reply of the head, such as ``ALIVE``."""
    from ray.core.generated import gcs_pb2

    name: str = gcs_pb2.ActorTableData.ActorState.Name(number)
    return name


@contextmanager
def lean_node(folder: Path, spawned: threading.Event) -> Iterator[None]:
    """Let ``ray.init`` start a node without what nobody here would ask; Ray has no setting for it.

    An autoscaler, a reader of workers' logs and a dashboard are each a Python that imports Ray,
    nearly half of the work of starting it. And its agent serves what asks for statistics, which
    the driver would import too, or takes any free port: where another Ray has the usual one it
    would ask for that for four seconds more. A Ray without these insides is started as it is.
    Temporary files of its workers go into ``folder``. ``spawned`` is set when the node's processes
    are there, not yet ready.
    """
    try:
        import ray._private.node as internals
        from ray._private import services, utils

        usual, missing = internals.Node, utils.get_dashboard_dependency_error
        look_up = services.get_node
    except (ImportError, AttributeError):
        spawned.set()
        yield
        return
    wanted = {
        "dashboard_agent_listen_port": 0,
        "no_monitor": True,
        "include_log_monitor": False,
        "env_vars": {"TMPDIR": str(folder / "tmp")},
    }
    started: list[Any] = []

    class LeanNode(usual):  # type: ignore[misc, valid-type]
        def __init__(self, ray_params: Any, **how: Any) -> None:
            started.append(self)
            ray_params.update(**{n: v for n, v in wanted.items() if hasattr(ray_params, n)})
            super().__init__(ray_params=ray_params, **how)

        def start_api_server(self, **how: Any) -> None:
            return

        def start_raylet(self, *where: Any, **how: Any) -> None:
            super().start_raylet(*where, **how)
            spawned.set()

    def get_node(head: str, node: str) -> Any:
        return _awaited_node(head, partial(look_up, head, node), started)

    internals.Node, services.get_node = LeanNode, get_node
    utils.get_dashboard_dependency_error = lambda: ImportError("not asked for")
    try:
        yield
    except BaseException:
        with processes_ended(folder):
            for each in started:  # of one that has not come up, Ray knows nothing
                with suppress(AttributeError):  # it has come to nothing at all
                    each.kill_all_processes(check_alive=False, allow_graceful=True, wait=True)
        raise
    finally:
        internals.Node, services.get_node = usual, look_up
        utils.get_dashboard_dependency_error = missing


def _awaited_node(head: str, look_up: Callable[[], Any], started: Sequence[Any]) -> Any:
    """Wait for the node, unless a process of those ``started`` dies.

    Ray itself looks once a second, and after 30 s not once more.
    """
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    client = GcsClient(address=head)
    give_up = time.monotonic() + _SECONDS_TO_REGISTER
    while time.monotonic() < give_up and not any(each.dead_processes() for each in started):
        with suppress(Exception):  # none yet, or one that does not answer in time
            if client.get_all_node_info():
                return look_up()
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return look_up()  # Ray knows what to say


@cache
def _config_class() -> type[JobConfig]:
    from ray.job_config import JobConfig

    class WithoutFolders(JobConfig):  # type: ignore[misc]
        """Ray's own gives workers the driver's current folder as the first to import from."""

        def _serialize(self) -> str:
            self._py_driver_sys_path: list[str] = []
            serialized: str = super()._serialize()
            return serialized

    return WithoutFolders


@contextmanager
def _readable_command_line() -> Iterator[None]:
    """Let Ray, which keeps it, have a command line of UTF-8, whatever files are called."""
    import ray._private.utils as internals

    usual = internals.get_entrypoint_name
    readable = shlex.join(sys.argv).encode("utf-8", "backslashreplace").decode()
    internals.get_entrypoint_name = lambda: readable
    try:
        yield
    finally:
        internals.get_entrypoint_name = usual
