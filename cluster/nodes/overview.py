"""What a cluster consists of. Its head is asked directly, without connecting a driver to Ray."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import psutil

from cluster.head import ask
from cluster.ray_private import actor_state

Amounts = dict[str, float]

_SHOWN = ("CPU", "GPU")
_GPU_TYPE = "accelerator_type:"
_ENDED = "DEAD"
_JOBS_KEY = b"_ray_internal_job_info_"
"""Beginning of the keys under which Ray keeps each submitted job, connected to Ray or not."""
_JOBS_NAMESPACE = b"job"


@dataclass(frozen=True)
class Node:
    """A machine of the cluster."""

    address: str
    host: str
    is_head: bool
    alive: bool
    total: Amounts
    """CPUs and GPUs."""
    free: Amounts
    gpu_type: str | None
    """Ray's name of it, such as H200."""
    temp_folder: str
    """Ray's temporary folder on that machine."""


@dataclass(frozen=True)
class Overview:
    """The nodes, actors and jobs of a cluster."""

    address: str
    nodes: list[Node]
    actors: list[dict[str, Any]]
    """``class``, ``state``, ``node`` (its address) and ``pid`` of each that lives or waits."""
    jobs: list[dict[str, Any]]
    """``id``, ``status`` and ``command`` of what `nst jobs submit` has sent, the latest last."""
    drivers: int
    """Commands that are connected now, those of jobs included."""
    drivers_of_jobs: int
    """How many of them belong to jobs."""


def look_at(address: str) -> Overview:
    """Return what the cluster at ``address`` (HOST:PORT) consists of.

    To be called after `check_head`. Raises grpc.RpcError.
    """
    drivers = [
        driver
        for driver in ask(address, "JobInfoGcsService", "GetAllJobInfo").job_info_list
        if not driver.is_dead and not driver.config.ray_namespace.startswith("_ray")
    ]
    actors = ask(address, "ActorInfoGcsService", "GetAllActorInfo").actor_table_data
    return Overview(
        address,
        nodes_of(address),
        [
            {
                "class": actor.class_name,
                "state": actor_state(actor.state),
                "node": actor.address.ip_address,
                "pid": actor.pid,
            }
            for actor in actors
            if actor_state(actor.state) != _ENDED
        ],
        _jobs_at(address),
        len(drivers),
        sum("job_submission_id" in driver.config.metadata for driver in drivers),
    )


def addresses_of_this_machine() -> set[str]:
    """Return the IP addresses of all network interfaces here."""
    interfaces = psutil.net_if_addrs().values()
    return {each.address.partition("%")[0] for addresses in interfaces for each in addresses}


def nodes_of(address: str) -> list[Node]:
    """Return the nodes of the cluster at ``address``, the head first, lost ones last.

    To be called after `check_head`. Raises grpc.RpcError.
    """
    reply = ask(address, "NodeResourceInfoGcsService", "GetAllResourceUsage")
    usage = {each.node_id: each for each in reply.resource_usage_data.batch}
    nodes = []
    for node in ask(address, "NodeInfoGcsService", "GetAllNodeInfo").node_info_list:
        total = dict(node.resources_total)
        used = usage.get(node.node_id)
        nodes.append(
            Node(
                node.node_manager_address,
                node.node_manager_hostname,
                node.is_head_node,
                node.state == node.ALIVE,
                _amounts(total),
                _amounts(dict(used.resources_available) if used else {}),
                next((n[len(_GPU_TYPE) :] for n in total if n.startswith(_GPU_TYPE)), None),
                node.temp_dir,
            )
        )
    return sorted(nodes, key=lambda node: (not node.is_head, not node.alive, node.address))


def _amounts(resources: Amounts) -> Amounts:
    return {name: resources.get(name, 0.0) for name in _SHOWN}


def _jobs_at(address: str) -> list[dict[str, Any]]:
    """Return all submitted jobs, those included that ended before they connected to Ray."""
    where = {"namespace": _JOBS_NAMESPACE}
    service = "InternalKVGcsService"
    keys = ask(address, service, "InternalKVKeys", prefix=_JOBS_KEY, **where).results
    kept = ask(address, service, "InternalKVMultiGet", keys=keys, **where).results
    jobs = [(each.key.removeprefix(_JOBS_KEY), json.loads(each.value)) for each in kept]
    return [
        {
            "id": key.decode(),
            "status": job["status"],
            "command": (job.get("metadata") or {}).get("command", job["entrypoint"]),
        }
        for key, job in sorted(jobs, key=lambda each: each[1].get("start_time") or 0)
    ]
