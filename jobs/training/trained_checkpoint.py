"""The checkpoint that a training run comes to: its weights and its record, at the end or so far."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from jobs.training.plan import Base, TrainingPlan, describe
from jobs.training.states import State
from nst_core import __version__
from nst_core.checkpoints.checkpoint import build_generator, save_state
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.networks.conditional_norm import joined


def checkpoint_of(
    plan: TrainingPlan, trainer: State, losses: dict[str, float]
) -> tuple[dict[str, Tensor], CheckpointInfo]:
    """Return what to write of a trainer's state; ``losses`` are those of its last step."""
    trained = {name: tensor.cpu() for name, tensor in trainer["trained"].items()}
    state, styles = trained, plan.info.styles
    training = describe(plan) | dict(plan.sources)
    training |= {"steps_done": trainer["steps_done"], "losses": losses, "nst": __version__}
    if trainer["balance"]:
        factors = trainer["balance"]["log_factors"].exp().tolist()
        training["style_factors"] = [round(factor, 4) for factor in factors]
    if plan.base is not None:
        state = joined(build_generator(plan.info), plan.base.tensors, trained)
        styles = plan.base.styles + styles
        training = {**plan.base.training, "extensions": _extensions(plan.base, training)}
    return state, replace(plan.info, training=training, styles=styles)


def save_so_far(plan: TrainingPlan, trainer: State, losses: dict[str, float]) -> None:
    """Write the averaged weights of an unfinished run into its folder, whole or not at all."""
    save_state(plan.run_folder.so_far, *checkpoint_of(plan, trainer, losses))


def _extensions(base: Base, training: dict[str, Any]) -> list[dict[str, Any]]:
    """How each of the styles came to the network that were added to it, the latest last."""
    earlier: list[dict[str, Any]] = base.training.get("extensions", [])
    return [*earlier, training]
