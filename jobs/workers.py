"""From a pool specification to a pool of stylizing workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from cluster.connection import ray_session
from jobs.specs import PoolSpec, StyleSpec
from nst_core.engine import torch_for_noise
from nst_core.style_library import Style, find_for
from nst_core.stylizer import Stylizer
from pipeline.image_worker import ImageWorker
from pipeline.segment_worker import SegmentWorker
from pipeline.worker_pool import Deadline, InProcessPool, Worker, WorkerPool

if TYPE_CHECKING:
    from pipeline.actor_pool import Resources

WorkerClass = type[SegmentWorker] | type[ImageWorker]


@contextmanager
def stylizing_pool(
    worker_class: WorkerClass,
    style: StyleSpec,
    pool: PoolSpec,
    *,
    depth: int = 2,
    deadline: Deadline | None = None,
) -> Iterator[WorkerPool]:
    """Open a pool whose workers apply ``style``; it closes with the block.

    ``depth`` units are at each worker at a time, each of them no longer than ``deadline``; both
    mean nothing to a pool in this process.
    """
    found = find_checked(style)
    if pool.workers == 0:
        threads = len(os.sched_getaffinity(0))
        factory = partial(make_worker, worker_class, found, style, threads)
        yield InProcessPool(factory)
        return
    with ray_session(pool.address):
        from pipeline.actor_pool import ActorPool

        resources = _resources(style, pool)
        threads = max(1, int(resources.cpus))
        factory = partial(make_worker, worker_class, found, style, threads)
        actors = ActorPool(factory, resources, workers=pool.workers, depth=depth, deadline=deadline)
        try:
            yield actors
        finally:
            actors.close()


def find_checked(spec: StyleSpec) -> Style:
    """Find the checkpoint and see that it goes with the rest of ``spec``, before any work.

    Raises InputError, and what find_for raises.
    """
    style = find_for(spec.command, spec.style)
    if style.draws_noise:
        torch_for_noise(spec.engine)
    return style


def make_worker(worker_class: WorkerClass, style: Style, spec: StyleSpec, threads: int) -> Worker:
    """Build a worker where it will live."""
    stylizer = Stylizer(
        style,
        strength=spec.strength,
        keep_colors=spec.keep_colors,
        match_histogram=spec.match_histogram,
        engine=spec.engine,
        device=spec.device,
        precision=spec.precision,
        threads=threads,
    )
    return worker_class(stylizer)


def _resources(style: StyleSpec, pool: PoolSpec) -> Resources:
    import ray

    from pipeline.actor_pool import Resources

    total = ray.cluster_resources()
    gpus = pool.gpus_per_worker
    if gpus is None:
        wants_gpu = style.device == "cuda" or (
            style.device == "auto" and style.engine != "openvino" and total.get("GPU", 0) >= 1
        )
        gpus = 1.0 if wants_gpu else 0.0
    cpus = pool.cpus_per_worker
    if cpus is None:
        places = total.get("GPU", 0) / gpus if gpus else 0
        cpus = max(1.0, total.get("CPU", 1) // places) if places else 1.0
    return Resources(cpus=cpus, gpus=gpus)
