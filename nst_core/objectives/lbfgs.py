"""Optimising the pixels of one picture with L-BFGS: the method of Gatys, Ecker and Bethge 2016.

The objective is any that a generator is trained on, so that generator and optimisation can be
compared on the same numbers (Johnson et al. 2016, section 4.1).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nst_core.errors import TrainingFailed
from nst_core.objectives.perceptual import Losses

_HISTORY = 20
"""Pairs of steps and gradients that L-BFGS remembers."""


@dataclass(frozen=True, repr=False)
class Iterate:
    """The picture after ``iteration`` iterations; iteration 0 is the start."""

    iteration: int
    image: Tensor
    """1 x 3 x H x W in [0, 1]."""
    losses: Losses
    """The losses of that picture."""
    seconds: float
    """Since the first evaluation began."""

    @property
    def total(self) -> float:
        """The objective."""
        return self.losses.total.item()


def noise_like(content: Tensor, *, seed: int = 0) -> Tensor:
    """Uniform noise in [0, 1) of the content's size, from ``seed``."""
    noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(seed))
    return noise.to(content)


def optimize_picture(
    objective: nn.Module,
    content: Tensor,
    start: Tensor,
    *,
    iterations: int,
    mixed_precision: bool = False,
    on_iterate: Callable[[Iterate], None] = lambda _: None,
) -> Iterate:
    """Lower the objective over the pixels; returns the iterate where it is lowest.

    L-BFGS as Johnson et al. 2016 use it (section 4.1): steps of full length, and the pixels cut to
    [0, 1] after each. An iteration is one evaluation of the objective. SciPy's L-BFGS-B, which
    keeps the bounds itself and searches along each step, costs 1.35 times the CPU time, for its own
    float64 arithmetic; it comes to the same objective from the content, and from noise is ahead
    for the first iterations (docs/experiments.md).

    ``content`` and ``start`` are 1 x 3 x H x W in [0, 1]; ``on_iterate`` sees the start and all
    ``iterations`` iterates. Raises TrainingFailed when the objective is not a finite number.
    """
    pixels = start.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [pixels], max_iter=1, history_size=_HISTORY, tolerance_grad=0.0, tolerance_change=0.0
    )

    def evaluate(pixels: Tensor) -> Losses:
        image = pixels.contiguous(memory_format=torch.channels_last)  # which is fastest
        with torch.autocast(image.device.type, torch.bfloat16, enabled=mixed_precision):
            losses: Losses = objective(image, content)
        return losses

    iterates = _Iterates(pixels, on_iterate)

    def closure() -> Tensor:
        losses = evaluate(pixels)
        iterates.add(losses)
        optimizer.zero_grad()
        relative = losses.total / iterates.unit
        relative.backward()  # type: ignore[no-untyped-call]
        assert pixels.grad is not None
        pixels.grad = pixels.grad.contiguous()  # L-BFGS takes a view of it as one row
        return relative.detach()

    for _ in range(iterations):
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            pixels.clamp_(0, 1)
    with torch.no_grad():
        iterates.add(evaluate(pixels))
    return iterates.lowest


class _Iterates:
    """Numbers the pictures as they are evaluated, and keeps the best of them."""

    lowest: Iterate

    def __init__(self, pixels: Tensor, on_iterate: Callable[[Iterate], None]) -> None:
        self._pixels = pixels
        self._on_iterate = on_iterate
        self._count = 0
        self._start = time.perf_counter()
        self.unit = 1.0
        """The objective at the start: L-BFGS takes any number relative to it, so that what it
        takes for too little to learn from does not depend on the weights."""

    def add(self, losses: Losses) -> None:
        """Take the losses of the pixels as they are. Raises TrainingFailed."""
        image = self._pixels.detach().clone()
        seconds = time.perf_counter() - self._start
        iterate = Iterate(self._count, image, losses.detached(), seconds)
        if not math.isfinite(iterate.total):
            raise TrainingFailed(f"the objective is {iterate.total}; try a lower --style-weight")
        if self._count == 0:
            self.unit = abs(iterate.total) or 1.0
        if self._count == 0 or iterate.total < self.lowest.total:
            self.lowest = iterate
        self._count += 1
        self._on_iterate(iterate)
