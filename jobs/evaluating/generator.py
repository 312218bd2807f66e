"""A generator against L-BFGS on the generator's own objective (Johnson et al. 2016, section 4.1).

Their claim: on pictures it has not seen, the generator does as well as 50 to 100 iterations.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from PIL import ImageOps
from torch import Tensor, nn

from jobs.specs.evaluating import EvaluateGenerator
from nst_core.checkpoints.library import Style, find_for
from nst_core.color.pixels import to_tensor
from nst_core.engines.choice import choose_device
from nst_core.errors import InputError
from nst_core.networks.generator import Generator
from nst_core.objectives.lbfgs import noise_like, optimize_picture
from nst_core.objectives.loss_network import load_loss_network_weights
from nst_core.objectives.perceptual import FixedContentObjective, PerceptualObjective
from nst_core.objectives.trained_objective import (
    loss_network_of,
    trained_layers,
    trained_objective,
)
from nst_core.pictures.reading import read_painting, read_rgb
from nst_core.wording import counted
from pipeline.pictures.inputs.training_photos import find_content
from pipeline.work.downloads import shown_in
from pipeline.work.progress import OnProgress, Progress, ignore_progress

ITERATIONS_SHOWN = (0, 10, 25, 50, 100, 200, 300, 400, 500)
_FORWARDS_TIMED = 10


@dataclass(frozen=True)
class GeneratorEvaluation:
    """Means over the pictures; the fields of the command's JSON."""

    images: int
    image_size: int
    init: str
    generator: dict[str, float]
    """Content, style, tv and total of the generator's pictures."""
    lbfgs: dict[str, float]
    """Total after so many iterations, the start (0) included."""
    equal_iterations: float | None
    """L-BFGS iterations after which its mean objective is the generator's; None: not reached."""
    images_at_or_below: dict[str, int]
    """Pictures on which the generator is at or below L-BFGS after so many iterations."""
    seconds_per_forward: float
    seconds_per_100_iterations: float
    speed_ratio: float
    """100 iterations against one forward pass, on the same device, in the same run."""
    device: str
    loss_network: str

    def lines(self) -> list[str]:
        """For people."""
        generator = ", ".join(f"{name} {value:.4g}" for name, value in self.generator.items())
        table = [
            f"L-BFGS {iterations:>4} iterations {total:10.5g}   "
            f"generator at or below on {self.images_at_or_below[iterations]} of {self.images}"
            for iterations, total in self.lbfgs.items()
        ]
        equal = (
            "the generator's mean is not reached"
            if self.equal_iterations is None
            else f"the generator does as well as {self.equal_iterations:.1f} iterations"
        )
        return [
            f"{counted(self.images, 'pictures')} of {self.image_size} px, {self._method()}",
            f"generator: {generator}",
            *table,
            equal,
            f"on {self.device} one forward {self.seconds_per_forward * 1000:.1f} ms, "
            f"100 iterations {self.seconds_per_100_iterations:.1f} s: {self.speed_ratio:.0f} times",
        ]

    def _method(self) -> str:
        if self.init == "generator":
            return "hybrid: L-BFGS started from the generator's own picture"
        return f"L-BFGS started from {self.init}"


def evaluate_generator(
    job: EvaluateGenerator, on_progress: OnProgress = ignore_progress
) -> GeneratorEvaluation:
    """Run both on every picture. Raises InputError or EnvironmentProblem."""
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    device = torch.device(choose_device(job.device))
    style = find_for("stylize", job.checkpoint).with_stroke(1.0)
    if style.path is None or style.info is None:
        raise InputError("--checkpoint identity: it has no objective; name a trained style")
    generator = style.load()
    generator.to(device).to(memory_format=torch.channels_last)
    training = style.training
    objective = _objective(style, job, on_progress).to(device).to(memory_format=torch.channels_last)
    contents = _contents(job)
    totals: list[dict[str, float]] = []
    curves: list[list[float]] = []
    forward_seconds, iteration_seconds = [], []
    for number, content in enumerate(contents):
        content = content.to(device)
        of_content = FixedContentObjective(objective, content)
        losses, stylized, seconds = _of_generator(generator, of_content, content)
        totals.append(losses)
        forward_seconds.append(seconds)
        curve, seconds = _of_lbfgs(of_content, content, _start(job, content, stylized), job)
        curves.append(curve)
        iteration_seconds.append(seconds)
        on_progress(Progress(number + 1, len(contents), "pictures"))
    forward, iterations = median(forward_seconds), 100 * median(iteration_seconds)
    return GeneratorEvaluation(
        images=len(contents),
        image_size=job.image_size,
        init=job.init,
        generator={name: fmean(losses[name] for losses in totals) for name in totals[0]},
        seconds_per_forward=forward,
        seconds_per_100_iterations=iterations,
        speed_ratio=iterations / forward,
        device=str(device),
        loss_network=training.get("loss_network_weights", ""),
        **_comparison([losses["total"] for losses in totals], curves),
    )


def _objective(
    style: Style, job: EvaluateGenerator, on_progress: OnProgress = ignore_progress
) -> PerceptualObjective:
    """The objective that the checkpoint says it was trained on, with the weights given now."""
    name = job.loss_network or loss_network_of(style)
    weights = load_loss_network_weights(
        name,
        job.loss_network_weights,
        layers=trained_layers(style, job.objective),
        on_download=shown_in(on_progress),
    )
    return trained_objective(style, read_painting(job.style_image), weights, job.objective)


def _contents(job: EvaluateGenerator) -> list[Tensor]:
    """Square crops from the centre, 1 x 3 x size x size."""
    paths = find_content([str(job.content)])[: job.max_images]
    size = (job.image_size, job.image_size)
    return [to_tensor(ImageOps.fit(read_rgb(Path(path)), size)) for path in paths]


def _of_generator(
    generator: Generator, objective: nn.Module, content: Tensor
) -> tuple[dict[str, float], Tensor, float]:
    """Losses of the generator's picture, the picture, and the seconds of one forward pass."""
    with torch.inference_mode():
        content = content.contiguous(memory_format=torch.channels_last)
        generator.seed_noise(0)
        stylized = generator(content)  # warms up, too
        seconds = []
        for _ in range(_FORWARDS_TIMED):
            start = time.perf_counter()
            generator(content)
            _wait(content.device)
            seconds.append(time.perf_counter() - start)
        return objective(stylized, content).as_floats(), stylized, median(seconds)


def _start(job: EvaluateGenerator, content: Tensor, stylized: Tensor) -> Tensor:
    """What the optimisation starts from; out of inference mode, for gradients."""
    starts = {"content": content, "generator": stylized.float().clamp(0, 1)}
    return starts[job.init].clone() if job.init in starts else noise_like(content)


def _of_lbfgs(
    objective: nn.Module, content: Tensor, start: Tensor, job: EvaluateGenerator
) -> tuple[list[float], float]:
    """Totals from the start on, and the seconds of one iteration."""
    iterates: list[tuple[float, float]] = []
    optimize_picture(
        objective,
        content,
        start,
        iterations=job.against_iterations,
        mixed_precision=job.mixed_precision,
        on_iterate=lambda iterate: iterates.append((iterate.total, iterate.seconds)),
    )
    totals = list(accumulate((total for total, _ in iterates), min))  # the lowest is what is kept
    return totals, iterates[-1][1] / job.against_iterations


def _comparison(totals: list[float], curves: list[list[float]]) -> dict[str, Any]:
    mean = fmean(totals)
    mean_curve = [fmean(values) for values in zip(*curves, strict=True)]
    last = len(mean_curve) - 1
    shown = [i for i in ITERATIONS_SHOWN if i < last] + [last]
    return {
        "lbfgs": {str(i): mean_curve[i] for i in shown},
        "equal_iterations": _crossing(mean_curve, mean),
        "images_at_or_below": {
            str(i): sum(total <= curve[i] for total, curve in zip(totals, curves, strict=True))
            for i in shown
        },
    }


def _crossing(curve: list[float], value: float) -> float | None:
    """Where a falling curve reaches ``value``, between two iterations by straight line."""
    lowest = [min(curve[: i + 1]) for i in range(len(curve))]
    place = bisect_left(lowest, -value, key=lambda total: -total)
    if place == len(lowest):
        return None
    if place == 0:
        return 0.0
    before, after = lowest[place - 1], lowest[place]
    return place - (value - after) / (before - after)


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
