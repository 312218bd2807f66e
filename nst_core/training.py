"""Fitting a generator: the learning-rate schedule and one optimisation step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nst_core.errors import TrainingFailed
from nst_core.objective import Losses
from nst_core.settings import TrainingSettings
from nst_core.texture_net import TextureNet


def learning_rate_at(step: int, settings: TrainingSettings) -> float:
    """Linear warm-up, then a cosine down to ``final_rate``; ``step`` counts from 0."""
    warmup = min(settings.warmup_steps, settings.steps // 4)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, settings.steps - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return settings.learning_rate * (settings.final_rate + (1 - settings.final_rate) * cosine)


def keep(batch: Tensor) -> Tensor:
    """Return the batch: a style generator sees the very picture it is judged against."""
    return batch


class GeneratorTrainer:
    """Owns generator, optimizer and step counter; ``step`` does one Adam step on a batch.

    ``objective`` maps the generator's output and a batch of targets to Losses. ``prepare`` makes
    the generator's input from the targets: the low-resolution picture for super-resolution.
    ``rank`` tells workers apart, whose noise must differ.
    """

    def __init__(
        self,
        generator: nn.Module,
        objective: nn.Module,
        settings: TrainingSettings,
        *,
        device: torch.device,
        prepare: Callable[[Tensor], Tensor] = keep,
        rank: int = 0,
    ) -> None:
        self.settings = settings
        self.device = device
        self.generator = generator.to(device).to(memory_format=torch.channels_last).train()
        self.objective = objective.to(device).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.generator.parameters(), lr=settings.learning_rate)
        self.steps_done = 0
        self.rank = rank
        self._prepare = prepare
        self._forward = self.generator

    def data_parallel(self, wrap: Callable[[nn.Module], nn.Module]) -> None:
        """Run the forward pass through ``wrap(generator)``; the weights stay the generator's."""
        self._forward = wrap(self.generator)

    def step(self, target: Tensor) -> Losses:
        """Fit to N x 3 x H x W pictures in [0, 1]; returns the losses before the step.

        Raises TrainingFailed when the objective is no longer a finite number.
        """
        target = target.to(self.device, memory_format=torch.channels_last, non_blocking=True)
        rate = learning_rate_at(self.steps_done, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self._seed_noise()
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.settings.mixed_precision
        ):
            losses: Losses = self.objective(self._forward(self._prepare(target)), target)
        if not torch.isfinite(losses.total):
            raise TrainingFailed(
                f"the objective is {losses.total.item()} at step {self.steps_done}; "
                "try a lower --learning-rate or a lower --style-weight"
            )
        self.optimizer.zero_grad(set_to_none=True)
        losses.total.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.steps_done += 1
        return Losses(**{name: value.detach() for name, value in vars(losses).items()})

    def _seed_noise(self) -> None:
        """Noise follows from seed, step and worker, so that a resumed run goes on with the same."""
        if isinstance(self.generator, TextureNet):
            sequence = np.random.SeedSequence((self.settings.seed, self.steps_done, self.rank))
            self.generator.seed_noise(int(sequence.generate_state(1, np.uint64)[0] >> 1))

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on needs: the schedule and the data order follow from the step."""
        return {
            "generator": self.generator.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "steps_done": self.steps_done,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned."""
        self.generator.load_state_dict(state["generator"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps_done = state["steps_done"]
