"""Optimising the pixels of one picture with L-BFGS: the method of Gatys, Ecker and Bethge 2016.

The objective is any that a generator is trained on, so that generator and optimisation can be
compared on the same numbers (Johnson et al. 2016, section 4.1).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.optimize
import torch
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult
from torch import Tensor, nn

from nst_core.errors import TrainingFailed
from nst_core.objective import Losses

Init = Literal["content", "noise"]

_HISTORY = 20
"""Pairs of steps and gradients that L-BFGS remembers."""


@dataclass(frozen=True, repr=False)
class Iterate:
    """The picture after ``iteration`` iterations; iteration 0 is the start."""

    iteration: int
    image: Tensor
    """1 x 3 x H x W in [0, 1]."""
    losses: Losses
    """Of that very picture."""
    seconds: float
    """Since the first evaluation began."""


def _ignore(_: Iterate) -> None:
    """Nobody is watching."""


def initial_picture(content: Tensor, init: Init, *, seed: int = 0) -> Tensor:
    """The content itself, or uniform noise of its size from ``seed``: 1 x 3 x H x W in [0, 1]."""
    if init == "content":
        return content.clone()
    noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(seed))
    return noise.to(content)


def optimize_picture(
    objective: nn.Module,
    content: Tensor,
    *,
    iterations: int,
    init: Init = "content",
    seed: int = 0,
    mixed_precision: bool = False,
    on_iterate: Callable[[Iterate], None] = _ignore,
) -> Iterate:
    """Lower the objective over the pixels; returns the last iterate, of ``iterations`` or fewer.

    L-BFGS with the bounds 0 and 1 on every pixel (L-BFGS-B, from SciPy): Johnson et al. 2016 cut
    the pixels to the range after each iteration (section 4.1), which spoils the curvature that
    L-BFGS remembers. It ends early only where no step lowers the objective any more.
    ``content`` is 1 x 3 x H x W in [0, 1]; ``on_iterate`` sees the start and every iterate.
    Raises TrainingFailed when the objective is no longer a finite number.
    """
    pixels = Pixels(objective, content, mixed_precision=mixed_precision)
    start = initial_picture(content, init, seed=seed)
    last = pixels.iterate(start.double().cpu().numpy().ravel())
    on_iterate(last)

    def after_iteration(intermediate_result: OptimizeResult) -> None:
        nonlocal last
        last = pixels.iterate(intermediate_result.x, last.iteration + 1)
        on_iterate(last)

    scipy.optimize.minimize(
        pixels,
        start.double().cpu().numpy().ravel(),
        jac=True,
        method="L-BFGS-B",
        bounds=scipy.optimize.Bounds(0.0, 1.0),
        callback=after_iteration,
        options={
            "maxiter": iterations,
            "maxfun": 20 * iterations,
            "maxcor": _HISTORY,
            "ftol": 0.0,
            "gtol": 0.0,
        },
    )
    return last


class Pixels:
    """The objective as SciPy wants it: float64 pixels in a row to a value and its gradient."""

    def __init__(self, objective: nn.Module, content: Tensor, *, mixed_precision: bool) -> None:
        self._objective = objective
        self._content = content
        self._mixed_precision = mixed_precision
        self._losses: dict[bytes, Losses] = {}
        self._start = time.perf_counter()

    def __call__(self, pixels: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Evaluate. Raises TrainingFailed."""
        image = self._image(pixels).requires_grad_()
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self._mixed_precision):
            losses = self._objective(
                image.contiguous(memory_format=torch.channels_last), self._content
            )
        losses.total.backward()
        total = losses.total.item()
        if not math.isfinite(total):
            raise TrainingFailed(f"the objective is {total}; try a lower --style-weight")
        self._losses = {**self._latest(), pixels.tobytes(): losses.detached()}
        assert image.grad is not None
        return total, image.grad.double().cpu().numpy().ravel()

    def iterate(self, pixels: NDArray[np.float64], iteration: int = 0) -> Iterate:
        """Describe a picture that has just been evaluated, or evaluate it."""
        if pixels.tobytes() not in self._losses:
            self(pixels)
        losses = self._losses[pixels.tobytes()]
        return Iterate(iteration, self._image(pixels), losses, time.perf_counter() - self._start)

    def _image(self, pixels: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(pixels).to(self._content).view_as(self._content)

    def _latest(self) -> dict[bytes, Losses]:
        """A line search may end on a point that was not its last: keep a few."""
        return dict(list(self._losses.items())[-3:])
