"""What a check of the acceptance script is, and what several of them need."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from jobs.benchmark.turns import timed
from nst_core.checkpoints.library import find_style
from nst_core.engines.names import Device
from nst_core.engines.torch_engine import TorchEngine
from nst_core.networks.generator import Generator
from nst_core.stylizer import Stylizer

LEAST_DECIBELS = 40.0
STYLE = "wave"

Choice = TypeVar("Choice")
Result = TypeVar("Result")
Figures = dict[str, object]


class CheckError(AssertionError):
    """A check whose result is wrong; ``figures`` are what it measured all the same."""

    def __init__(self, words: str, figures: Mapping[str, object] | None = None) -> None:
        super().__init__(words)
        self.figures = dict(figures or {})


class SkipError(Exception):
    """A check that cannot be made here, and why."""


@dataclass(frozen=True)
class Machine:
    """Where checks run: a GPU, or a CPU at tiny sizes."""

    kind: Device

    @property
    def device(self) -> torch.device:
        """The device of tensors."""
        return torch.device(self.kind)

    @property
    def on_cuda(self) -> bool:
        """Whether this is a GPU."""
        return self.kind == "cuda"

    def choose(self, on_cuda: Choice, on_cpu: Choice) -> Choice:
        """Return the size for this machine."""
        return on_cuda if self.on_cuda else on_cpu

    def stylizer(self, **options: Any) -> Stylizer:
        """Build what applies a bundled style by torch, here."""
        return Stylizer(find_style(STYLE), engine="torch", device=self.kind, **options)

    def milliseconds(self, work: Callable[[], object], *, rounds: int = 5) -> float:
        """Median time of some work, measured on the device."""
        case = timed(work, self.kind)
        case()
        return round(1000 * statistics.median(case() for _ in range(rounds)), 3)


@dataclass(frozen=True)
class Check:
    """One thing that only a GPU can show."""

    name: str
    run: Callable[[Machine], Figures]
    """Raises CheckError or SkipError; a function of a module, as it is sent to another process."""
    budget_seconds: float
    """Time after which it is ended."""
    needs: tuple[str, ...] = ()
    """Packages without which it is skipped."""
    needs_cuda: bool = False
    """Whether a CPU has nothing to show."""


def require(holds: bool, words: str, figures: Mapping[str, object] | None = None) -> None:
    """Raise CheckError unless something holds."""
    if not holds:
        raise CheckError(words, figures)


def decibels(found: Tensor, exact: Tensor) -> float:
    """PSNR in dB of pictures in [0, 1], on whatever devices; 120 at most."""
    error = (found.detach().double().cpu() - exact.detach().double().cpu()).square().mean().item()
    if error != error:  # not a number
        return 0.0
    return round(120.0 if error <= 1e-12 else float(-10 * torch.log10(torch.tensor(error))), 1)


def exactly(generator: Generator, images: Sequence[Tensor]) -> list[Tensor]:
    """What float32 on the CPU makes of pictures."""
    engine = TorchEngine(generator, device="cpu", precision="float32")
    return [engine.run(each.cpu()) for each in images]


def in_thread(work: Callable[[], Result]) -> Result:
    """Do something in a thread that ends with it."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()
