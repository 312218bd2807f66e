"""docker compose: a head and its workers on one machine, or on each of a swarm's."""

from __future__ import annotations

from cluster.manifests.spec import ClusterSpec, Manifest
from cluster.nodes.start import DASHBOARD_PORT

TOKEN_FILE = "auth_token"  # noqa: S105 - a file's name
_SECRET = f"/run/secrets/{TOKEN_FILE}"
_HEAD = "head"
_PORT = 6379


def compose_file(spec: ClusterSpec, user: tuple[int, int]) -> Manifest:
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
    environment = spec.node_environment()
    del environment["NST_AUTOSCALES_TO"]  # nobody adds nodes here
    del head["environment"]["NST_AUTOSCALES_TO"]
    worker = _service(spec, environment, user)
    worker["command"] = [
        *("cluster", "up", "--join", f"{_HEAD}:{_PORT}"),
        *("--cpus", str(spec.worker_cpus), "--gpus", str(spec.gpus), "--block"),
    ]
    worker["depends_on"] = {_HEAD: {"condition": "service_healthy"}}
    limits = {"cpus": str(spec.worker_cpus), "memory": _bytes(spec.worker_memory)}
    worker["deploy"] = {"replicas": max(1, spec.min_workers), "resources": {"limits": limits}}
    if spec.gpus:
        device = {"driver": "nvidia", "count": spec.gpus, "capabilities": ["gpu"]}
        worker["deploy"]["resources"]["reservations"] = {"devices": [device]}
    return {
        "name": spec.name,
        "services": {_HEAD: head, "worker": worker},
        "volumes": {"shared": {}},
        "secrets": {TOKEN_FILE: {"file": f"./{TOKEN_FILE}"}},
    }


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
