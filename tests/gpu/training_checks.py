"""Training on the device, and the processes that cut its crops."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from nst_core.engines.cuda_engine import probe_images
from nst_core.networks.lean import LeanNet
from nst_core.objectives.perceptual import PerceptualObjective
from nst_core.objectives.settings import ObjectiveSettings
from nst_core.processors import usable_processors
from nst_core.training.photos import Batch, PhotoCrops, StepSampler, batches_of_steps
from nst_core.training.settings import TrainingPrecision, TrainingSettings
from nst_core.training.trainer import GeneratorTrainer
from tests.gpu.check import Figures, Machine, require
from tests.kit.random_vgg import random_vgg


def trainer(machine: Machine) -> Figures:
    """Train a little in float32 and in bfloat16: the losses fall, alike."""
    figures: Figures = {}
    for precision in ("float32", "bfloat16"):
        losses, rate = _train(machine, precision)
        figures[f"{precision}_loss"] = [round(losses[0], 4), round(losses[-1], 4)]
        figures[f"{precision}_images_per_second"] = round(rate, 1)
        require(losses[-1] < 0.9 * losses[0], f"the loss in {precision} does not fall", figures)
    return figures


def _train(machine: Machine, precision: TrainingPrecision) -> tuple[list[float], float]:
    """Return the losses of every step, and pictures a second of the second half."""
    side, batch_size, steps = machine.choose((256, 8, 60), (32, 2, 12))
    settings = TrainingSettings(
        steps=steps,
        batch_size=batch_size,
        image_size=side,
        precision=precision,
        stability_weight=0.15,
        warmup_steps=2,
        learning_rate=0.01,
    )
    layers = ("relu1_2", "relu2_2") if machine.on_cuda else ("relu1_1", "relu1_2")
    objective = ObjectiveSettings(style_layers=layers, content_layers=layers[:1])
    painting = probe_images((1, 3, side, side), torch.device("cpu"))
    torch.manual_seed(0)
    made = GeneratorTrainer(
        LeanNet(machine.choose(24, 4)),
        PerceptualObjective(random_vgg("vgg19"), painting, objective),
        settings,
        device=machine.device,
    )
    pictures = probe_images((batch_size, 3, side, side), torch.device("cpu")).flip(3)
    losses, begin = [], 0.0
    for step in range(steps):
        if step == steps // 2:
            begin = time.monotonic()
        numbers = tuple(range(step * batch_size, (step + 1) * batch_size))
        losses.append(made.step([Batch(numbers, pictures)])["total"])
    return losses, batch_size * (steps - steps // 2) / (time.monotonic() - begin)


def loaders(machine: Machine) -> Figures:
    """Cut crops in processes of their own: the same crops in the same order, and how many."""
    count, side, steps = machine.choose((64, 256, 40), (4, 32, 3))
    processes = machine.choose(min(8, usable_processors()), 1)
    sampler = StepSampler(first_step=0, last_step=steps, samples_per_step=8, batch_size=8)
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder, f"{number}.jpg")) for number in range(count)]
        for path in paths:
            coarse = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            photo = Image.fromarray(coarse).resize((4 * side, 3 * side), Image.Resampling.BICUBIC)
            photo.save(path, quality=90)
        crops = PhotoCrops(paths, size=side, seed=1)
        expected = [batch for step in batches_of_steps(crops, sampler) for batch in step]
        found: list[Batch] = []
        begin = time.monotonic()
        for step in batches_of_steps(crops, sampler, processes=processes):
            if not found:
                begin = time.monotonic()  # the processes have started
            found += step
        rate = 8 * (steps - 1) / (time.monotonic() - begin)
    same = all(
        one.samples == other.samples and torch.equal(one.pictures, other.pictures)
        for one, other in zip(found, expected, strict=True)
    )
    require(same, "crops are others, or come in another order")
    return {"processes": processes, "images_per_second": round(rate, 1)}
