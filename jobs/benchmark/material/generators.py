"""The generators that are measured: those that ship, and untrained ones of the papers' sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from jobs.benchmark.material.pictures import as_tensor, still_frames
from jobs.benchmark.settings import BenchSettings
from nst_core.checkpoints.checkpoint import build_generator, save_generator
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.checkpoints.library import Style, find_style
from nst_core.engines.calibration import activation_ranges
from nst_core.engines.eight_bit import EightBit
from nst_core.networks.generator import Generator

BUNDLED = "wave"
"""A style that ships with the program."""
_CALIBRATING_FRAMES = 4
_CALIBRATING_SIZE = (320, 180)


@dataclass(frozen=True)
class MeasuredGenerator:
    """A generator, and what is known of it."""

    name: str
    style: Style
    """Its checkpoint."""
    trained: bool
    """Else its weights are random: as fast, and its pictures mean nothing."""

    def load(self) -> Generator:
        """Build it anew: engines change what they are given."""
        return self.style.load()

    @property
    def argument(self) -> str:
        """What a command's --style takes."""
        return self.style.name if self.trained else str(self.style.path)

    @property
    def eight_bit(self) -> EightBit | None:
        """How it is computed in 8 bits, where that is known."""
        return self.style.eight_bit


def wave() -> MeasuredGenerator:
    """The network of the bundled styles, as it ships."""
    style = find_style(BUNDLED)
    assert style.info is not None
    name = f"{style.info.architecture} {style.info.arguments['width']} ({BUNDLED})"
    return MeasuredGenerator(name, style, trained=True)


def untrained(
    settings: BenchSettings, architecture: str, *, calibrated: bool = True, **arguments: Any
) -> MeasuredGenerator:
    """Draw weights, the same ones every time, and write a checkpoint.

    ``calibrated`` lets it be computed in 8 bits.
    """
    numbers = "-".join(str(value) for value in arguments.values())
    path = settings.folder / f"{architecture}-{numbers}.safetensors"
    if not path.exists():
        info = CheckpointInfo(architecture, arguments)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = build_generator(info).eval()
        if calibrated:
            info = replace(info, eight_bit={"": _calibrated(settings, network)})
        save_generator(path, network, info)
    name = f"{architecture} {numbers} (random weights)"
    return MeasuredGenerator(name, find_style(str(path)), trained=False)


def _calibrated(settings: BenchSettings, network: Generator) -> EightBit:
    width, height = _CALIBRATING_SIZE
    frames = still_frames(settings, _CALIBRATING_FRAMES, width=width, height=height)
    ranges = activation_ranges(network, [as_tensor(frame[None]) for frame in frames])
    return EightBit(ranges, 0.0, 0.0, len(frames))  # close to nothing: it is never chosen by itself


def measured_generators(settings: BenchSettings) -> Iterator[MeasuredGenerator]:
    """Those of the engines' table; with --quick the bundled and the everyday network alone."""
    yield wave()
    yield untrained(settings, "johnson", width=16)
    yield untrained(settings, "johnson", width=32)
    if settings.quick:
        return
    yield untrained(settings, "johnson-paper", width=32)
    yield MeasuredGenerator("texture (bricks)", find_style("bricks"), trained=True)
    yield MeasuredGenerator("super-resolution (x4)", find_style("x4"), trained=True)
