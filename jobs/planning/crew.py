"""Who would do the work of a command: workers, their threads, and what it takes to start them."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from functools import cache

from cluster.connection import LOCAL
from jobs.applying.workers import resources_of_each_worker
from jobs.specs.applying import PoolSpec
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.engines.choice import choose_engine
from nst_core.libraries import first_import
from nst_core.processors import usable_processors

COMMAND_SECONDS = 0.5
"""From a command's start to its job, and from the job's end to the command's."""
_USUAL_TORCH_SECONDS = 1.3
_RAY_BY_TORCH = 1.4
"""Start of an embedded Ray and of a worker's process, as a multiple of the import of torch: 1.8 s
beside 1.3 (docs/performance.md). Both are work for one core, and take longer on a busy machine."""
_MOST_MEASURED = 8
"""Workers that are measured beside each other, at most: a process cannot be many in its threads."""


@dataclass(frozen=True)
class Crew:
    """Workers of one run."""

    workers: int | None
    """How many there would be; 0: the command's own process; None: as the cluster has room for."""
    threads: int
    """Threads of each on the CPU."""
    on_gpu: bool
    is_here: bool
    """Whether they are on this machine, whose rate is measured."""

    @property
    def at_once(self) -> int:
        """How many work at the same time, one where that is not known."""
        return max(1, self.workers or 1)

    @property
    def measured(self) -> int:
        """How many of them are measured beside each other; on a GPU each has one for itself."""
        return 1 if self.on_gpu or not self.is_here else min(self.at_once, _MOST_MEASURED)

    @property
    def elsewhere(self) -> str:
        """What to say of workers that are not on this machine."""
        workers = "one worker" if self.workers is None else "its workers"
        return f"the time is that of {workers} at this machine's rate; the cluster's is not known"

    @property
    def ray_seconds(self) -> float:
        """Seconds until Ray has started, where the command starts it."""
        return _RAY_BY_TORCH * torch_seconds() if self.workers and self.is_here else 0.0


def crew_for(style: StyleSpec, pool: PoolSpec) -> Crew:
    """Find out which workers a run would have. Raises EnvironmentProblem where it has no room."""
    torch_seconds()
    on_gpu = choose_engine(style.engine, style.device)[1] != "cpu"
    if pool.workers == 0:
        return Crew(0, usable_processors(), on_gpu, is_here=True)
    if pool.address != LOCAL:
        threads = max(1, int(pool.cpus_per_worker or 1))
        return Crew(pool.workers, threads, on_gpu, is_here=False)
    import torch

    node = {"CPU": float(usable_processors()), "GPU": float(torch.cuda.device_count())}
    resources = resources_of_each_worker(style, pool, [node])
    workers = resources.workers_to_start(pool.workers, [node])
    return Crew(workers, max(1, int(resources.cpus)), on_gpu, is_here=True)


@cache
def torch_seconds() -> float:
    """Import torch; returns the seconds that took, or usually takes where it was there already.

    What a cold disk adds is left out: a run that follows does not wait for it again.
    """
    if "torch" in sys.modules:
        return _USUAL_TORCH_SECONDS
    began, worked = time.monotonic(), time.process_time()
    with first_import("torch"):
        import torch  # noqa: F401
    return min(time.monotonic() - began, 2 * (time.process_time() - worked))
