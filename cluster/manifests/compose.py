"""docker compose: a head and its workers on one machine."""

from __future__ import annotations

from cluster.manifests.spec import ClusterSpec, ComposeSpec, Manifest
from cluster.nodes.start import DASHBOARD_PORT

TOKEN_FILE = "auth_token"  # noqa: S105 - a file's name
_SECRET = f"/run/secrets/{TOKEN_FILE}"
_HEAD = "head"
_PORT = 6379


def compose_file(spec: ClusterSpec, compose: ComposeSpec, user: tuple[int, int]) -> Manifest:
    """Return the compose file; the token is in the file TOKEN_FILE beside it.

    ``user`` is the user and the group that the containers run as, and the token's file belongs to.
    """
    head = _service(spec, spec.head_environment(), user)
    head["command"] = [
        *("cluster", "up", "--head", "--listen", _HEAD, "--port", str(_PORT), "--cpus", "0"),
        *("--gpus", "0", "--dashboard-listen", _HEAD, "--dashboard-port", str(DASHBOARD_PORT)),
        "--block",
    ]
    head["hostname"] = _HEAD
    head["ports"] = [f"127.0.0.1:{DASHBOARD_PORT}:{DASHBOARD_PORT}"]
    head["healthcheck"] = {
        "test": ["CMD", "nst", "cluster", "status", "--address", f"{_HEAD}:{_PORT}"],
        "interval": "10s",
        "timeout": "10s",
        "retries": 6,
        "start_period": "60s",
    }
    del head["environment"]["NST_AUTOSCALES_TO"]  # nobody adds nodes here
    services = {_HEAD: head, **_workers(spec, user)}
    if compose.data is not None:
        path = str(compose.data.absolute())
        for service in services.values():
            service["volumes"].append({"type": "bind", "source": path, "target": path})
    return {
        "name": spec.name,
        "services": services,
        "volumes": {"shared": {}},
        "secrets": {TOKEN_FILE: {"file": f"./{TOKEN_FILE}"}},
    }


def _workers(spec: ClusterSpec, user: tuple[int, int]) -> dict[str, Manifest]:
    """Without GPUs one service of several replicas; with GPUs a service each.

    Replicas of one service would all get the same GPUs.
    """
    count = max(1, spec.min_workers)
    if not spec.gpus:
        worker = _worker(spec, user)
        worker["deploy"]["replicas"] = count
        return {"worker": worker}
    workers = {f"worker-{number + 1}": _worker(spec, user) for number in range(count)}
    for number, worker in enumerate(workers.values()):
        own = range(number * spec.gpus, (number + 1) * spec.gpus)
        device = {
            "driver": "nvidia",
            "device_ids": [str(each) for each in own],
            "capabilities": ["gpu"],
        }
        worker["deploy"]["resources"]["reservations"] = {"devices": [device]}
    return workers


def _worker(spec: ClusterSpec, user: tuple[int, int]) -> Manifest:
    environment = spec.node_environment()
    del environment["NST_AUTOSCALES_TO"]
    worker = _service(spec, environment, user)
    worker["command"] = [
        *("cluster", "up", "--join", f"{_HEAD}:{_PORT}"),
        *("--cpus", str(spec.worker_cpus), "--gpus", str(spec.gpus), "--block"),
    ]
    worker["depends_on"] = {_HEAD: {"condition": "service_healthy"}}
    limits = {"cpus": str(spec.worker_cpus), "memory": _bytes(spec.worker_memory)}
    worker["deploy"] = {"resources": {"limits": limits}}
    return worker


def _service(spec: ClusterSpec, environment: dict[str, str], user: tuple[int, int]) -> Manifest:
    return {
        "image": spec.image,
        "entrypoint": ["nst"],
        "user": f"{user[0]}:{user[1]}",
        "environment": {
            **environment,
            # A user that the image need not know.
            "HOME": "/tmp",  # noqa: S108 - of the container
            "USER": "nst",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": _SECRET,
        },
        "secrets": [TOKEN_FILE],
        "volumes": [f"shared:{spec.shared}"],
        "shm_size": "4gb",
        "restart": "unless-stopped",
        "security_opt": ["no-new-privileges:true"],
        "cap_drop": ["ALL"],
    }


def _bytes(size: str) -> str:
    """Return a size as docker writes it: 32g for 32Gi."""
    return f"{size[:-2]}{size[-2].lower()}"
