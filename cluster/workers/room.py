"""How many workers the connected cluster can hold, and what those that find no room wait for."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.nodes.overview import Amounts
from nst_core.errors import EnvironmentProblem
from nst_core.wording import counted

_log = logging.getLogger(__name__)

_SECONDS_UNTIL_NEWS = 10.0
_SECONDS_BETWEEN_NEWS = 60.0
_SECONDS_WITHOUT_NODES = 60.0
"""After which it is given up that lost nodes come back."""
_AUTOSCALES_TO = "NST_AUTOSCALES_TO"
"""On a cluster with an autoscaler: the nodes that it may add, such as
``[{"CPU": 8, "GPU": 1, "nodes": 10}]``. Ray itself tells nobody."""


def nodes_now() -> list[Amounts]:
    """Return what each living node of the connected cluster has."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def nodes_to_come() -> list[Amounts] | None:
    """Return what each node has that the cluster may be scaled to; None without an autoscaler.

    Raises EnvironmentProblem where NST_AUTOSCALES_TO cannot be understood.
    """
    text = os.environ.get(_AUTOSCALES_TO)
    if not text:
        return None
    try:
        groups = [
            ({"CPU": float(group.get("CPU", 0)), "GPU": float(group.get("GPU", 0))}, group["nodes"])
            for group in json.loads(text)
        ]
        return [amounts for amounts, nodes in groups for _ in range(nodes)]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EnvironmentProblem(
            f'{_AUTOSCALES_TO}={text}: a list such as [{{"CPU": 8, "GPU": 1, "nodes": 10}}] '
            "is allowed"
        ) from error


@dataclass(frozen=True)
class Resources:
    """What each worker asks of the cluster."""

    cpus: float
    gpus: float = 0.0

    def __str__(self) -> str:
        gpus = f" and {_amount(self.gpus, 'GPUs')}" if self.gpus else ""
        return f"{_amount(self.cpus, 'CPUs')}{gpus}"

    def workers_that_fit(self, nodes: Sequence[Amounts]) -> int:
        """How many such workers ``nodes`` can hold, each for itself."""
        return sum(self._fit_into(node) for node in nodes)

    def workers_to_start(self, workers: int | None, now: Sequence[Amounts] | None = None) -> int:
        """Return ``workers``, or as many as there may ever be room for.

        ``now`` is what nodes there are; None asks Ray. Raises EnvironmentProblem where they would
        wait for ever.
        """
        now, to_come = nodes_now() if now is None else now, nodes_to_come()
        room = max(self.workers_that_fit(now), self.workers_that_fit(to_come or []))
        if room < (workers or 1):
            has = ", ".join(f"{sum(n.get(of, 0) for n in now):g} {of}s" for of in ("CPU", "GPU"))
            more = "" if to_come is None else f", and {_AUTOSCALES_TO} for the autoscaler"
            raise EnvironmentProblem(
                f"{counted(workers or 1, 'workers')} of {self} each: "
                f"there is room for {room} ({has}{more}); "
                "lower --workers, --cpus-per-worker or --gpus-per-worker"
            )
        return workers or room

    def are_free(self) -> bool:
        """Whether the cluster has room for one more such worker now."""
        import ray

        free = ray.available_resources()
        return bool(free.get("CPU", 0) >= self.cpus and free.get("GPU", 0) >= self.gpus)

    def _fit_into(self, node: Amounts) -> int:
        fits = [int(node.get("CPU", 0) / self.cpus)]
        if self.gpus:
            fits.append(int(node.get("GPU", 0) / self.gpus))
        return min(fits)


class RoomNews:
    """Tells, now and then, what workers wait for that have not started."""

    def __init__(self, resources: Resources, *, is_shared: bool = True) -> None:
        """``is_shared`` says whether others' work may be on the same Ray."""
        self._resources = resources
        self._is_shared = is_shared
        self._told = -_SECONDS_BETWEEN_NEWS
        self._without_nodes_since: float | None = None

    def tell(self, waiting: Sequence[float], *, none_works: bool) -> None:
        """Log a line where there is news; ``waiting`` is for how long each has waited, in seconds.

        Raises EnvironmentProblem where none works and all nodes that could hold one are lost.
        """
        now = time.monotonic()
        late = [seconds for seconds in waiting if seconds >= _SECONDS_UNTIL_NEWS]
        if not late or self._resources.are_free():  # free: it is about to start
            self._without_nodes_since = None
            return
        lost = not self._resources.workers_that_fit(nodes_now())
        grows = nodes_to_come() is not None
        if now - self._told >= _SECONDS_BETWEEN_NEWS:
            self._told = now
            if self._is_shared or lost:
                cause = _cause(lost=lost, grows=grows)
                wait = "waits" if len(late) == 1 else "wait"
                who = counted(len(late), "workers")
                _log.warning("%s %s for %s each: %s", who, wait, self._resources, cause)
            else:
                _log.info("%s not started yet: this machine is busy", counted(len(late), "workers"))
        if not lost or grows or not none_works:
            self._without_nodes_since = None
            return
        since = self._without_nodes_since = self._without_nodes_since or now
        if now - since >= _SECONDS_WITHOUT_NODES:
            raise EnvironmentProblem(
                f"no node is left that could hold a worker of {self._resources}; what is finished "
                "is kept: run again when nodes are back (`nst cluster status`)"
            )


def _amount(number: float, of: str) -> str:
    return counted(1, of) if number == 1 else f"{number:g} {of}"


def _cause(*, lost: bool, grows: bool) -> str:
    if grows:
        return "the cluster's autoscaler adds nodes (minutes, where machines are to be had)"
    if lost:
        return "the nodes that could hold them are lost"
    return "other work has the cluster's room"
