"""Learning rates over the steps of a training."""

from __future__ import annotations

import math

from nst_core.training.settings import TrainingSettings


def learning_rate_at(step: int, settings: TrainingSettings) -> float:
    """Linear warm-up, then what ``settings.schedule`` says; ``step`` counts from 0."""
    warmup = min(settings.warmup_steps, settings.steps // 4)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    if settings.schedule == "constant":
        return settings.learning_rate
    if settings.schedule == "step":
        first = settings.decay_every if settings.decay_from is None else settings.decay_from
        decays = 0 if step < first else 1 + (step - first) // settings.decay_every
        return settings.learning_rate * float(settings.decay**decays)
    progress = (step - warmup) / max(1, settings.steps - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return settings.learning_rate * (settings.final_rate + (1 - settings.final_rate) * cosine)
