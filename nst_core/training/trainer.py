"""Fitting a generator: one optimisation step, on one worker or together with others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from nst_core.errors import TrainingDiverged
from nst_core.networks.conditional_norm import ConditionalInstanceNorm2d
from nst_core.networks.generator import Generator
from nst_core.objectives.perceptual import Losses
from nst_core.training.divergence import DivergenceWatch
from nst_core.training.learning_rate import learning_rate_at
from nst_core.training.photos import Batch
from nst_core.training.settings import TrainingPrecision, TrainingSettings
from nst_core.training.stability import Disturbance, stability_loss
from nst_core.training.style_balance import StyleBalance

LOSS_NAMES = ("content", "style", "tv", "stability", "total")
"""What ``step`` returns: the terms before their weights, and the weighted total."""

_CPUS_WITH_BFLOAT16 = ("avx512_bf16", "amx_bf16", "arm_bf16")


class GeneratorTrainer:
    """Owns generator, its moving average, optimizer and step counter; ``step`` does one Adam step.

    ``objective`` maps the generator's output, a batch of targets and what else a
    ``PerceptualObjective`` takes to Losses. ``prepare`` makes the generator's input from the
    targets: the low-resolution picture for super-resolution. Parameters that require no gradient
    stay as they are. A step is over ``samples_per_step`` pictures of all ``world_size`` workers
    together, however many of them this worker has. ``balance`` finds the styles' weights; its
    state is part of the trainer's.

    All that is random follows from seed and sample number, so there is no random state to keep.
    """

    def __init__(
        self,
        generator: Generator,
        objective: nn.Module,
        settings: TrainingSettings,
        *,
        device: torch.device,
        prepare: Callable[[Tensor], Tensor] = lambda targets: targets,
        balance: StyleBalance | None = None,
        samples_per_step: int | None = None,
        world_size: int = 1,
    ) -> None:
        self.settings = settings
        self.device = device
        self._layout = _fastest_layout(generator, device)
        self.generator = generator.to(device).to(memory_format=self._layout).train()
        self.objective = objective.to(device).to(memory_format=torch.channels_last)
        self.parameters = [p for p in self.generator.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(
            self._parameter_groups(), lr=settings.learning_rate, fused=device.type != "cpu" or None
        )
        self.average = AveragedModel(self.generator)  # that of weights and buffers: see below
        self.steps_done = 0
        self.rate_factor = 1.0
        """Factor of the schedule's rate; lower after each divergence."""
        self.samples_per_step = samples_per_step or settings.batch_size * settings.accumulate
        self.world_size = world_size
        self._watch = DivergenceWatch()
        self._prepare = prepare
        self._balance = balance
        self._styles = generator.styles or 1
        self._forward: nn.Module = self.generator
        self.mixed_precision = uses_bfloat16(settings.precision, device)

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """All at the learning rate, but for styles' own parameters beside shared ones."""
        own = self.generator.style_parameters()
        numbers = {id(parameter) for parameter in own}
        shared = [parameter for parameter in self.parameters if id(parameter) not in numbers]
        if not (own and shared):
            return [{"params": self.parameters, "rate": 1.0}]
        return [
            {"params": shared, "rate": 1.0},
            {"params": own, "rate": self.settings.style_rate},
        ]

    def data_parallel(self, wrap: Callable[[nn.Module], nn.Module]) -> None:
        """Run the forward pass through ``wrap(generator)``; the weights stay the generator's."""
        self._forward = wrap(self.generator)

    @property
    def learning_rate(self) -> float:
        """Return the rate of the next step."""
        return self.rate_factor * learning_rate_at(self.steps_done, self.settings)

    @property
    def trained(self) -> Generator:
        """The generator that the training is for: the moving average, where there is one."""
        return cast("Generator", self.average.module)

    @property
    def is_in_doubt(self) -> bool:
        """Whether the loss has leapt up lately: no state to return to after a divergence."""
        return self._watch.is_in_doubt

    def step(self, batches: Sequence[Batch]) -> dict[str, float]:
        """Fit to this worker's batches of one step; returns the losses before the step, by name.

        They are means over all workers' samples. Raises TrainingDiverged, on all workers alike,
        when the losses are no longer finite or as high as at the start (see divergence.py); the
        step is not taken then.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * group["rate"]
        self.optimizer.zero_grad(set_to_none=True)
        sums = torch.zeros(len(LOSS_NAMES) + 2 * self._styles, device=self.device)
        for number, batch in enumerate(batches):
            sums += self._backward(batch, synchronize=number == len(batches) - 1)
        if self.world_size > 1:
            torch.distributed.all_reduce(sums)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_norm or math.inf)
        terms = (sums[: len(LOSS_NAMES)] / self.samples_per_step).tolist()
        means = dict(zip(LOSS_NAMES, terms, strict=True))
        if not self._watch.accept_loss(means["total"], norm.item()):
            raise TrainingDiverged(
                f"the objective is {means['total']:.4g} at step {self.steps_done}, "
                f"its gradient's norm {norm.item():.4g}"
            )
        self.optimizer.step()
        self.generator.unwrapped.constrain_weights()
        if self._balance is not None:
            self._balance.observe(*sums[len(LOSS_NAMES) :].view(2, self._styles))
        self._update_average()
        self.steps_done += 1
        return means

    @torch.no_grad()
    def _update_average(self) -> None:
        """Let the exponential moving average, which forgets faster at first, take in the weights.

        AveragedModel's own way would wait for the device, to ask how many updates there were.
        """
        done = int(self.average.n_averaged)  # it lies on the CPU
        decay = min(self.settings.average, (1 + done) / (10 + done)) if done else 0.0
        averages, currents = (
            [*each.parameters(), *each.buffers()] for each in (self.trained, self.generator)
        )
        floats = [n for n, each in enumerate(averages) if each.is_floating_point()]
        torch._foreach_lerp_(
            [averages[n] for n in floats], [currents[n] for n in floats], 1 - decay
        )
        for average, current in zip(averages, currents, strict=True):
            if not average.is_floating_point():
                average.copy_(current)
        self.average.n_averaged += 1

    def _backward(self, batch: Batch, *, synchronize: bool) -> Tensor:
        """Add the gradients of a batch; returns sums over its pictures.

        They are the losses in the order of LOSS_NAMES, each style's content errors, and how many
        pictures each style has.
        """
        target = batch.pictures.to(
            self.device, memory_format=torch.channels_last, non_blocking=True
        )
        if self.generator.unwrapped.draws_noise:  # so that it follows from seed and sample
            self.generator.unwrapped.seed_noise(*map(self._seed, batch.samples))
        with self._synchronized(synchronize):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed_precision):
                losses, stability = self._losses(target, batch.samples)
            total = losses.total + self.settings.stability_weight * stability
            # The workers' gradients are averaged afterwards, whatever each one's share was.
            share = len(batch.samples) * self.world_size / self.samples_per_step
            (share * total).backward()  # type: ignore[no-untyped-call]
        terms = (losses.content, losses.style, losses.tv, stability, total)
        means = torch.stack([term.detach().float() for term in terms])
        return torch.cat([len(batch.samples) * means, *self._by_style(batch.samples, losses)])

    def _by_style(self, samples: Sequence[int], losses: Losses) -> tuple[Tensor, Tensor]:
        """Sums of content errors, and counts, for each style."""
        errors, counts = torch.zeros(2, self._styles, device=self.device)
        if losses.content_of_each is not None:
            styles = self._styles_of(samples)
            errors.index_add_(0, styles, losses.content_of_each.detach().float())
            counts.index_add_(0, styles, torch.ones_like(styles, dtype=torch.float32))
        return errors, counts

    def _styles_of(self, samples: Sequence[int]) -> Tensor:
        """Every style has the same part of the samples, and of every step over enough of them."""
        return torch.tensor(samples).to(self.device, non_blocking=True) % self._styles

    def _losses(self, target: Tensor, samples: Sequence[int]) -> tuple[Losses, Tensor]:
        source = self._prepare(target)
        disturbance = None
        if self.is_stabilizing:
            height, width = source.shape[-2:]
            seeds = [self._seed(sample) for sample in samples]
            disturbance = Disturbance.drawn(seeds, (height, width), self.device)
            source = torch.cat([source, disturbance.disturbed(source)])
        source = source.contiguous(memory_format=self._layout)
        styles = self._styles_of(samples)
        mixtures: tuple[Tensor, ...] = ()
        if self.generator.styles:
            mixture = functional.one_hot(styles, self._styles).float()
            mixtures = (mixture.repeat(len(source) // len(target), 1),)
        stylized = self._forward(source, *mixtures).contiguous(memory_format=torch.channels_last)
        factors = None if self._balance is None else self._balance.factors[styles]
        losses: Losses = self.objective(
            stylized[: len(target)], target, styles, style_factors=factors
        )
        if disturbance is None:
            return losses, losses.total.new_zeros(())
        output, again = torch.split(stylized, len(target))
        return losses, stability_loss(output, again, disturbance)

    @property
    def is_stabilizing(self) -> bool:
        """Whether the stability loss counts in the next step."""
        first = self.settings.stability_from * self.settings.steps
        return self.settings.stability_weight > 0 and self.steps_done >= first

    def _synchronized(self, synchronize: bool) -> AbstractContextManager[None]:
        """Let the workers exchange gradients only with the last batch of a step."""
        if synchronize or not isinstance(self._forward, DistributedDataParallel):
            return nullcontext()
        waiting: AbstractContextManager[None] = self._forward.no_sync()
        return waiting

    def _seed(self, sample: int) -> int:
        sequence = np.random.SeedSequence((self.settings.seed, sample))
        return int(sequence.generate_state(1, np.uint64)[0] >> 1)

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on needs: schedule, data order and noise follow from the step.

        ``trained`` beside it is the state that the training is for, under a checkpoint's names.
        """
        return {
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "trained": self.trained.unwrapped.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "steps_done": self.steps_done,
            "rate_factor": self.rate_factor,
            "watch": self._watch.state_dict(),
            "balance": self._balance.state_dict() if self._balance else {},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned."""
        self.generator.load_state_dict(state["generator"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps_done = state["steps_done"]
        self.rate_factor = state["rate_factor"]
        self._watch.load_state_dict(state["watch"])
        if self._balance is not None:
            self._balance.load_state_dict(state["balance"])


def _fastest_layout(generator: nn.Module, device: torch.device) -> torch.memory_format:
    """Return channels last, but for instance normalisation on a CPU.

    There it knows contiguous tensors only, like the gradient of the reflection that goes with it:
    converting for them costs a tenth of a step.
    """
    instance_norms = (nn.InstanceNorm2d, ConditionalInstanceNorm2d)
    if device.type == "cpu" and any(isinstance(m, instance_norms) for m in generator.modules()):
        return torch.contiguous_format
    return torch.channels_last


def uses_bfloat16(precision: TrainingPrecision, device: torch.device) -> bool:
    """Whether a training on ``device`` computes in bfloat16 where it may."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "xpu":
        return bool(torch.xpu.is_bf16_supported(including_emulation=False))
    if device.type == "mps":
        return False  # the older ones have none
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in _CPUS_WITH_BFLOAT16)
