"""How long a training will take, found by two steps of it before it starts."""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from jobs.training_plan import TrainingPlan, build_trainer
from nst_core.training_photos import Batch


def seconds_a_step(plan: TrainingPlan) -> float:
    """Time a step of one worker on this machine's CPUs; all the steps of a plan are alike.

    For the first style alone: how many there are does not matter to a step.
    """
    first = replace(
        plan,
        info=replace(plan.info, styles=(), strokes=()),
        style_images=plan.style_images[:1],
        base=None,
        start=None,
    )
    trainer = build_trainer(first, torch.device("cpu"))
    size = plan.settings.image_size
    pictures = torch.rand(plan.settings.batch_size, 3, size, size)
    batches = [Batch(tuple(range(len(pictures))), pictures)] * plan.settings.accumulate
    trainer.step(batches)  # warms up
    start = time.monotonic()
    trainer.step(batches)
    return time.monotonic() - start


def estimated_seconds(plan: TrainingPlan, first_step: int) -> float:
    """Estimate the steps from ``first_step`` on, on this machine's CPUs alone.

    Workers share the processors: two take as long for a step of twice the pictures.
    """
    return seconds_a_step(plan) * plan.workers[1] * (plan.settings.steps - first_step)
