"""Checkpoints of a step of training: they say of themselves what those of users say."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from jobs.specs.training import TrainStyle
from jobs.training.kinds import make_plan
from jobs.training.plan import build_trainer, plan_settings
from nst_core.checkpoints.checkpoint import save_state
from nst_core.objectives.settings import ObjectiveSettings
from nst_core.training.photos import Batch
from nst_core.training.settings import TrainingSettings


def style_training(
    paintings: tuple[Path, ...], photos: Path, loss_network_weights: Path, output: Path
) -> TrainStyle:
    """A tiny training."""
    return TrainStyle(
        style_images=paintings,
        content=(str(photos),),
        output=output,
        training=TrainingSettings(steps=2, batch_size=1, image_size=32),
        objective=ObjectiveSettings(),
        architecture="johnson",
        width=4,
        style_size=32,
        loss_network_weights=loss_network_weights,
    )


def trained(training: TrainStyle) -> dict[str, Any]:
    """Train a step and write the checkpoint; returns what it says of itself."""
    plan = make_plan(training)
    trainer = build_trainer(plan, torch.device("cpu"))
    trainer.step([Batch.of([plan.targets()[0]])])
    info = dataclasses.replace(plan.info, training=plan_settings(plan))
    save_state(training.output, trainer.state_dict()["trained"], info)
    return info.training
