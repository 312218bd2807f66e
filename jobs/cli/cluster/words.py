"""What a cluster consists of and what is at work on it, in a user's words instead of Ray's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nst_core.wording import columns, counted

if TYPE_CHECKING:
    from cluster.nodes.overview import Amounts, Node, Overview
    from cluster.nodes.records import NodeRecord

_STATES = {
    "ALIVE": "at work",
    "PENDING_CREATION": "starting",
    "DEPENDENCIES_UNREADY": "waiting for room",
    "RESTARTING": "starting again",
}
"""Words for the states of Ray's actors."""
_JOB_STATES = {
    "PENDING": "waiting",
    "RUNNING": "at work",
    "SUCCEEDED": "done",
    "FAILED": "failed",
    "STOPPED": "stopped",
}
_OF_A_JOB = "JobSupervisor"
"""The class of Ray's own actor for each job, which computes nothing."""
_TRAINING = "Train"
"""In the names of the classes of Ray's own actors for training."""


def overview_lines(overview: Overview) -> Iterator[str]:
    """Yield a line for the cluster, then one for each node, worker and job."""
    alive = [node for node in overview.nodes if node.alive]
    yield (
        f"cluster  {overview.address}: {counted(len(alive), 'nodes')}, "
        f"{counted(overview.drivers, 'commands')} at work"
    )
    yield from columns(map(_node, overview.nodes))
    yield from columns(_worker(each) for each in overview.actors if each["class"] != _OF_A_JOB)
    yield from columns(
        ("job    ", _job_state(job["status"]), job["id"], job["command"]) for job in overview.jobs
    )


def _node(node: Node) -> tuple[str, ...]:
    role = "head" if node.is_head else "worker"
    amounts = _amounts(node.free, node.total) if node.alive else "lost"
    kind = f" ({node.gpu_type})" if node.gpu_type else ""
    return "node   ", role, node.address, node.host, f"{amounts}{kind}"


def _worker(actor: dict[str, Any]) -> tuple[str, ...]:
    what = "training" if _TRAINING in actor["class"] else "pictures or films"
    state = _STATES.get(actor["state"], actor["state"].lower())
    where = f"on {actor['node']}, process {actor['pid']}" if actor["pid"] else ""
    return "worker ", state, what, where


def work_on(head: NodeRecord) -> list[str]:
    """Return the jobs and other commands that end with a head; none where it does not answer."""
    import grpc

    from cluster.connection import prepare_environment
    from cluster.head import check_head
    from cluster.nodes.overview import look_at
    from cluster.submission.client import LIVE
    from nst_core.errors import NstError

    if not head.is_running:
        return []
    try:
        prepare_environment(head.address)
        check_head(head.address)
        overview = look_at(head.address)
    except (NstError, grpc.RpcError):
        return []
    jobs = [job for job in overview.jobs if job["status"] in LIVE]
    lines = [f"job {job['id']}  {job['command']}" for job in jobs]
    others = overview.drivers - overview.drivers_of_jobs
    return lines + ([f"{counted(others, 'commands')} on {head.address}"] if others > 0 else [])


def _job_state(status: str) -> str:
    return _JOB_STATES.get(status, status.lower())


def _amounts(free: Amounts, total: Amounts) -> str:
    shown = [name for name in total if total[name]] or ["CPU"]
    return ", ".join(
        f"{free.get(name, 0):g} of {_counted(total[name], name)} free" for name in shown
    )


def _counted(amount: float, name: str) -> str:
    return f"1 {name}" if amount == 1 else f"{amount:g} {name}s"
