"""How many encoders the workers of a job have on other nodes, and why none where there are none."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Literal

from jobs.specs.applying import StylizeVideo
from nst_core.errors import EnvironmentProblem, InputError
from nst_core.wording import counted

if TYPE_CHECKING:
    from cluster.workers.room import Resources

_log = logging.getLogger(__name__)
_MOST_OF_A_WORKER = 64
"""Each takes a thread of the worker, and the memory of a segment."""

Encoders = int | Literal["auto"]


def encoders_of(job: StylizeVideo) -> Encoders:
    """Return what is asked for; 0, with a line, where ``auto`` has nothing to decide."""
    if job.encoders == "auto" and (why := job.why_no_encoders):
        return _none(why)
    return job.encoders


def encoders_of_each_worker(encoders: Encoders, resources: Resources, workers: int | None) -> int:
    """Return how many each worker is to have, or with ``auto`` may have, on the connected cluster.

    Raises InputError where they are no use, and EnvironmentProblem where there is no room.
    """
    if not encoders:
        return 0
    from cluster.workers.encoders import processors_for_encoders

    room, workers = processors_for_encoders(), resources.workers_to_start(workers)
    if encoders == "auto":
        if not resources.gpus:
            return _none("workers without a GPU need no more than their own processors")
        if not room:
            return _none("no node without a GPU has CPUs")
        return min(_MOST_OF_A_WORKER, math.ceil(room / workers))
    if not resources.gpus:
        raise InputError(
            f"--encoders {encoders}: they are for workers with a GPU, and these have none; more "
            "--workers do more"
        )
    if encoders > room:
        raise EnvironmentProblem(
            f"{counted(encoders, 'encoders')} of one CPU each: the nodes without a GPU have "
            f"{counted(room, 'CPUs')}; lower --encoders, or let it be auto"
        )
    return max(1, min(math.ceil(encoders / workers), room // workers))


def _none(why: str) -> Literal[0]:
    _log.warning("--encoders auto: none, for %s", why)
    return 0
