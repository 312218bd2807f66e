"""The states of a training run on disk, and the checkpoint that comes of one."""

from __future__ import annotations

import io
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jobs.training.plan import TrainingPlan, plan_settings
from jobs.training.run_folder import RunFolder
from nst_core import __version__
from nst_core.checkpoints.checkpoint import build_generator, save_state
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.networks.conditional_norm import joined

_FILE = "trainer.pt"

State = dict[str, Any]
"""What GeneratorTrainer.state_dict returns."""


def write_state(folder: Path, state: State) -> None:
    """Write a trainer's state into a checkpoint folder. Raises OSError, on a full disk too."""
    content = io.BytesIO()  # torch, writing a file itself, has no word for a full disk
    torch.save(state, content)
    (folder / _FILE).write_bytes(content.getbuffer())


def read_state(folder: Path) -> State | None:
    """Read a checkpoint folder, onto the CPU; None where it holds no whole state.

    Raises OSError where the disk does not give it: a state may well be there then.
    """
    try:
        state: State = torch.load(folder / _FILE, map_location="cpu", weights_only=True)
    except (FileNotFoundError, EOFError, RuntimeError, pickle.UnpicklingError):
        return None
    return state


def adopt_newest_state(run: RunFolder) -> State | None:
    """Let the next workers begin at the newest state, and remove the others; returns it.

    Ray Train itself would go on from what its snapshot names. But a kill can cut that short,
    another version of Ray does not read it, and it knows nothing of a checkpoint that was written
    and not yet reported. None where there is no state, in a run that came to no checkpoint.
    To be called while no worker runs; what a killed command has left may still be tidying up.
    """
    newest, state = newest_state(run)
    if newest is not None and newest != run.checkpoint:
        shutil.rmtree(run.checkpoint, ignore_errors=True)
        newest.rename(run.checkpoint)
    shutil.rmtree(run.ray, ignore_errors=True)
    return state


def newest_state(run: RunFolder) -> tuple[Path | None, State | None]:
    """Find the newest state of a run, and the folder that it is in; None for none."""
    reported = [
        Path(parent, name)
        for parent, names, _ in os.walk(run.ray)  # what vanishes meanwhile is no error to it
        for name in names
        if name.startswith("checkpoint_")
    ]
    found = ((folder, read_state(folder)) for folder in (run.checkpoint, *sorted(reported)))
    states = [(folder, state) for folder, state in found if state is not None]
    return max(states, key=lambda item: int(item[1]["steps_done"]), default=(None, None))


def checkpoint_of(
    plan: TrainingPlan, trainer: State, losses: dict[str, float]
) -> tuple[dict[str, Tensor], CheckpointInfo]:
    """Return what to write of a trainer's state; ``losses`` are those of its last step."""
    trained = {name: tensor.cpu() for name, tensor in trainer["trained"].items()}
    state, styles = trained, plan.info.styles
    training = plan_settings(plan) | dict(plan.sources)
    training |= {"steps_done": trainer["steps_done"], "losses": losses, "nst": __version__}
    if trainer["balance"]:
        factors = trainer["balance"]["log_factors"].exp().tolist()
        training["style_factors"] = [round(factor, 4) for factor in factors]
    if plan.base is not None:
        state = joined(build_generator(plan.info), plan.base.tensors, trained)
        styles = plan.base.styles + styles
        earlier = plan.base.info.training
        training = {**earlier, "extensions": [*earlier.get("extensions", []), training]}
    return state, replace(plan.info, training=training, styles=styles)


def save_so_far(plan: TrainingPlan, trainer: State, losses: dict[str, float]) -> None:
    """Write the averaged weights of an unfinished run into its folder, whole or not at all."""
    save_state(plan.run_folder.so_far, *checkpoint_of(plan, trainer, losses))
