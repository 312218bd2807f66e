"""Training beside a plain loop: images a second, and what a second worker adds."""

from __future__ import annotations

import math
import os
import statistics
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from jobs.benchmark.commands import run_nst, run_script
from jobs.benchmark.material.pictures import photo_folder
from jobs.benchmark.section import Cell, Section, verdict
from jobs.benchmark.settings import BenchSettings
from jobs.benchmark.subjects import plain_training
from jobs.benchmark.turns import Case, median_ratio, take_turns
from jobs.demo.clip import draw_frame

_THREADS = 2
_BATCH = 4
_SIZE = 256
_STYLE_SIZE = 384
_WIDTH = 32
_PHOTOS = 40
_JOHNSON_FAST = "nst, width 16 at one scale"
_BOLD_FAST = "nst, --preset fast"
_FAST_SIZE = 192
_ONE_SCALE = ("--architecture", "johnson", "--scales", "1", "--no-balance", "--lattice-weight", 0)
"""Johnson et al.'s network and an objective at one scale, as tutorials have both."""
_FASTER_BAR, _TWO_WORKERS_BAR, _BOLD_BAR = 2.0, 0.9, 2.0


@dataclass(frozen=True)
class _Material:
    """Files that a training needs."""

    photos: Path
    style: Path
    weights: Path
    folder: Path
    steps: int
    """Each of ``_BATCH`` pictures."""


def training(settings: BenchSettings) -> Section:
    """Plain loop, one worker and two take turns, each in processes of their own."""
    material = _material(settings)
    settings.tell(f"training: {material.steps} steps, five ways")
    cases: dict[str, Case] = {
        "plain loop": lambda: _plain(material),
        "nst, one worker of two threads": lambda: _program(material, workers=1),
        "nst, two workers of one thread": lambda: _program(material, workers=2),
        _JOHNSON_FAST: lambda: _fast(material, *_ONE_SCALE, "--width", 16),
        _BOLD_FAST: lambda: _fast(material),
    }
    # What takes turns here are rates: each process leaves its own start out.
    rates = take_turns(cases, rounds=settings.long_rounds, warm_up=False)
    plain, one, two, johnson, bold = rates.values()
    faster = median_ratio(bold, johnson)
    ratio, scaling = median_ratio(one, plain), median_ratio(two, one)
    rows: list[tuple[Cell, ...]] = [
        ("plain loop", statistics.median(plain), None, None, None),
        (
            *("nst, one worker of two threads", statistics.median(one), ratio),
            *(f"{_FASTER_BAR:g} times the plain loop", verdict(ratio, _FASTER_BAR)),
        ),
        (
            *("nst, two workers of one thread", statistics.median(two), median_ratio(two, plain)),
            *(f"{_TWO_WORKERS_BAR:g} times one worker", verdict(scaling, _TWO_WORKERS_BAR)),
        ),
        (_JOHNSON_FAST, statistics.median(johnson), None, None, None),
        (
            *(_BOLD_FAST, statistics.median(bold), None),
            f"{_BOLD_BAR:g} times the row above: {faster:.2f}",
            verdict(faster, _BOLD_BAR),
        ),
    ]
    return Section(
        key="training",
        title="Training",
        columns=("what", "images a second", "times the plain loop", "bar", "kept"),
        rows=rows,
        notes=(
            f"A generator of width {_WIDTH} for one style, {_BATCH} pictures of {_SIZE} pixels a "
            f"step, {_THREADS} threads in all, VGG-19 with random weights (as fast as the real "
            "ones, which are a download). The plain loop is the one that tutorials have: eager "
            "float32, torchvision's transforms within the loop, Gram matrices by bmm, Adam. Start "
            f"and first step are left out. --preset fast is with {_FAST_SIZE} pixels, one worker "
            f"of two threads. {settings.long_rounds} rounds in turn, "
            f"{material.steps} steps each.",
        ),
    )


def _material(settings: BenchSettings) -> _Material:
    style = settings.folder / "style.png"
    draw_frame(1.0).save(style)
    weights = settings.folder / "random-vgg19.safetensors"
    write_random_vgg19(weights)
    steps = 6 if settings.quick else 16
    return _Material(
        photo_folder(settings, _PHOTOS), style, weights, settings.folder / "training", steps
    )


def write_random_vgg19(path: Path) -> None:
    """Draw Kaiming weights, which keep the activations' scale from layer to layer.

    Deep layers are as sparse as trained ones: files of others are refused.
    """
    from torchvision.models import vgg19

    from nst_core.objectives.layers import activation_indices

    with torch.device("meta"):
        shapes = vgg19(weights=None, init_weights=False).features.state_dict()
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, like in shapes.items():
        deviation = math.sqrt(2 / math.prod(like.shape[1:])) if like.ndim > 1 else 0.0
        tensors[f"features.{name}"] = deviation * torch.randn(like.shape, generator=generator)
    indices = activation_indices("vgg19")
    for layer in ("relu4_4", "relu5_1"):
        tensors[f"features.{indices[layer] - 1}.bias"] -= 1.5
    save_file(tensors, path)


def _plain(material: _Material) -> float:
    return float(
        run_script(
            plain_training,
            *(material.photos, material.style, material.weights, material.steps),
            *(_WIDTH, _SIZE, _STYLE_SIZE, _BATCH, _THREADS),
        ).report["images_per_second"]
    )


def _program(material: _Material, *, workers: int) -> float:
    return _trained(
        material,
        *(*_ONE_SCALE, "--width", _WIDTH, "--image-size", _SIZE, "--style-size", _STYLE_SIZE),
        workers=workers,
    )


def _fast(material: _Material, *options: object) -> float:
    return _trained(material, "--preset", "fast", "--image-size", _FAST_SIZE, *options, workers=1)


def _trained(material: _Material, *options: object, workers: int) -> float:
    output = material.folder / f"{workers}-{os.urandom(4).hex()}.safetensors"
    report = run_nst(
        *("train", "style", material.style, "--content", material.photos),
        *("-o", output, "--loss-network", "vgg19", "--loss-network-weights", material.weights),
        *(*options, "--from", "none"),
        *("--steps", material.steps // workers, "--batch-size", _BATCH, "--warmup-steps", 0),
        *("--device", "cpu", "--workers", workers, "--cpus-per-worker", _THREADS // workers),
        *("--checkpoint-every", material.steps, "--address", "local"),
    ).report
    return float(report["images_per_second"])
