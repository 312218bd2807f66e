"""The plan of `nst optimize`: pictures are read as in a run, a few iterations are really done."""

from __future__ import annotations

import time
from pathlib import Path

from jobs.planning.crew import COMMAND_SECONDS, torch_seconds
from jobs.planning.report import OptimizationForecast
from jobs.planning.room import disks_for, memory_for, memory_now
from jobs.specs.single import Optimize
from pipeline.work.progress import OnProgress, ignore_progress, stage

_ITERATIONS = 4
"""Iterations that are done; the first one warms up."""
_BYTES_A_PIXEL = 3


def plan_optimization(
    job: Optimize, on_progress: OnProgress = ignore_progress
) -> OptimizationForecast:
    """Find out what `nst optimize` would do; nothing is written but caches.

    Raises InputError, EnvironmentProblem or TrainingFailed where it could not start.
    """
    importing = torch_seconds()
    from jobs.applying.optimization_start import starting_picture
    from jobs.applying.optimize import checked_objective
    from nst_core.objectives.lbfgs import Iterate, optimize_picture
    from nst_core.objectives.perceptual import FixedContentObjective
    from nst_core.processors import usable_processors

    began = time.monotonic()
    content, perceptual = checked_objective(job, on_progress)
    objective = FixedContentObjective(perceptual, content)
    _, start = starting_picture(job, objective, content)
    on_progress(stage("measuring a few iterations", "iterations"))
    iterates: list[Iterate] = []
    begun = time.monotonic()
    optimize_picture(objective, content, start, iterations=_ITERATIONS, on_iterate=iterates.append)
    each = (iterates[-2].seconds - iterates[1].seconds) / (_ITERATIONS - 2)
    height, width = content.shape[-2:]
    to_start = COMMAND_SECONDS + importing + begun - began + iterates[0].seconds
    plan = OptimizationForecast(
        output=str(job.output),
        width=width,
        height=height,
        steps=job.steps,
        seconds_a_step=round(each, 4),
        engine=f"torch {content.device.type}",
        threads_per_worker=usable_processors(),
        seconds_to_start=round(to_start, 1),
        seconds=round(to_start + (job.steps + 1) * each, 1),
        memory=memory_for(memory_now(), 0, driver=0),
        disks=disks_for([(Path(job.output).absolute().parent, _BYTES_A_PIXEL * width * height)]),
    )
    plan.remark_room()
    return plan
